"""A request's id, its line in the log and its place in the metrics."""

from __future__ import annotations

import time
import uuid

import structlog
from flask import Flask, Response, g, request

from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import request_seconds

log = get_logger(__name__)


def begin_request() -> None:
    """Give the request an id of our own: one from outside could be chosen to mislead whoever reads the log."""
    g.request_id = str(uuid.uuid4())
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def finish_request(response: Response) -> Response:
    elapsed_seconds = time.perf_counter() - g.get("started", time.perf_counter())
    response.headers["X-Request-Id"] = g.get("request_id", "")
    if request.path.startswith(("/calls", "/api/")):
        response.headers.setdefault("Cache-Control", "no-store")
    # The rule, not the path: a path's ids would make a label, and a query's phone a line, that should not be.
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in KNOWN_METHODS else "other"
    request_seconds.labels(method, route, str(response.status_code)).observe(elapsed_seconds)
    milliseconds = round(elapsed_seconds * 1000, 1)
    log.info(
        "request",
        method=method,
        route=route,
        status=response.status_code,
        milliseconds=milliseconds,
    )
    return response


KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def init_requests(app: Flask) -> None:
    app.before_request(begin_request)
    app.after_request(finish_request)
