"""A request's id, its line in the log and its place in the metrics.

At the WSGI level rather than in Flask's hooks: every response passes here, including those of the fast path and the
framework's own errors, and Flask's proxies and header objects cost more than all that is done with them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from flask import request
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from letstalk.core.actors import Actor
from letstalk.core.clock import utc_now
from letstalk.core.ids import new_id
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import request_seconds

log = get_logger(__name__)

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CALLER = "letstalk.caller"
REQUEST_ID = "letstalk.request_id"
ROUTE = "letstalk.route"


def current_request_id() -> str | None:
    request_id: str | None = request.environ.get(REQUEST_ID)
    return request_id


def request_id_of_log() -> str | None:
    """The id of the request that this thread handles, where Flask may know none; None outside of one."""
    request_id: str | None = get_contextvars().get("request_id")
    return request_id


def add_to_request_line(**fields: str) -> None:
    """Add fields to the line of the request that this thread handles, and to those that follow in it."""
    bind_contextvars(**fields)


class RequestLog:
    """Middleware that gives each request an id of our own: a client could choose one that misleads.

    The code that handles the request sets `environ[ROUTE]` to its route: a path with ids in it must not become a metric
    label, and a query with a phone in it must not become a log line. It sets `environ[CALLER]` to the actor it finds.
    """

    def __init__(self, wsgi_app: Any) -> None:
        self._app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = environ[REQUEST_ID] = new_id(utc_now())
        clear_contextvars()  # those of the request that this thread handled before
        bind_contextvars(request_id=request_id)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("X-Request-Id", request_id))
            _note(environ, status[:3], time.perf_counter() - started)
            return start_response(status, headers, exc_info)

        body: Iterable[bytes] = self._app(environ, start)
        return body


def _note(environ: dict[str, Any], status: str, elapsed_seconds: float) -> None:
    route = environ.get(ROUTE, "none")
    method = environ["REQUEST_METHOD"]
    if method not in KNOWN_METHODS:
        method = "other"
    request_seconds.labels(method, route, status).observe(elapsed_seconds)
    milliseconds = round(elapsed_seconds * 1000, 1)
    about = {"address": environ.get("REMOTE_ADDR"), **_describe(environ.get(CALLER))}
    log.info("request", method=method, route=route, status=int(status), milliseconds=milliseconds, **about)


def _describe(caller: Actor | None) -> dict[str, str]:
    """By what people recognise the caller, and for which owner it acts. The API calls an owner `user_id`."""
    if caller is None:
        return {}
    named = {"token_prefix": caller.token_prefix, "account_id": caller.account_id, "user_id": caller.owner_id}
    return {name: value for name, value in named.items() if value}
