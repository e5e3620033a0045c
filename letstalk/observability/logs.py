"""Structured logs: one line an event, with the ids of what it is about, and never a secret."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from contextlib import nullcontext, suppress
from functools import lru_cache
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

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


@lru_cache(maxsize=512)
def _reader_of(name: str) -> tuple[str, Callable[[str, Any], Any]]:
    """The field's name as it may be shown, and what reads its value."""
    return redact_text(name), _READERS.get(name, redact_field)


def _redact(entry: MutableMapping[str, Any]) -> dict[str, Any]:
    redacted = {}
    for name, value in entry.items():
        shown, read = _reader_of(name)
        redacted[shown] = read(name, value)
    return redacted


def _as_json(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> str:
    redacted = _redact(entry)
    try:
        line = orjson.dumps(redacted).decode()
    except TypeError:  # a number of over 64 bits, or half a character: valid in JSON, too odd for orjson
        return json.dumps(redacted)
    return line if line.isascii() else json.dumps(redacted)  # U+2028 and its like end a line for many a reader


class _ForPeople:
    """A renderer of columns, for a developer's terminal."""

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)

    def __call__(self, logger: Any, name: str, entry: MutableMapping[str, Any]) -> str:
        return self._render(logger, name, _redact(entry))


def configure_logs(*, as_json: bool, level: str = "INFO") -> None:
    """Send our lines, and the libraries' warnings, to standard error: JSON for machines, columns for people."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, _as_json if as_json else _ForPeople()]
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    structlog.configure(
        # Not by way of `logging`, which libraries use: of the 60 µs that a line cost, 40 went to its records.
        processors=[*shared, _Renderer(last)],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    # Its lines for each request would repeat ours, with the query.
    logging.getLogger("werkzeug").setLevel("WARNING")
    # One line for each request that must wait for a thread: what waits is in the metrics, and the line costs more.
    logging.getLogger("waitress.queue").setLevel("ERROR")
    # Where a test runner or a debugger has put its own, theirs stays.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_dead_thread
    if as_json:
        logging.captureWarnings(True)


class _Renderer:
    """The end of our lines' way: what can't be written is said to be lost, and breaks nothing that was being done."""

    def __init__(self, steps: list[Any]) -> None:
        self._steps = steps

    def __call__(self, logger: _Lines, method: str, entry: Any) -> str:
        try:
            for step in self._steps:
                entry = step(logger, method, entry)
        except Exception:  # whatever a value's own `repr` raised
            return _lost(logger.name, None)
        return str(entry)


class _Lines:
    """What structlog hands our finished lines to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, line: str) -> None:
        # Looked up each time: a logger, once used, outlives a second call of `configure_logs`.
        for handler in logging.getLogger().handlers:
            if isinstance(handler, _Handler):
                handler.write(line)

    debug = info = warning = error = critical = exception = write


class _Handler(logging.StreamHandler[Any]):
    def write(self, line: str) -> None:
        """Write a finished line as one piece, whatever other threads write meanwhile."""
        with self.lock or nullcontext(), suppress(OSError, ValueError):  # a terminal that is gone
            self.stream.write(line + "\n")
            self.stream.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """In place of logging's own report, which quotes the line whole, before anything was redacted."""
        self.write(_lost(record.name, record.lineno))


def _lost(logger: str, line: int | None) -> str:
    return json.dumps({"event": "log_line_lost", "level": "error", "logger": logger, "line": line})


def _log_dead_thread(died: threading.ExceptHookArgs) -> None:
    """In place of a traceback that is no line of the log and that nothing has redacted."""
    if died.exc_type is SystemExit:
        return
    failure: tuple[type[BaseException], BaseException | None, TracebackType | None]
    failure = (died.exc_type, died.exc_value, died.exc_traceback)
    name = died.thread.name if died.thread is not None else None
    get_logger(__name__).error("thread_died", thread=name, exc_info=failure)


def get_logger(name: str) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger
