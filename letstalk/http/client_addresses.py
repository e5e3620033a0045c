"""Which client a request is from, where proxies forward it: their headers are believed, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from letstalk.config.values import is_loopback_host_header
from letstalk.core.ip_addresses import Address, Network, is_in, read_address
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

FORWARDED_FOR, FORWARDED_PROTO = "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"


class ClientAddresses:
    """Middleware that sets `REMOTE_ADDR` and `wsgi.url_scheme` to what trusted proxies say.

    `REMOTE_ADDR` gets one spelling: no port, no zone, an IPv4-mapped address as IPv4. If the proxies name no address,
    or one that can't be read, it stays that of the connection, and the log says so once. Only `X-Forwarded-For` and
    `X-Forwarded-Proto` are read. `Host` stays what the client sent: a proxy that does not overwrite `X-Forwarded-Host`
    would let it be forged.
    """

    def __init__(self, wsgi_app: Any, proxies: int | tuple[Network, ...]) -> None:
        """`proxies` are the networks of the trusted ones; or their number, where nobody else can connect."""
        self._app = wsgi_app
        self._proxies = proxies
        self._reported: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        peer = read_address(environ.get("REMOTE_ADDR") or "")
        if peer is not None:
            client, hops = self._find_client(peer, environ)
            environ["REMOTE_ADDR"] = str(client)
            if hops:
                self._set_scheme(environ, hops)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _find_client(self, peer: Address, environ: dict[str, Any]) -> tuple[Address, int]:
        """The client, and how many trusted proxies forwarded its request."""
        proxies = self._proxies
        if not proxies or (isinstance(proxies, tuple) and not is_in(peer, proxies)):
            return peer, 0
        header = environ.get(FORWARDED_FOR)
        if header is None:
            # A probe or an operator on the same machine asks without a proxy.
            if not is_loopback_host_header(environ.get("HTTP_HOST", "")):
                self._report("X-Forwarded-For is missing")
            return peer, 1
        values = header.split(",")
        if isinstance(proxies, int):
            if len(values) < proxies:
                self._report("X-Forwarded-For has fewer addresses than TRUSTED_PROXIES counts")
                return peer, proxies
            client, hops = read_address(values[-proxies]), proxies
        else:
            client, hops = _walk(values, proxies)
        if client is None:
            self._report("X-Forwarded-For has an address that can't be read")
        return client or peer, hops

    def _set_scheme(self, environ: dict[str, Any], hops: int) -> None:
        schemes = environ.get(FORWARDED_PROTO, "").split(",")
        # A proxy may replace what the one before it wrote, instead of adding to it.
        scheme = schemes[-min(hops, len(schemes))].strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme

    def _report(self, reason: str) -> None:
        if reason not in self._reported:
            self._reported.add(reason)
            log.warning("forwarded_address_ignored", reason=f"{reason}: the client counts as the proxy")


def _walk(values: list[str], proxies: tuple[Network, ...]) -> tuple[Address | None, int]:
    """The first address from the right that is no proxy's, or the last one if all are; and the number of proxies."""
    hops = 1
    while True:
        client = read_address(values[-hops])
        if client is None or not is_in(client, proxies) or hops == len(values):
            return client, hops
        hops += 1
