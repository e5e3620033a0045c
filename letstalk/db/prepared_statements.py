"""Statements on PostgreSQL by libpq's own calls, which psycopg hands on as `psycopg.pq`: prepared once a connection.

psycopg's cursors take four times the processor time of these calls (tools/benchmarks/tries.md), and a check runs three. Its
connection stays usable beside them: it asks libpq itself whether a transaction is open.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from psycopg import Connection, DataError, OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

Asked = tuple[str, Sequence[Any]]  # a statement and its values

_BEGIN: Asked = ("BEGIN", ())
_COMMIT: Asked = ("COMMIT", ())
_FINE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Rows:
    """What a statement gave, with what is used of a cursor."""

    __slots__ = ("_result", "_transformer")

    def __init__(self, result: PGresult, transformer: Any) -> None:
        self._result = result
        self._transformer = transformer

    @property
    def rowcount(self) -> int:
        return self._result.command_tuples or 0

    @property
    def description(self) -> list[tuple[None, int]]:
        """Of each column nothing, and the number of its type."""
        return [(None, self._result.ftype(column)) for column in range(self._result.nfields)]

    def fetchone(self) -> Sequence[Any] | None:
        rows = self._load(min(1, self._result.ntuples))
        return rows[0] if rows else None

    def fetchall(self) -> list[Sequence[Any]]:
        return self._load(self._result.ntuples)

    def _load(self, count: int) -> list[Sequence[Any]]:
        if not count:
            return []
        self._transformer.set_pgresult(self._result)
        rows: list[Sequence[Any]] = self._transformer.load_rows(0, count, tuple)
        return rows


class PreparedStatements:
    """Those of one connection, which one thread uses at a time."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._answers = select.poll()
        self._answers.register(self._pgconn.socket, select.POLLIN)
        self._room_or_answers = select.poll()
        self._room_or_answers.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        self._transformer: Any = Transformer(connection)  # its type is one of two, which psycopg chooses as it starts
        self._names: dict[str, bytes] = {}
        self._waiting: list[Asked] = []
        self.are_alone = False  # each a transaction of its own

    def run_with_next(self, asked: Asked) -> None:
        """Run a statement before the next one of the transaction, or before its commit, and together with that."""
        self._waiting.append(asked)

    def run_waiting(self) -> None:
        """Run what waits for a next one. Raises psycopg's Error."""
        if self._waiting:
            self.run()

    def forget_waiting(self) -> None:
        """For a transaction that is taken back."""
        self._waiting.clear()

    def run(self, *asked: Asked) -> list[Rows]:
        """Run statements, each with its values, in the open transaction or in a new one, unless they `are_alone`;
        parameters are written $1, $2.

        They go there together and are run one after the other: each sees what was committed before it began. Raises
        psycopg's Error, of the first that fails.
        """
        before, self._waiting = self._waiting, []
        if not self.are_alone and self._pgconn.transaction_status == TransactionStatus.IDLE:
            before.insert(0, _BEGIN)
        ready = [self._ready(*one) for one in (*before, *asked)]
        results = self._pipeline(ready) if len(ready) > 1 else [self._pgconn.exec_prepared(*ready[0])]
        rows = [Rows(self._check(result), self._transformer) for result in results]
        return rows[len(before) :]

    def commit(self) -> None:
        """Commit what is open, if anything is. Raises psycopg's Error."""
        if self._waiting:
            self.run(_COMMIT)
        elif self._pgconn.transaction_status != TransactionStatus.IDLE:
            self._check(self._pgconn.exec_(b"COMMIT"))

    def _ready(self, words: str, values: Sequence[Any]) -> tuple[bytes, list[bytes]]:
        """As libpq has them: None is NULL there, which its wrapper's type leaves out."""
        return self._name_of(words), cast(list[bytes], [_to_text(value) for value in values])

    def _name_of(self, words: str) -> bytes:
        name = self._names.get(words)
        if name is None:
            name = b"letstalk_%d" % len(self._names)
            self._check(self._pgconn.prepare(name, words.encode()))
            self._names[words] = name
        return name

    def _pipeline(self, ready: list[tuple[bytes, list[bytes]]]) -> list[PGresult]:
        """libpq's pipeline mode (PostgreSQL's documentation, 32.5): all is sent, then every answer read."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        for name, values in ready:
            pgconn.send_query_prepared(name, values)
        pgconn.pipeline_sync()
        while pgconn.flush():  # more than the system takes at once
            self._room_or_answers.poll()
            pgconn.consume_input()
        results: list[PGresult] = []
        while (result := self._next_result()) is not None and result.status != ExecStatus.PIPELINE_SYNC:
            results.append(result)
            self._next_result()  # None: each statement's answers end with one
        if result is None:
            for result in results:
                self._check(result)  # for what PostgreSQL said before it went
            raise OperationalError("the connection is lost")
        pgconn.exit_pipeline_mode()
        return results

    def _next_result(self) -> PGresult | None:
        # By itself libpq would wait with the interpreter lock held.
        while self._pgconn.is_busy():
            self._answers.poll()
            self._pgconn.consume_input()
        return self._pgconn.get_result()

    def _check(self, result: PGresult) -> PGresult:
        if result.status in _FINE:
            return result
        if result.error_field(DiagnosticField.SQLSTATE) is None:  # it is not the server who says so: it is gone
            raise OperationalError(result.get_error_message())
        raise error_from_result(result)


def _to_text(value: Any) -> bytes | None:
    """A parameter as PostgreSQL reads it; the statement says of what type it is."""
    if value is None:
        return None
    if isinstance(value, str):
        if "\0" in value:  # the text would end there
            raise DataError("PostgreSQL keeps no NUL in a text")
        return value.encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    return str(value).encode()
