"""Whether a request comes from this very machine, and from nothing that imitates it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import current_app, request


def is_own_laptop() -> bool:
    """Whether this is a developer's plain `curl` to a server on the same machine, and nothing that imitates it.

    Each refusal closes one way in: a tunnel or proxy (forwarding headers), a web page (Origin, Sec-Fetch-Site, the
    form types that a browser sends without asking), DNS rebinding (Host), a service that is reachable from outside
    (PUBLIC_URL).
    """
    if not current_app.config["LOOPBACK_MAY_MANAGE_TOKENS"]:
        return False
    if not is_local():
        return False
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    return not has_body or request.mimetype == "application/json"


def is_local() -> bool:
    """Whether the request comes from this machine and asks for this machine.

    A proxy beside us passes on names that strangers asked for, often without a header that says so; a page whose name
    was rebound to 127.0.0.1 asks for that name.
    """
    asked_for = urlsplit(f"//{request.host}").hostname
    return is_loopback(request.remote_addr) and is_loopback(asked_for) and not came_through_a_proxy()


def came_through_a_proxy() -> bool:
    return any(
        name.lower() in ("forwarded", "x-real-ip") or name.lower().startswith("x-forwarded-")
        for name in request.headers.keys()  # noqa: SIM118  # werkzeug's headers iterate as pairs
    )


def is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def link_base() -> str:
    """PUBLIC_URL; without it, in development on the same machine, the address that was asked. Else nothing: links are
    paths then, because whoever asks can claim any host, and a mail must not lead there.
    """
    public_url: str | None = current_app.config["PUBLIC_URL"]
    if public_url is not None:
        return public_url
    # Which is so in development alone.
    is_own_laptop = current_app.config["LOOPBACK_MAY_MANAGE_TOKENS"] and is_local()
    return request.host_url.rstrip("/") if is_own_laptop else ""
