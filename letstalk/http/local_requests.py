"""Whether a request comes from this machine, and where the links that we give out begin."""

from __future__ import annotations

from flask import current_app, request

from letstalk.config.values import is_loopback, is_loopback_host_header
from letstalk.core.ip_addresses import Network, is_in, read_address

# What programs and browsers send by themselves, and what our API takes. Proxies add many other headers (Via, Forwarded,
# X-Forwarded-For, CF-Ray, Fly-Client-IP, Tailscale-User-Login and so on), and new ones are invented.
_CLIENTS_HEADERS = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control"),
        *("connection", "content-encoding", "content-length", "content-type", "cookie", "dnt", "expect", "host"),
        *("http2-settings", "idempotency-key", "if-match", "if-modified-since", "if-none-match", "if-range"),
        *("keep-alive", "origin", "postman-token", "pragma", "priority", "purpose", "range", "referer", "save-data"),
        *("te", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "x-auth-token"),
        *("x-csrftoken", "x-prometheus-scrape-timeout-seconds", "x-requested-with", "x-user-id"),
    }
)
_BROWSERS_PREFIX = "sec-"  # no page can set one of these (Fetch, section 2.2.2)


def is_own_laptop() -> bool:
    """Whether this is a developer's plain `curl` to a server on the same machine.

    Each check excludes something else: a tunnel or proxy (see `is_local`), a web page (Origin, Sec-Fetch-Site, the form
    types that a browser sends without a preflight), a service that is reachable from outside (PUBLIC_URL). A tunnel
    that forwards bytes, and whose users write `Host: localhost`, can't be told apart from it: for those there is
    TOKENS_WITHOUT_CREDENTIALS=off.
    """
    if not current_app.config["LOOPBACK_MAY_MANAGE_TOKENS"] or not is_local():
        return False
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    return not has_body or request.mimetype == "application/json"


def is_local() -> bool:
    """Whether the request comes from this machine and its Host is this machine.

    A local proxy forwards requests of strangers with their Host, or by HTTP/1.0, or with a header that no client sends.
    A page whose name was rebound to 127.0.0.1 sends that name. The server takes the Host from an absolute target, and
    without any it takes its own address; it joins several into a list. So one Host must have been sent, beside a path.
    """
    environ = request.environ
    return (
        is_loopback(request.remote_addr or "")
        and is_loopback_host_header(environ.get("HTTP_HOST", ""))
        and environ.get("REQUEST_URI", "").startswith("/")
        and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and not came_through_a_proxy()
    )


def came_through_a_proxy() -> bool:
    """Whether the request has a header that clients do not send."""
    names = (name.lower() for name in request.headers.keys())  # noqa: SIM118  # werkzeug's headers iterate as pairs
    return any(name not in _CLIENTS_HEADERS and not name.startswith(_BROWSERS_PREFIX) for name in names)


def may_read_metrics() -> bool:
    """Whether METRICS_ADDRESSES lets the client read the metrics without a token. Without it, this machine may."""
    networks: tuple[Network, ...] | None = current_app.config["METRICS_ADDRESSES"]
    if networks is None:
        return is_local()
    client = read_address(request.remote_addr or "")
    return client is not None and is_in(client, networks)


def link_base() -> str:
    """PUBLIC_URL; without it, in development on the same machine, the request's own host.

    Otherwise empty, so that links are paths: a client can send any Host, and no email may lead there.
    """
    public_url: str | None = current_app.config["PUBLIC_URL"]
    if public_url is not None:
        return public_url
    is_asked_here = current_app.config["IS_ON_LOOPBACK_ONLY"] and is_local()
    return request.host_url.rstrip("/") if is_asked_here else ""
