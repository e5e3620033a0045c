"""Where webhooks may be sent: addresses of the public internet, so that nobody reaches our own network through us.

The address is checked at each connection, after the name was resolved, and the connection goes to the address that was
checked (OWASP, Server-Side Request Forgery Prevention: a name may resolve to another address each time).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from letstalk.core.errors import InvalidRequest
from letstalk.core.ip_addresses import Address, Network, is_in
from letstalk.events.endpoint_models import MAX_URL_CHARACTERS
from letstalk.http.request_threads import slow_work

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_6TO4 = IPv6Network("2002::/16")  # RFC 3056
# Not global by the registries of IANA, and told otherwise by the `ipaddress` of some versions of Python.
_NOT_GLOBAL = (IPv4Network("192.0.0.0/24"), IPv6Network("fec0::/10"))
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, section 2.5.5.1: deprecated


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """`networks` are allowed although they are not public, and over http too. `needs_https` is for all others."""

    networks: tuple[Network, ...] = ()
    needs_https: bool = True

    def allows(self, address: Address) -> bool:
        """Whether a webhook may be sent to `address`."""
        return is_in(_plain(address), self.networks) or is_public(address)

    def is_opened(self, address: Address) -> bool:
        """Whether it is in a network that the operator has opened."""
        return is_in(_plain(address), self.networks)


def is_public(address: Address) -> bool:
    """Whether `address` is one of the public internet, also where it is written within an IPv6 address."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, IPv6Address) and (address in _COMPATIBLE or address in _LOCAL_NAT64):
        return False
    if is_in(address, _NOT_GLOBAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def read_url(url: str) -> SplitResult:
    """The parts of a URL that a webhook can be sent to. Raises InvalidRequest, which says what is wrong with it."""
    if not url or len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise _invalid(f"url must be 1 to {MAX_URL_CHARACTERS} ASCII characters without spaces.")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise _invalid("url can't be read as an address.") from None
    if parts.scheme not in ("https", "http"):
        raise _invalid("url must begin with https://")
    if not host or port == 0:
        raise _invalid("url must have a host, and a port from 1 to 65535 if it has one.")
    if parts.username is not None or parts.password is not None:
        raise _invalid("url must not have a username or a password.")
    if parts.fragment:
        raise _invalid("url must not have a part behind #.")
    return parts


def ensure_target(url: str, policy: TargetPolicy) -> None:
    """Raises InvalidRequest where it is known now that a webhook to `url` would not be sent."""
    parts = read_url(url)
    try:
        with slow_work():
            addresses = resolve(parts.hostname or "", port_of(parts))
    except OSError:
        raise _invalid(f"url has a host that has no address: {parts.hostname}.") from None
    refused = next((address for address in addresses if not policy.allows(address)), None)
    if refused is not None:
        raise _invalid(
            f"url leads to {refused}, which is not an address of the public internet. "
            "WEBHOOK_ALLOWED_NETWORKS opens other networks."
        )
    is_opened = all(policy.is_opened(address) for address in addresses)
    if parts.scheme == "http" and policy.needs_https and not is_opened:
        raise _invalid("url must begin with https://")


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, at least one. Raises OSError. It takes as long as the name server does.

    Other spellings of an IPv4 address, such as 2130706433 or 0x7f.1, become the address that they name.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except UnicodeError as error:  # a label that is empty or too long
        raise OSError("the name is not valid") from error
    addresses = list(dict.fromkeys(ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found))
    if not addresses:
        raise OSError("the name has no address")
    return addresses


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _plain(address: Address) -> Address:
    return _embedded(address) or address


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, translated (NAT64) or tunnelled (6to4)."""
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour if address in _6TO4 else None


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest.in_field("url", message)
