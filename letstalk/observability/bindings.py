"""What a thread's lines are about: the ids that stand in each of them, whoever logs it.

One variable that holds a whole mapping, where structlog keeps a variable for each name: to read it costs one look-up,
and what is bound is redacted once rather than in each line.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any

from letstalk.observability.redaction import redact_fields

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound_ids", default=MappingProxyType({}))


class bound_to:  # noqa: N801  # as the next
    """Puts into every line that is logged within what `bound_ids` had given, and nothing else; at its end, those that
    stood before stand again.
    """

    __slots__ = ("_before", "_ids")

    def __init__(self, ids: Mapping[str, Any]) -> None:
        self._ids = ids
        self._before: Token[Mapping[str, Any]] | None = None

    def __enter__(self) -> None:
        self._before = _bound.set(self._ids)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            _bound.reset(self._before)


class about(bound_to):  # noqa: N801  # it reads as a word of the sentence that it begins: `with about(call_id=…):`
    """Puts the ids into every line that is logged within, beside those that stand there."""

    __slots__ = ()

    def __init__(self, **ids: str | None) -> None:
        super().__init__(redact_fields(ids))

    def __enter__(self) -> None:
        self._before = _bound.set({**_bound.get(), **self._ids})


def begin_request(request_id: str) -> None:
    """From now on this thread's lines are about that request, an id of our own making, and about nothing before it."""
    _bound.set({"request_id": request_id})


def bound_ids() -> Mapping[str, Any]:
    """What stands in this thread's lines now, redacted."""
    return _bound.get()
