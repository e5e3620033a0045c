"""Where the links that we hand out begin."""

from __future__ import annotations

from flask import current_app, request

from letstalk.http.local_requests import is_local


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
