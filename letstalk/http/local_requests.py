"""Whether a request comes from this machine, and where the links that we give out begin."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, request

from letstalk.config.values import is_loopback


def is_own_laptop() -> bool:
    """Whether this is a developer's plain `curl` to a server on the same machine.

    Each check excludes something else: a tunnel or proxy (forwarding headers), a web page (Origin, Sec-Fetch-Site, the
    form types that a browser sends without a preflight), DNS rebinding (Host), a service that is reachable from outside
    (PUBLIC_URL).
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

    A local proxy forwards requests of strangers with their Host, often without a header that shows it. A page whose
    name was rebound to 127.0.0.1 sends that name.
    """
    asked_for = urlsplit(f"//{request.host}").hostname
    return is_loopback(request.remote_addr or "") and is_loopback(asked_for or "") and not came_through_a_proxy()


def came_through_a_proxy() -> bool:
    return any(
        name.lower() in ("forwarded", "x-real-ip") or name.lower().startswith("x-forwarded-")
        for name in request.headers.keys()  # noqa: SIM118  # werkzeug's headers iterate as pairs
    )


def link_base() -> str:
    """PUBLIC_URL; without it, in development on the same machine, the request's own host.

    Otherwise empty, so that links are paths: a client can send any Host, and no email may lead there.
    """
    public_url: str | None = current_app.config["PUBLIC_URL"]
    if public_url is not None:
        return public_url
    is_own_laptop = current_app.config["LOOPBACK_MAY_MANAGE_TOKENS"] and is_local()
    return request.host_url.rstrip("/") if is_own_laptop else ""
