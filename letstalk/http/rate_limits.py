"""Request limits: per address and per token, with the headers that tell a client what is left.

Flask-Limiter limits the ordinary routes. The fast path counts in the same windows without a request context, in the
storage that Flask-Limiter shares.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

from flask import Flask, current_app, request
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many
from limits.storage import Storage

from letstalk.core.errors import TooManyRequests
from letstalk.core.ip_addresses import subscriber_of
from letstalk.http.headers import MORE_HEADERS
from letstalk.observability.metrics import limit_storage_away_total

# Each of these requests stores a row. A whole office can share one address.
DEPARTURE_LIMIT = "60 per minute"
MAIL_LIMIT = "10 per minute; 30 per hour"  # a mailbox has limits of its own, for each kind of link

ADDRESS_SCOPE, TOKEN_SCOPE, CREATION_SCOPE = "address", "token", "token_creation"
MAIL_SCOPE, DEPARTURE_SCOPE = "mail", "departure"
# How an error names what was counted.
COUNTED = {
    ADDRESS_SCOPE: "from this address",
    TOKEN_SCOPE: "with this token",
    CREATION_SCOPE: "for new tokens",
    MAIL_SCOPE: "for a mail from this address",
    DEPARTURE_SCOPE: "for single sign-on from this address",
}
MAX_WINDOW_ENDS = 4096
FEWEST_TO_SWEEP = 1024

LIMIT_KEY_PREFIX = "letstalk"
REDIS_TIMEOUT_SECONDS = 1

LEAST_REMAINING = "letstalk.least_remaining"
LIMITED_TOKEN = "letstalk.limited_token"
CREATOR = "letstalk.creator"

Environ = dict[str, Any]
Check = Callable[[Environ], None]


class ProcessStorage(Storage):
    """A storage of `limits` for fixed windows. `limits` and Flask-Limiter find it by its scheme.

    The library's own storage in memory starts a thread every 10 ms to delete the windows that have ended. Here an
    increment that makes the windows twice as many as were left after the last sweep deletes them.
    """

    STORAGE_SCHEME = ["process"]  # noqa: RUF012  # as `limits` declares it

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}  # how many were counted, and when the window ends
        self._sweep_at = FEWEST_TO_SWEEP

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()  # it is never out of reach

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the window `key`, which begins now and lasts `expiry` seconds if there is none. Returns its count."""
        now = time.time()
        with self._lock:
            count, ends_at = self._windows.get(key, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + expiry
                if len(self._windows) >= self._sweep_at:
                    self._sweep(now)
            self._windows[key] = (count + amount, ends_at)
            return count + amount

    def get(self, key: str) -> int:
        count, ends_at = self._windows.get(key, (0, 0.0))
        return count if ends_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in Unix seconds; now if there is none."""
        return max(self._windows.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        """Delete every window. Returns how many there were."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._windows.pop(key, None)

    def _sweep(self, now: float) -> None:
        self._windows = {key: window for key, window in self._windows.items() if window[1] > now}
        self._sweep_at = max(FEWEST_TO_SWEEP, 2 * len(self._windows))


def make_limiter(app: Flask, redis_url: str | None) -> Limiter:
    """A limiter that counts in Redis, and in this process without one or while it cannot be reached.

    Each application has its own: tests build several in one process, and their counts must not mix.
    """
    limiter = Limiter(
        key_func=get_remote_address,
        storage_uri=redis_url or f"{ProcessStorage.STORAGE_SCHEME[0]}://",
        storage_options=_redis_options() if redis_url else {},
        strategy="fixed-window",
        key_prefix=LIMIT_KEY_PREFIX,
        in_memory_fallback_enabled=redis_url is not None,
    )
    limiter.init_app(app)
    return limiter


def _redis_options() -> dict[str, Any]:
    # Imported only with REDIS_URL: the client takes memory and time.
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisGone
    from redis.retry import Retry

    return {
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        # Once more for a connection that was closed while it was idle. The client's default waits for seconds.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisGone,)),
    }


class CallerLimits(Protocol):
    """What a request is counted by: the token or account of a known caller, the address of a stranger.

    Each method raises TooManyRequests.
    """

    def check_address(self, environ: Environ) -> None: ...

    def check_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None: ...


class RequestLimits:
    """Counts a request by Flask-Limiter, within its request context.

    While Redis cannot be reached, Flask-Limiter counts in this process rather than refuse: for that time a limit is a
    few times looser, which does less harm than a service that answers nobody. It asks Redis again after 1 to 32
    seconds. The limits that cost money (per phone) are in the database and do not depend on Redis.

    Each check raises TooManyRequests when the request is one too many, and adds the headers to the response.
    """

    def __init__(
        self, limiter: Limiter, *, token: str | None, address: str | None, token_creation: str | None = None
    ) -> None:
        """Each limit in Flask-Limiter's notation; None or `off` disables it."""
        self.limiter = limiter
        self.token = _notation(token)
        self.address = _notation(address)
        self._was_away = False
        self._count_address = self._counter(ADDRESS_SCOPE, self.address, _subscriber)
        self._count_token = self._counter(TOKEN_SCOPE, self._token_limit, _limited_token_id)
        creation = _notation(token_creation)
        self._count_creation = self._counter(CREATION_SCOPE, creation, _creator) if creation else None
        self._count_mail = self._counter(MAIL_SCOPE, MAIL_LIMIT, _subscriber)
        self._count_departure = self._counter(DEPARTURE_SCOPE, DEPARTURE_LIMIT, _subscriber)

    def check_address(self, environ: Environ) -> None:
        self._check(environ, self._count_address)

    def check_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None:
        """By the token's own limit if it has one."""
        environ[LIMITED_TOKEN] = (token_id, own_limit)
        self._check(environ, self._count_token)

    def check_token_creation(self, environ: Environ, creator: str | None) -> None:
        """Count a new token, or a new rate limit of one. A `creator` of None is not counted."""
        if creator is not None and self._count_creation is not None:
            environ[CREATOR] = creator
            self._check(environ, self._count_creation)

    def check_mail(self, environ: Environ) -> None:
        """Count a request that sends an email to somebody."""
        self._check(environ, self._count_mail)

    def check_departure(self, environ: Environ) -> None:
        """Count a browser that is redirected to an identity provider."""
        self._check(environ, self._count_departure)

    def _counter(self, scope: str, limit: str | Callable[[], str], key_func: Callable[[], str]) -> Callable[[], None]:
        def count() -> None:
            """Flask-Limiter counts before this is called."""

        count.__name__ = scope  # Flask-Limiter tells decorated functions apart by their names
        return self.limiter.shared_limit(limit, scope=scope, key_func=key_func)(count)

    def _token_limit(self) -> str:
        # Flask-Limiter also asks at the start of each request, when the token is not known yet.
        _, own_limit = request.environ.get(LIMITED_TOKEN, ("", None))
        return self.token if own_limit is None else _notation(own_limit)

    def _check(self, environ: Environ, count: Callable[[], None]) -> None:
        try:
            self._count(environ, count)
        except self.limiter.storage.base_exceptions:
            # Flask-Limiter raises this if another thread switched to memory while this one waited for Redis, or if
            # Redis failed after the request was counted. The second attempt counts in memory.
            self._count(environ, count)
        is_away = self.limiter.limiter.storage is not self.limiter.storage
        if is_away and not self._was_away:
            limit_storage_away_total.inc()
        self._was_away = is_away

    def _count(self, environ: Environ, count: Callable[[], None]) -> None:
        with suppress(RateLimitExceeded):  # raised below, with the time to wait
            count()
        for applied in self.limiter.current_limits:
            ends_at, scope = applied.window.reset_time, count.__name__
            _report(environ, scope, applied.limit, applied.remaining, ends_at, is_breached=applied.breached)


class FastPathLimits:
    """Counts a request without a request context, in the windows of `RequestLimits` and with the same headers."""

    def __init__(self, app: Flask, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits
        self._limiter = limits.limiter
        self._window_ends: dict[str, float] = {}

    def check_address(self, environ: Environ) -> None:
        """Count a request from its address. Raises TooManyRequests."""
        if not self._is_counted(environ, ADDRESS_SCOPE, subscriber_of(address_of(environ)), self._limits.address):
            self._check_in_context(environ, self._limits.check_address)

    def check_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None:
        limit = self._limits.token if own_limit is None else _notation(own_limit)
        if not self._is_counted(environ, TOKEN_SCOPE, token_id, limit):
            self._check_in_context(environ, lambda own: self._limits.check_token(own, token_id, own_limit))

    def _is_counted(self, environ: Environ, scope: str, key: str, limit: str) -> bool:
        """Whether the shared storage counted the request. Raises TooManyRequests if it is one too many."""
        storage = self._limiter.storage
        if self._limiter.limiter.storage is not storage:
            return False
        try:
            for item, window in _windows_of(limit, scope, key):
                # As the strategy's `hit`, which does not say how many are left.
                used = storage.incr(window, item.get_expiry())
                ends_at, left = self._window_end(window), item.amount - used
                _report(environ, scope, item, left, ends_at, is_breached=left < 0)
        except storage.base_exceptions:
            return False
        return True

    def _window_end(self, window: str) -> float:
        """When the window ends, in Unix seconds. It does not move, so Redis is asked once for each window."""
        ends_at = self._window_ends.get(window)
        if ends_at is None or ends_at <= time.time():
            if len(self._window_ends) >= MAX_WINDOW_ENDS:
                self._window_ends.clear()
            ends_at = self._window_ends[window] = self._limiter.storage.get_expiry(window)
        return ends_at

    def _check_in_context(self, environ: Environ, check: Check) -> None:
        """Have Flask-Limiter count, which falls back to memory and asks the storage again from time to time."""
        with self._app.request_context(environ):
            check(environ)


def init_limits(app: Flask, limits: RequestLimits) -> None:
    app.extensions["letstalk_limits"] = limits


def request_limits() -> RequestLimits:
    limits: RequestLimits = current_app.extensions["letstalk_limits"]
    return limits


def address_of(environ: Environ) -> str:
    """The client's address, as far as the proxies in front are trusted."""
    return environ.get("REMOTE_ADDR") or "unknown"


def _subscriber() -> str:
    return subscriber_of(address_of(request.environ))


def _limited_token_id() -> str:
    token_id: str = request.environ[LIMITED_TOKEN][0]
    return token_id


def _creator() -> str:
    creator: str = request.environ[CREATOR]
    return creator


def _notation(limit: str | None) -> str:
    """The limit as Flask-Limiter takes it, which reads an empty text as no limit."""
    return "" if limit is None or limit == "off" else limit


@lru_cache(maxsize=1024)
def _parse(limit: str) -> tuple[RateLimitItem, ...]:
    """In the order in which Flask-Limiter counts, so that both count the same windows up to the first refusal."""
    return tuple(sorted(parse_many(limit))) if limit else ()


@lru_cache(maxsize=4096)
def _windows_of(limit: str, scope: str, key: str) -> tuple[tuple[RateLimitItem, str], ...]:
    """Each part of the limit, and the name of its window: those that Flask-Limiter counts in."""
    return tuple((item, item.key_for(LIMIT_KEY_PREFIX, key, scope)) for item in _parse(limit))


def _report(
    environ: Environ, scope: str, item: RateLimitItem, remaining: int, ends_at: float, *, is_breached: bool
) -> None:
    """Tell the client its tightest limit, as in the IETF's draft of RateLimit headers. Raises TooManyRequests."""
    remaining = max(0, remaining)
    reset_seconds = max(1, math.ceil(ends_at - time.time()))
    if remaining < environ.get(LEAST_REMAINING, math.inf):
        environ[LEAST_REMAINING] = remaining
        headers = environ[MORE_HEADERS]
        headers["RateLimit-Policy"] = f'"default";q={item.amount};w={item.get_expiry()}'
        headers["RateLimit"] = f'"default";r={remaining};t={reset_seconds}'
    if is_breached:
        raise TooManyRequests(
            f"Too many requests {COUNTED[scope]}: at most {item}. Wait {reset_seconds} s.",
            retry_after_seconds=reset_seconds,
        )
