"""Structured logs: one line an event, with the ids of what it is about, and never a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# A token's own shape, and E.164: the two things that must not reach a log even when someone logs a whole
# sentence that quotes them.
_TOKEN = re.compile(r"lt_[0-9A-Za-z]{4,}_[0-9A-Za-z]{4,}")
_PHONE = re.compile(r"\+\d{4,15}")
_SECRET_FIELDS = frozenset({"code", "token", "secret", "password", "authorization", "payload", "ssml", "message_text"})


def mask_phone(phone: str) -> str:
    """`+256700123456` as `+2567…56`: enough to recognise, too little to call."""
    return f"{phone[:5]}…{phone[-2:]}" if len(phone) > 7 else "…"


def _redact(_logger: Any, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field, value in entry.items():
        if field in _SECRET_FIELDS:
            entry[field] = "[redacted]"
        elif isinstance(value, str):
            value = _TOKEN.sub("lt_[redacted]", value)
            entry[field] = _PHONE.sub(lambda found: mask_phone(found.group()), value)
    return entry


def configure_logs(*, as_json: bool, level: str = "INFO") -> None:
    """Send our lines, and the libraries' warnings, to standard error: JSON for machines, columns for people."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
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
    handler = logging.StreamHandler()
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


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
