"""Request limits: per address, per token and on sign-in, with the headers that tell a client where it stands."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, current_app
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many

from letstalk.core.errors import TooManyRequests
from letstalk.core.ip_addresses import subscriber_of
from letstalk.http.limit_windows import Hit, SharedWindows, Windows
from letstalk.http.security_headers import MORE_HEADERS
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import limit_storage_away_total

log = get_logger(__name__)

ASK_AGAIN_SECONDS = 2.0
MAX_REMEMBERED = 4096
LEAST_REMAINING = "letstalk.least_remaining"
SIGN_IN_LIMIT = "5 per minute; 30 per hour"
# Each leaves a row behind. A whole office may share one address.
DEPARTURE_LIMIT = "60 per minute"
MAIL_LIMIT = "10 per minute; 30 per hour"  # how often a mailbox is written to, the links themselves say

Environ = dict[str, Any]


class Limit(NamedTuple):
    """A limit in words, and what a request counts there."""

    words: str
    hit: Hit


class RequestLimits:
    """Counts requests in the limiter's storage, and in this process while that storage is away.

    Falling back to memory rather than refusing: a limit that is a few times looser for as long as Redis is away
    is a smaller harm than a sign-in that nobody can finish. The limits that cost money (per phone) are in the
    database and do not depend on Redis.

    Each check takes the request as WSGI has it: where the client stands is left there for its answer's headers.
    """

    def __init__(self, limiter: Limiter, fallback: Windows, *, token: str | None, address: str | None) -> None:
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
        self._check(environ, self._of_address(environ, "address", self._address))

    def check_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None:
        """Count a request of a token, by its own limit if it has one. Raises TooManyRequests."""
        self._check(environ, self._of_token(token_id, own_limit))

    def check_address_and_token(self, environ: Environ, token_id: str, own_limit: str | None) -> None:
        """Both at once, first the address. Raises TooManyRequests."""
        self._check(environ, self._of_address(environ, "address", self._address) + self._of_token(token_id, own_limit))

    def check_sign_in(self, environ: Environ) -> None:
        """Count a try to sign in from the address. Raises TooManyRequests."""
        self._check(environ, self._of_address(environ, "sign_in", self._sign_in))

    def check_mail(self, environ: Environ) -> None:
        """Count a request that has someone mailed. Raises TooManyRequests."""
        self._check(environ, self._of_address(environ, "mail", self._mail))

    def check_departure(self, environ: Environ) -> None:
        """Count a browser that goes off to sign in elsewhere. Raises TooManyRequests."""
        self._check(environ, self._of_address(environ, "departure", self._departure))

    def _of_address(self, environ: Environ, kind: str, items: tuple[RateLimitItem, ...]) -> tuple[Limit, ...]:
        return _limits_of(kind, subscriber_of(address_of(environ)), items)

    def _of_token(self, token_id: str, own_limit: str | None) -> tuple[Limit, ...]:
        return _limits_of("token", token_id, self._token if own_limit is None else _parse(own_limit))

    def _check(self, environ: Environ, limits: tuple[Limit, ...]) -> None:
        """Count one request by each of `limits`, as far as the first that it is beyond."""
        if not limits:
            return
        hits = [limit.hit for limit in limits]
        windows: Windows | SharedWindows = self._limiter.storage  # type: ignore[assignment]  # one of ours
        if time.monotonic() < self._away_until:
            windows = self._fallback
        try:
            counts = windows.count(hits)
        except Exception as error:  # each storage has its own exceptions; whichever it is, count here instead
            # A storage that hangs costs its time-out: not for each request, but once in a while.
            self._away_until = time.monotonic() + ASK_AGAIN_SECONDS
            limit_storage_away_total.inc()
            log.warning("limit_storage_away", error=type(error).__name__)
            windows = self._fallback
            counts = windows.count(hits)
        for limit, used in zip(limits, counts, strict=False):
            self._judge(environ, limit, used, windows)

    def _judge(self, environ: Environ, limit: Limit, used: int, windows: Windows | SharedWindows) -> None:
        remaining = limit.hit.amount - used
        reset_seconds = max(1, math.ceil(self._reset_time(windows, limit.hit.key) - time.time()))
        _state(environ, limit.hit, max(0, remaining), reset_seconds)
        if remaining < 0:
            raise TooManyRequests(
                f"Too many requests: at most {limit.words}. Wait {reset_seconds} s.", retry_after_seconds=reset_seconds
            )

    def _reset_time(self, windows: Windows | SharedWindows, name: str) -> float:
        """When the window ends, in Unix seconds: asked for once a window, since it does not move."""
        known = self._reset_times.get(name)
        if known is None or known <= time.time():
            if len(self._reset_times) >= MAX_REMEMBERED:
                self._reset_times.clear()
            known = self._reset_times[name] = windows.get_expiry(name)
        return known


@lru_cache(maxsize=1024)
def _parse(words: str | None) -> tuple[RateLimitItem, ...]:
    return () if words is None or words == "off" else tuple(parse_many(words))


@lru_cache(maxsize=MAX_REMEMBERED)
def _limits_of(kind: str, key: str, items: tuple[RateLimitItem, ...]) -> tuple[Limit, ...]:
    return tuple(Limit(str(item), Hit(item.key_for(kind, key), item.get_expiry(), item.amount)) for item in items)


def address_of(environ: Environ) -> str:
    """Where a request comes from, as far as the proxies in front are believed."""
    return environ.get("REMOTE_ADDR") or "unknown"


def request_limits() -> RequestLimits:
    limits: RequestLimits = current_app.extensions["letstalk_limits"]
    return limits


def _state(environ: Environ, hit: Hit, remaining: int, reset_seconds: int) -> None:
    """Tell the client its tightest limit, as the IETF's RateLimit header fields draft writes it."""
    if remaining < environ.get(LEAST_REMAINING, math.inf):
        environ[LEAST_REMAINING] = remaining
        headers = environ[MORE_HEADERS]
        headers["RateLimit-Policy"] = f'"default";q={hit.amount};w={hit.window_seconds}'
        headers["RateLimit"] = f'"default";r={remaining};t={reset_seconds}'


def init_limits(app: Flask, limits: RequestLimits) -> None:
    app.extensions["letstalk_limits"] = limits
