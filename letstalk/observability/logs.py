"""Structured logs: one line per event, with the ids of what it is about, and never a secret.

Our own events go through structlog alone. Standard-library records (Waitress, Werkzeug, SQLAlchemy) go through
structlog's `ProcessorFormatter`, so that they are redacted and written in the same format.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from structlog.contextvars import bound_contextvars as bound_contextvars  # exported for every module that logs
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from letstalk.observability.redaction import is_uuid, redact_fields
from letstalk.observability.redaction import mask_phone as mask_phone
from letstalk.observability.terminal import escape_controls, has_controls

LINE_LOST = "log_line_lost"

# What every driver (PEP 249) and SQLAlchemy call the errors of a database that can't be used now.
_OUTAGES = frozenset({"OperationalError", "InterfaceError", "PendingRollbackError"})
_READ_ONLY_STATE = "25006"  # read_only_sql_transaction (PostgreSQL's documentation, appendix A)
_MAX_REASON = 200

_ROUTINE_ROUTES = ("/static/", "/docs/assets/", "/simulator/screen", "/simulator/leave")

_BLOCKS = frozenset({"exception", "stack"})  # fields of several lines

_ESCAPED = re.compile(r"[^\x00-\x7e]+")  # orjson escapes those below a space


class LogStream:
    """A binary file whose writes never raise, because logging must not break a request.

    A line that cannot be written (a closed pipe, a full disk) is lost.
    """

    def __init__(self, stream: Any) -> None:
        """`stream` is a text stream over bytes, as standard error is."""
        self.stream = stream

    def write(self, line: bytes) -> None:
        with suppress(OSError, ValueError, AttributeError):
            file = self.stream.buffer
            rest = memoryview(line)
            # An unbuffered stream (PYTHONUNBUFFERED) can accept part of a line.
            while rest and (count := file.write(rest)):
                rest = rest[count:]

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            self.stream.buffer.flush()


# The one place that lines are written to: loggers are cached, so they keep it for as long as the process runs.
log_stream: Any = LogStream(sys.stderr)  # typed as Any because structlog asks for a complete BinaryIO

# Loggers keep the list that they were first used with, so it is changed in place.
_processors: list[Processor] = []


def configure_logs(*, as_json: bool, level: str = "INFO", unshown: Collection[str] = ()) -> None:
    """Write our events, and the libraries' warnings, to standard error: as JSON, or in columns for a terminal.

    Only at the level DEBUG a terminal shows ids, requests for static files, those that a page makes by itself, and the
    events named in `unshown`.
    """
    log_stream.stream = sys.stderr
    render: list[Processor] = (
        [structlog.processors.JSONRenderer(serializer=_dump_json)]
        if as_json
        else [_quote_controls, _console_renderer(), _encode]
    )
    if not as_json and level != "DEBUG":
        render.insert(0, partial(_shorten_for_people, frozenset(unshown)))
    collect: list[Processor] = [
        *(structlog.contextvars.merge_contextvars, _shorten_outage, structlog.processors.format_exc_info, _redact)
    ]
    # Level and logger are words of ours, which need no redaction.
    identify: list[Processor] = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name]
    finish: list[Processor] = [structlog.processors.TimeStamper(fmt="iso", utc=True), *render]
    _processors[:] = [*collect, *identify, *finish]
    structlog.configure(
        processors=_processors,
        logger_factory=structlog.BytesLoggerFactory(log_stream),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _configure_standard_logging([*identify, ProcessorFormatter.remove_processors_meta, *collect, *finish, _decode])
    # A test runner or a debugger may have installed its own hook: that one is kept.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_dead_thread
    if as_json:
        logging.captureWarnings(True)


def get_logger(name: str) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _configure_standard_logging(processors: list[Processor]) -> None:
    handler = StandardLogHandler()
    handler.setFormatter(ProcessorFormatter(processors=processors))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING")
    # Its request lines would repeat ours, with the query string.
    logging.getLogger("werkzeug").setLevel("WARNING")
    # It logs a line for each request that waits for a thread. The metrics show the queue at a lower cost.
    logging.getLogger("waitress.queue").setLevel("ERROR")


class StandardLogHandler(logging.Handler):
    """Writes standard-library records through the same lock as our own lines, so that no two lines mix."""

    def __init__(self) -> None:
        super().__init__()
        self._output = structlog.BytesLogger(log_stream)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # for example, a message that its arguments do not fit
            self.handleError(record)
        else:
            self._output.msg(line.encode())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Replaces logging's own report, which quotes the record before it is redacted."""
        lost = {"event": LINE_LOST, "level": "error", "logger": record.name, "line": record.lineno}
        self._output.msg(json.dumps(lost).encode())


