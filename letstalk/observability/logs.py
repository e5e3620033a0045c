"""Structured logs: one line an event, with the ids of what it is about, and never a secret."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import structlog

from letstalk.observability.redaction import mask_phone as mask_phone  # named here for everyone who logs
from letstalk.observability.redaction import redact, redact_field, redact_text

# `with about(call_id=…):` puts the id into every line that is logged within, whoever logs it.
about = structlog.contextvars.bound_contextvars


def _as_it_is(_name: str, value: Any) -> Any:
    return value


def _as_text(_name: str, value: Any) -> Any:
    return redact(value)


# What this module puts into each line itself, and what was made to be read.
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "level": _as_it_is,
    "logger": _as_it_is,
    "timestamp": _as_it_is,
    "event": _as_text,
    "exception": _as_text,
    "stack": _as_text,
}


def _redact(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {redact_text(name): _READERS.get(name, redact_field)(name, value) for name, value in entry.items()}


def configure_logs(*, as_json: bool, level: str = "INFO") -> None:
    """Send our lines, and the libraries' warnings, to standard error: JSON for machines, columns for people."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, _redact]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    logging.getLogger("letstalk").setLevel(level)
    # Its lines for each request would repeat ours, with the query.
    logging.getLogger("werkzeug").setLevel("WARNING")
    # Where a test runner or a debugger has put its own, theirs stays.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_dead_thread
    if as_json:
        logging.captureWarnings(True)


class _Handler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """In place of logging's own report, which quotes the line whole, before anything was redacted."""
        line = {"event": "log_line_lost", "level": "error", "logger": record.name, "line": record.lineno}
        with suppress(OSError, ValueError):  # a terminal that is gone
            self.stream.write(json.dumps(line) + "\n")


def _log_dead_thread(died: threading.ExceptHookArgs) -> None:
    """In place of a traceback that is no line of the log and that nothing has redacted."""
    if died.exc_type is SystemExit:
        return
    failure: tuple[type[BaseException], BaseException | None, TracebackType | None]
    failure = (died.exc_type, died.exc_value, died.exc_traceback)
    name = died.thread.name if died.thread is not None else None
    get_logger(__name__).error("thread_died", thread=name, exc_info=failure)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
