"""One commit for the writes of several requests that one thread answers one after the other.

On SQLite a commit is a good part of a request: the pages that it changed are written to the log, and of requests that
came together most change the same ones. Waiting threads that hand an open transaction on to each other were tried, and
cost as much as they saved (`tools/benchmarks/tries.md`); one thread hands nothing on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError

from letstalk.db.drivers import count_changes
from letstalk.db.transactions import Transaction, after_commit, count_actions, drop_actions


class SharedCommit:
    """A transaction in parts. A part may refuse before it has written anything; what is raised later takes back all.

    Whoever asked for a part may be told of it when an action given to `once_committed` is done, and not before.
    """

    def __init__(self, begin: Callable[[], Transaction]) -> None:
        """`begin` gives the transaction of the parts that come after a commit, or without an `open`."""
        self._begin = begin
        self._transaction: Transaction | None = None
        self._connection: Connection | None = None
        self._failure: SQLAlchemyError | None = None
        self._is_within_part = False
        self._has_parts = False

    def __enter__(self) -> Self:
        return self

    def open(self, transaction: Transaction) -> Connection:
        """Have the next parts in `transaction`, which begins now. Raises what beginning it raises."""
        self._connection = transaction.__enter__()
        self._transaction = transaction
        return self._connection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end(error)
        elif self._failure is not None:
            raise self._failure
        else:
            self.commit_so_far()

    @property
    def has_failed(self) -> bool:
        """Whether the database has refused something, and all that was not committed before is lost."""
        return self._failure is not None

    def commit_so_far(self) -> None:
        """Commit all parts, and do what was to follow. Raises SQLAlchemyError, and RuntimeError within a part."""
        if self._is_within_part:
            raise RuntimeError("half of what belongs together would be committed")
        try:
            self._end(None)
        except SQLAlchemyError as error:
            self._failure = error
            raise

    def once_committed(self, action: Callable[[], None]) -> None:
        """Have `action` done after the commit of all parts so far: now, where there are none."""
        if self._failure is not None:
            return
        if self._connection is None:
            action()
        else:
            after_commit(self._connection, action)

    @contextmanager
    def begin_part(self) -> Iterator[Connection]:
        """A part of the transaction, which the first one begins.

        Raises SQLAlchemyError from the first failure of the database on, and where another exception comes after the
        part has written: a savepoint would take it back alone, and have SQLite copy each page before it is changed
        (tools/benchmarks/tries.md).
        """
        if self._failure is not None:
            raise self._failure
        try:
            connection = self._connection or self.open(self._begin())
            kept, changes_before = count_actions(connection), count_changes(connection)
            is_alone = not kept and not self._has_parts
            self._is_within_part = self._has_parts = True
            try:
                yield connection
            except SQLAlchemyError:
                raise
            except BaseException as error:
                if count_changes(connection) == changes_before:
                    drop_actions(connection, kept)
                elif is_alone:
                    self._end(error)
                else:
                    raise InvalidRequestError("this can't be taken back by itself") from error
                raise
            finally:
                self._is_within_part = False
        except SQLAlchemyError as error:
            # After some of its failures SQLite has taken back the whole transaction, not the statement alone
            # (its documentation of BEGIN, "Response To Errors Within A Transaction").
            self._failure = error
            self._end(error)
            raise

    def _end(self, error: BaseException | None) -> None:
        transaction, self._transaction, self._connection = self._transaction, None, None
        self._has_parts = False
        if transaction is not None:
            transaction.__exit__(None if error is None else type(error), error, None)
