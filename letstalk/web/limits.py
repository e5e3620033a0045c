"""Request limits: per address, per token and on sign-in, with the headers that tell a client where it stands."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any

from flask import Flask, current_app
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.storage import Storage

from letstalk.domain.addresses import subscriber_of
from letstalk.domain.errors import TooManyRequests
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import limit_storage_away_total
from letstalk.web.security_headers import MORE_HEADERS

log = get_logger(__name__)

ASK_AGAIN_SECONDS = 2.0
MAX_REMEMBERED = 4096
LEAST_REMAINING = "letstalk.least_remaining"
SIGN_IN_LIMIT = "5 per minute; 30 per hour"
# Each leaves a row behind. A whole office may share one address.
DEPARTURE_LIMIT = "60 per minute"
MAIL_LIMIT = "10 per minute; 30 per hour"  # how often a mailbox is written to, the links themselves say

Environ = dict[str, Any]


class RequestLimits:
    """Counts requests in the limiter's storage, and in this process while that storage is away.

    Falling back to memory rather than refusing: a limit that is a few times looser for as long as Redis is away
    is a smaller harm than a sign-in that nobody can finish. The limits that cost money (per phone) are in the
    database and do not depend on Redis.

    Each check takes the request as WSGI has it: where the client stands is left there for its answer's headers.
    """

    def __init__(self, limiter: Limiter, fallback: Storage, *, token: str | None, address: str | None) -> None:
        """`token` and `address` in Flask-Limiter's words; None switches that limit off."""
        self._limiter = limiter
        self._fallback = fallback
        self._token = _parse(token)
        self._address = _parse(address)
        self._sign_in = _parse(SIGN_IN_LIMIT)
        self._departure = _parse(DEPARTURE_LIMIT)
        self._mail = _parse(MAIL_LIMIT)
        self._away_until = 0.0
        self._reset_times: dict[str, float] = {}

    def check_address(self, environ: Environ) -> None:
        """Count a request from its address. Raises TooManyRequests when it is one too many."""
        self._check(environ, "address", subscriber_of(address_of(environ)), self._address)

    def check_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None:
        """Count a request of a token, by its own limit if it has one. Raises TooManyRequests."""
        self._check(environ, "token", token_id, self._token if own_limit is None else _parse(own_limit))

    def check_sign_in(self, environ: Environ) -> None:
        """Count a try to sign in from the address. Raises TooManyRequests."""
        self._check(environ, "sign_in", subscriber_of(address_of(environ)), self._sign_in)

    def check_mail(self, environ: Environ) -> None:
        """Count a request that has someone mailed. Raises TooManyRequests."""
        self._check(environ, "mail", subscriber_of(address_of(environ)), self._mail)

    def check_departure(self, environ: Environ) -> None:
        """Count a browser that goes off to sign in elsewhere. Raises TooManyRequests."""
        self._check(environ, "departure", subscriber_of(address_of(environ)), self._departure)

    def _check(self, environ: Environ, kind: str, key: str, items: tuple[RateLimitItem, ...]) -> None:
        for item in items:
            if time.monotonic() < self._away_until:
                self._hit(environ, self._fallback, item, kind, key)
                continue
            try:
                self._hit(environ, self._limiter.storage, item, kind, key)
            except TooManyRequests:
                raise
            except Exception as error:  # each storage has its own exceptions; whichever it is, count here instead
                # A storage that hangs costs its time-out: not for each request, but once in a while.
                self._away_until = time.monotonic() + ASK_AGAIN_SECONDS
                limit_storage_away_total.inc()
                log.warning("limit_storage_away", error=type(error).__name__)
                self._hit(environ, self._fallback, item, kind, key)

    def _reset_time(self, storage: Storage, name: str) -> float:
        """When the window ends, in Unix seconds: asked for once a window, since it does not move."""
        known = self._reset_times.get(name)
        if known is None or known <= time.time():
            if len(self._reset_times) >= MAX_REMEMBERED:
                self._reset_times.clear()
            known = self._reset_times[name] = storage.get_expiry(name)
        return known

    def _hit(self, environ: Environ, storage: Storage, item: RateLimitItem, kind: str, key: str) -> None:
        """Count one, by the storage itself: `FixedWindowRateLimiter` reads there again what this knows already."""
        name = _key_for(item, kind, key)
        used = storage.incr(name, item.get_expiry())
        remaining = item.amount - used
        reset_seconds = max(1, math.ceil(self._reset_time(storage, name) - time.time()))
        _state(environ, item, max(0, remaining), reset_seconds)
        if remaining < 0:
            raise TooManyRequests(
                f"Too many requests: at most {item}. Wait {reset_seconds} s.", retry_after_seconds=reset_seconds
            )


@lru_cache(maxsize=1024)
def _parse(words: str | None) -> tuple[RateLimitItem, ...]:
    return () if words is None or words == "off" else tuple(parse_many(words))


@lru_cache(maxsize=MAX_REMEMBERED)
def _key_for(item: RateLimitItem, kind: str, key: str) -> str:
    return item.key_for(kind, key)


def address_of(environ: Environ) -> str:
    """Where a request comes from, as far as the proxies in front are believed."""
    return environ.get("REMOTE_ADDR") or "unknown"


def request_limits() -> RequestLimits:
    limits: RequestLimits = current_app.extensions["letstalk_limits"]
    return limits


def _state(environ: Environ, item: RateLimitItem, remaining: int, reset_seconds: int) -> None:
    """Tell the client its tightest limit, as the IETF's RateLimit header fields draft writes it."""
    if remaining < environ.get(LEAST_REMAINING, math.inf):
        environ[LEAST_REMAINING] = remaining
        headers = environ[MORE_HEADERS]
        headers["RateLimit-Policy"] = f'"default";q={item.amount};w={item.get_expiry()}'
        headers["RateLimit"] = f'"default";r={remaining};t={reset_seconds}'


def init_limits(app: Flask, limits: RequestLimits) -> None:
    app.extensions["letstalk_limits"] = limits
