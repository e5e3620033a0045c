"""Flask extensions, created unbound; the factory binds them."""

from __future__ import annotations

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFProtect

from letstalk.http import limit_windows as limit_windows  # registers the schemes that are named below

csrf = CSRFProtect()


def make_limiter(app: Flask, redis_url: str | None) -> Limiter:
    """A limiter that counts in Redis, or in this process without one.

    One an application, not one a process: tests build several applications, and their counts must not meet.
    Nothing is checked automatically: its own machinery costs 105 µs a request where the counting costs 3
    (shared/costs.md), so `web/limits.py` asks the storage.
    """
    limiter = Limiter(
        key_func=get_remote_address,
        storage_uri=f"letstalk+{redis_url}" if redis_url else "letstalk://",
        storage_options={"socket_timeout": 1, "socket_connect_timeout": 1} if redis_url else {},
        strategy="fixed-window",
        key_prefix="letstalk",
    )
    # It hooks itself into each request only where it does not find itself here.
    app.extensions.setdefault("limiter", set()).add(limiter)
    limiter.init_app(app)
    return limiter
