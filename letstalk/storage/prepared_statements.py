"""Statements on PostgreSQL by libpq's own calls, which psycopg hands on as `psycopg.pq`: prepared once a connection.

psycopg's cursors take four times the processor time of these calls (benchmarks/tries.md), and a check runs three. Its
connection stays usable beside them: it asks libpq itself whether a transaction is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from psycopg import Connection, DataError, OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

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
        self._transformer: Any = Transformer(connection)  # its type is one of two, which psycopg chooses as it starts
        self._names: dict[str, bytes] = {}

    def run(self, words: str, values: Sequence[Any]) -> Rows:
        """Run a statement in the open transaction, or in a new one; its parameters are written $1, $2.

        Raises psycopg's Error.
        """
        given = cast(list[bytes], [None if value is None else _to_text(value) for value in values])  # which takes None
        if self._pgconn.transaction_status == TransactionStatus.IDLE:
            self._check(self._pgconn.exec_(b"BEGIN"))
        name = self._names.get(words) or self._prepare(words)
        return Rows(self._check(self._pgconn.exec_prepared(name, given)), self._transformer)

    def commit(self) -> None:
        """Commit what is open, if anything is. Raises psycopg's Error."""
        if self._pgconn.transaction_status != TransactionStatus.IDLE:
            self._check(self._pgconn.exec_(b"COMMIT"))

    def _prepare(self, words: str) -> bytes:
        name = b"letstalk_%d" % len(self._names)
        self._check(self._pgconn.prepare(name, words.encode()))
        self._names[words] = name
        return name

    def _check(self, result: PGresult) -> PGresult:
        if result.status in _FINE:
            return result
        if result.error_field(DiagnosticField.SQLSTATE) is None:  # it is not the server who says so: it is gone
            raise OperationalError(result.get_error_message())
        raise error_from_result(result)


def _to_text(value: Any) -> bytes:
    """A parameter as PostgreSQL reads it; the statement says of what type it is."""
    if isinstance(value, str):
        if "\0" in value:  # the text would end there
            raise DataError("PostgreSQL keeps no NUL in a text")
        return value.encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    return str(value).encode()
