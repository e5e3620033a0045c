"""Structured logs: one line an event, with the ids of what it is about, and never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from letstalk.observability.bindings import about as about  # named here, as the next, for everyone who logs
from letstalk.observability.bindings import bound_ids
from letstalk.observability.line_streams import LineStream
from letstalk.observability.redaction import mask_phone as mask_phone
from letstalk.observability.redaction import redact_fields

_ROOT = logging.getLogger()

# Makes a line, with its end, of fields that are fit to be read.
_Rendering = Callable[[dict[str, Any]], bytes]


_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def _as_json(fields: dict[str, Any]) -> bytes:
    try:
        line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except TypeError:  # a number of over 64 bits, or half a character: valid in JSON, too odd for orjson
        return json.dumps(_with_time_as_text(fields)).encode() + b"\n"
    if line.isascii():
        return line
    # U+2028 and its like end a line for many a reader. JSON has these only within its texts.
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], line.decode()).encode()


def _for_people() -> _Rendering:
    """In columns, for a developer's terminal."""
    render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    return lambda fields: f"{render(None, '', _with_time_as_text(fields))}\n".encode(errors="backslashreplace")


def _with_time_as_text(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"timestamp": fields["timestamp"].isoformat().replace("+00:00", "Z")}


def configure_logs(*, as_json: bool, level: str = "INFO") -> None:
    """Send our lines, and the libraries' warnings, to standard error: JSON for machines, columns for people."""
    structlog.configure(
        # Neither by way of `logging`, which libraries use, nor through a chain of processors: of the 60 µs that a line
        # cost, 40 went to the records of the one, and 10 to the links of the other.
        processors=[],
        logger_factory=str,  # what is wrapped is the logger's name
        wrapper_class=type("Logger", (structlog.make_filtering_bound_logger(level),), {"_proxy_to_logger": _hand_over}),
        cache_logger_on_first_use=True,
    )
    _ROOT.handlers = [_Handler(_as_json if as_json else _for_people())]
    _ROOT.setLevel("WARNING")
    # Its lines for each request would repeat ours, with the query.
    logging.getLogger("werkzeug").setLevel("WARNING")
    # One line for each request that must wait for a thread: what waits is in the metrics, and the line costs more.
    logging.getLogger("waitress.queue").setLevel("ERROR")
    # Where a test runner or a debugger has put its own, theirs stays.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_dead_thread
    if as_json:
        logging.captureWarnings(True)


def _hand_over(bound: structlog.BoundLoggerBase, level: str, event: str | None = None, /, **fields: Any) -> None:
    if event is not None:
        fields["event"] = event
    # Looked up each time: a logger, once used, outlives a second call of `configure_logs`.
    for handler in _ROOT.handlers:
        if isinstance(handler, _Handler):
            handler.log(bound._logger, level, {**bound._context, **fields} if bound._context else fields)


class _Handler(logging.StreamHandler[Any]):
    """Makes lines of our events, and of the libraries' records, and writes them."""

    def __init__(self, rendering: _Rendering) -> None:
        super().__init__()
        self._rendering = rendering
        self._output = LineStream()

    def log(self, logger: str, level: str, entry: Any) -> None:
        """Write an event of ours. What can't be rendered is said to be lost, and breaks nothing that was being done."""
        try:
            line = self._render(logger, level, entry)
        except Exception:  # whatever a value's own `repr` raised
            line = _lost(logger, None)
        self._output.write(self.stream, line)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry: dict[str, Any] = {"event": record.getMessage()}
            if record.exc_info:
                entry["exc_info"] = record.exc_info
            if record.stack_info:
                entry["stack_info"] = record.stack_info
            line = self._render(record.name, record.levelname.lower(), entry)
        except Exception:  # such as a message that its arguments do not fit
            self.handleError(record)
        else:
            self._output.write(self.stream, line)

    def _render(self, logger: str, level: str, entry: Any) -> bytes:
        """A line of what happened, whose, how grave, when and about what, and nothing unfit in it."""
        if "exc_info" in entry:
            entry = structlog.processors.format_exc_info(None, level, entry)
        fields = redact_fields(entry)
        for name, value in bound_ids().items():
            fields.setdefault(name, value)
        fields["level"] = level
        fields["logger"] = logger
        fields["timestamp"] = datetime.now(UTC)
        return self._rendering(fields)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """In place of logging's own report, which quotes the line whole, before anything was redacted."""
        self._output.write(self.stream, _lost(record.name, record.lineno))


def _lost(logger: str, line: int | None) -> bytes:
    lost = {"event": "log_line_lost", "level": "error", "logger": logger, "line": line}
    return json.dumps(lost).encode() + b"\n"


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
