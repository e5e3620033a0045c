"""Flask extensions, created unbound; the factory binds them."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFProtect
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.retry import Retry

LIMIT_KEY_PREFIX = "letstalk"
REDIS_TIMEOUT_SECONDS = 1

csrf = CSRFProtect()


def make_limiter(app: Flask, redis_url: str | None) -> Limiter:
    """A limiter that counts in Redis, and in this process without one or while it cannot be reached.

    Each application has its own: tests build several in one process, and their counts must not mix.
    """
    redis_options: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        # Once more for a connection that was closed while it was idle. The client's default waits for seconds.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisGone,)),
    }
    limiter = Limiter(
        key_func=get_remote_address,
        storage_uri=redis_url or "memory://",
        storage_options=redis_options if redis_url else {},
        strategy="fixed-window",
        key_prefix=LIMIT_KEY_PREFIX,
        in_memory_fallback_enabled=redis_url is not None,
    )
    limiter.init_app(app)
    return limiter
