"""A request's id, its line in the log and its place in the metrics.

At the WSGI level rather than in Flask's hooks: every answer passes here, the framework's own refusals included, and
Flask's proxies and header objects cost more than all that is done with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import request
from structlog.contextvars import bind_contextvars, clear_contextvars

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import request_seconds

log = get_logger(__name__)

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_ID = "letstalk.request_id"
ROUTE = "letstalk.route"


def current_request_id() -> str | None:
    request_id: str | None = request.environ.get(REQUEST_ID)
    return request_id


class RequestLog:
    """Middleware. It gives each request an id of our own: one from outside could be chosen to mislead.

    What answers says in `environ[ROUTE]` which rule it was: a path's ids would make a label, and a query's phone a
    line, that should not be.
    """

    def __init__(self, wsgi_app: Any, once_committed: Callable[[Callable[[], None]], None]) -> None:
        """`once_committed` does what it is given when the answer is sure to be sent, or never."""
        self._app = wsgi_app
        self._once_committed = once_committed

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = environ[REQUEST_ID] = _new_id()
        clear_contextvars()  # the thread has answered other requests
        bind_contextvars(request_id=request_id)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("X-Request-Id", request_id))
            self._once_committed(lambda: _note(environ, status[:3], time.perf_counter() - started))
            return start_response(status, headers, exc_info)

        answer: Iterable[bytes] = self._app(environ, start)
        return answer


# Two bits of a random UUID say that it is one (RFC 9562, variant 10): what becomes of the digit that they stand in.
_WITH_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}


def _new_id() -> str:
    """A random UUID (version 4) as text: what `str(uuid4())` gives at three times the cost."""
    digits = os.urandom(16).hex()
    variant = _WITH_VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _note(environ: dict[str, Any], status: str, elapsed_seconds: float) -> None:
    route = environ.get(ROUTE, "none")
    method = environ["REQUEST_METHOD"]
    if method not in KNOWN_METHODS:
        method = "other"
    request_seconds.labels(method, route, status).observe(elapsed_seconds)
    milliseconds = round(elapsed_seconds * 1000, 1)
    log.info("request", method=method, route=route, status=int(status), milliseconds=milliseconds)
