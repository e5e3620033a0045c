"""IP addresses: how they are written, which networks they are in, and which of them are one client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from letstalk.core.errors import InvalidRequest

MAX_ALLOWED = 50
MAX_ADDRESS_LENGTH = 100  # with all that may stand around it
SUBSCRIBER_BITS = 64  # RFC 6177: a subscriber has at least a /64 of IPv6, and can use any address in it
SITE_BITS = (56, 48)  # RFC 6177: what a household or a business usually gets

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?|([^:]*):[0-9]{1,5}")


def read_address(text: str) -> Address | None:
    """The address in `text`, as a server or a proxy writes it; None if it can't be read.

    It may have a port, brackets, quotes or a zone. An IPv4-mapped address is the IPv4 address (RFC 4291, section
    2.5.5.2): a dual-stack socket reports IPv4 clients so.
    """
    return _read_address(text) if len(text) <= MAX_ADDRESS_LENGTH else None


@lru_cache(maxsize=4096)
def _read_address(text: str) -> Address | None:
    text = text.strip(" \t\"'")
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        text = found[1] or found[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    """Whether `address` is in one of `networks`."""
    return any(address in network for network in networks)


def read_networks(text: str) -> tuple[Network, ...]:
    """The addresses and CIDR blocks in `text`, separated by commas. Raises ValueError for anything else, and for a
    block of all addresses.
    """
    try:
        networks = to_networks(normalise_allowed(text.split(",")))
    except InvalidRequest as error:
        raise ValueError(error.message) from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("every address")
    return networks


def normalise_allowed(texts: Sequence[str]) -> tuple[str, ...]:
    """IP addresses and CIDR blocks in canonical form, in the order given, each once.

    IPv4-mapped IPv6 addresses become IPv4 ones. Raises InvalidRequest for an empty list, for more than 50 entries and
    for anything that is not an address or a block.
    """
    if not texts:
        raise _error("allowed_ips requires at least one address. Leave it out, or give null, to allow any address.")
    if len(texts) > MAX_ALLOWED:
        raise _error(f"allowed_ips can have at most {MAX_ALLOWED} entries.")
    return tuple(dict.fromkeys(_spell(_parse(text.strip())) for text in texts))


def to_networks(allowed: Iterable[str]) -> tuple[Network, ...]:
    """The networks that `normalise_allowed` returned as text."""
    return tuple(ip_network(text) for text in allowed)


def is_allowed(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether `address` is in one of `networks`, or there are none. An unreadable address is in no network."""
    if not networks:
        return True
    presented = read_address(address)
    return presented is not None and is_in(presented, networks)


def subscriber_of(address: str) -> str:
    """The key under which to count the requests of `address`: itself, or the /64 of an IPv6 address.

    One household has 2⁶⁴ IPv6 addresses, which must not count as so many clients. An address that carries an IPv4
    address, because of a tunnel or a translator, counts as that one. Text that is no address is returned as it is.
    """
    presented = read_address(address) if ":" in address else None
    if presented is None:
        return address
    carried = _carried_address(presented) if isinstance(presented, IPv6Address) else presented
    return str(carried or ip_network(f"{presented}/{SUBSCRIBER_BITS}", strict=False))


def _carried_address(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address of a client behind NAT64 (RFC 6052), 6to4 (RFC 3056) or Teredo (RFC 4380); None for others."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def networks_around(subscriber: str) -> tuple[str, ...]:
    """The /56 and the /48 around a subscriber that `subscriber_of` returned; none around an IPv4 address."""
    if ":" not in subscriber:
        return ()
    try:
        network = ip_network(subscriber)
    except ValueError:
        return ()
    return tuple(str(network.supernet(new_prefix=bits)) for bits in SITE_BITS)


def are_within(given: tuple[str, ...], bounds: tuple[str, ...]) -> bool:
    """Whether every address of `given` is in `bounds`. An empty list means every address."""
    if not bounds or not given:
        return not bounds
    merged = _merge(to_networks(bounds))
    return all(any(_lies_in(network, bound) for bound in merged) for network in to_networks(given))


def _merge(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    # A block may be listed as two halves. After the merge, a block is allowed exactly when one block contains it.
    fours = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    sixes = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return (*fours, *sixes)


def _lies_in(network: Network, bound: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(bound, IPv4Network) and network.subnet_of(bound)
    return isinstance(bound, IPv6Network) and network.subnet_of(bound)


def _parse(text: str) -> Network:
    _, slash, length = text.partition("/")
    # Masks (255.0.0.0 and its inverse) are ambiguous, and a zone is valid on one machine only.
    if "%" in text or (slash and not (length.isascii() and length.isdigit())):
        raise _not_an_address(text)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise _not_an_address(text) from None
    if slash and str(network.network_address) != str(ip_address(text.partition("/")[0])):
        raise _error(f"{text} has bits set beyond its length; the block is {network}.")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((str(mapped), network.prefixlen - 96))
    return network


def _spell(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _not_an_address(text: str) -> InvalidRequest:
    return _error(f"{text[:50]!r} is neither an IP address nor a block like 203.0.113.0/24 or 2001:db8::/32.")


def _error(message: str) -> InvalidRequest:
    return InvalidRequest.in_field("allowed_ips", message)