def is_read_only(error: BaseException) -> bool:
    """Whether PostgreSQL refused a write because it became a standby while the connection stayed alive."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == _READ_ONLY_STATE


def describe_outage(error: BaseException) -> dict[str, str] | None:
    """What to log where no file is left, or about a database that is away, full, read-only or too busy; None for any
    other error.
    """
    cause = getattr(error, "orig", None) or error
    names = {kind.__name__ for kind in (*type(error).__mro__, type(cause))}
    is_outage = isinstance(error, NoConnectionFree) or getattr(error, "connection_invalidated", False)
    is_outage = is_outage or (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE))
    if not (is_outage or names & _OUTAGES or is_read_only(error)):
        return None
    return {"error": type(cause).__name__, "reason": str(cause).split("\n")[0][:_MAX_REASON]}


def _shorten_outage(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """One line instead of a traceback: a database that is away fails many times a second, for the same reason."""
    failure = event.get("exc_info")
    error = sys.exc_info()[1] if failure is True else failure[1] if isinstance(failure, tuple) else failure
    outage = describe_outage(error) if isinstance(error, BaseException) else None
    if outage is not None:
        del event["exc_info"]
        event.update(outage)
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    try:
        return redact_fields(event)
    except Exception:  # the `repr` of a value can raise anything
        return {"event": LINE_LOST} | {name: event[name] for name in ("level", "logger") if name in event}


def _dump_json(fields: EventDict, **_options: Any) -> bytes:
    try:
        line = orjson.dumps(fields)
    except TypeError:  # an integer of more than 64 bits, or a lone surrogate: valid in JSON, refused by orjson
        return json.dumps(fields).encode()
    if line.isascii() and b"\x7f" not in line:
        return line
    # Many readers take U+2028 and similar characters for the end of a line, so they are escaped.
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], line.decode()).encode()


def _shorten_for_people(unshown: frozenset[str], _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event.get("level") == "info" and (event["event"] in unshown or _is_routine(event)):
        raise structlog.DropEvent
    return {name: value for name, value in event.items() if not (type(value) is str and is_uuid(value))}


def _is_routine(event: EventDict) -> bool:
    """Whether it is the line of a successful request that nobody made by hand."""
    is_routine = event["event"] == "request" and str(event.get("route")).startswith(_ROUTINE_ROUTES)
    return is_routine and int(event.get("status", 0)) < 400


class _Quoted:
    """A text that the console renderer shows by its `repr`, where control characters are escapes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _quote_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Before the renderer, which adds escape sequences of its own."""
    shown: EventDict = {}
    for name, value in event.items():
        if type(value) is str and has_controls(value):
            if name in _BLOCKS:
                value = escape_controls(value, keep="\n\t")
            else:
                value = escape_controls(value) if name == "event" else _Quoted(value)
        shown[escape_controls(name)] = value
    return shown


def _console_renderer() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        pad_event_to=24,
        # The traceback is text already when it arrives here: it had to be redacted.
        exception_formatter=structlog.dev.plain_traceback,
    )


def _encode(_logger: WrappedLogger, _method: str, line: Any) -> bytes:
    encoded: bytes = line.encode(errors="backslashreplace")
    return encoded


def _decode(_logger: WrappedLogger, _method: str, line: Any) -> str:
    decoded: str = line.decode()
    return decoded


def _log_dead_thread(died: threading.ExceptHookArgs) -> None:
    """Replaces the plain traceback, which is neither a log line nor redacted."""
    if died.exc_type is SystemExit:
        return
    failure: tuple[type[BaseException], BaseException | None, TracebackType | None]
    failure = (died.exc_type, died.exc_value, died.exc_traceback)
    name = died.thread.name if died.thread is not None else None
    get_logger(__name__).error("thread_died", thread=name, exc_info=failure)
