"""Transactions: begun and ended on the driver, and what is to follow their commits."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection

from letstalk.db.drivers import commit, roll_back, run_on_driver
from letstalk.db.engines import begin_within
from letstalk.observability.logs import get_logger

if TYPE_CHECKING:
    from letstalk.db.database import Database

log = get_logger(__name__)


class Turn(Protocol):
    """What is held while a transaction runs."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class _NoTurn:
    """Where any number of transactions may run at once."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: ARG002  # a lock's own names
        return True

    def release(self) -> None:
        pass


NO_TURN = _NoTurn()


class OthersWrite(TimeoutError):
    """Others write, and did not end in the time that was given."""


# With the context, and so the log's ids, of the code that asked for it.
_Action = tuple[Context, Callable[[], None]]
_after_commit: dict[Connection, list[_Action]] = {}


def after_commit(connection: Connection, action: Callable[[], None]) -> None:
    """Have `action` done when all that `connection` writes is committed and others may write; never if it is not.

    What it raises is logged: there is nothing left to take back.
    """
    _after_commit.setdefault(connection, []).append((copy_context(), action))


def count_actions(connection: Connection) -> int:
    """How many are to follow the commit, so far."""
    return len(_after_commit.get(connection, ()))


def drop_actions(connection: Connection, kept: int) -> None:
    """Forget all but the first `kept` of them."""
    del _after_commit.get(connection, [])[kept:]


class Transaction:
    """A context in which a borrowed connection is in a transaction: committed at its end, rolled back on any exception.

    On PostgreSQL the driver begins one with the first statement.
    """

    __slots__ = ("_connection", "_db", "_patience_seconds", "_turn", "_words")

    _connection: Connection

    def __init__(self, db: Database, words: str, turn: Turn, patience_seconds: float | None = None) -> None:
        """`words` begin it on SQLite, while `turn` is held: there, with a patience, or `OthersWrite` is raised."""
        self._db = db
        self._words = words
        self._turn = turn
        self._patience_seconds = patience_seconds

    def __enter__(self) -> Connection:
        if not self._turn.acquire(timeout=-1 if self._patience_seconds is None else self._patience_seconds):
            raise OthersWrite
        try:
            connection = self._connection = self._db.borrow()
            try:
                if self._patience_seconds is not None:
                    if not begin_within(connection, self._words, self._patience_seconds):
                        raise OthersWrite
                elif self._db.is_sqlite:
                    run_on_driver(connection, self._words)
            except BaseException:
                self._db.give_back(connection)
                raise
        except BaseException:
            self._turn.release()
            raise
        return connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        actions = _after_commit.pop(self._connection, ())
        try:
            try:
                if kind is None:
                    commit(self._connection)
                else:
                    roll_back(self._connection)
            finally:
                self._db.give_back(self._connection)
        finally:
            self._turn.release()
        if kind is None and actions:
            for context, action in actions:
                context.run(_do, action)


def _do(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as error:
        log.error("action_after_commit_failed", exc_info=error)
