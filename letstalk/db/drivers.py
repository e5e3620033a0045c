"""What a transaction asks of the driver itself, past SQLAlchemy, whose `Connection` stays usable beside it.

Beginning and ending a transaction by SQLAlchemy's own objects and events takes longer than SQLite needs for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from letstalk.db.prepared_statements import PreparedStatements

_PREPARED = "letstalk_prepared_statements"


def run_on_driver(connection: Connection, words: str, parameters: Any = ()) -> Any:
    """Run a statement on the driver's own connection, inside `connection`'s transaction. Returns the driver's cursor.

    Raises SQLAlchemy's DBAPIError for the driver's own, and gives up a connection that is gone, as SQLAlchemy does.
    """
    try:
        return connection.connection.driver_connection.execute(words, parameters)  # type: ignore[union-attr]  # both of our drivers have it
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_ours(connection, words, error) from error


def count_changes(connection: Connection) -> int:
    """How many rows `connection` has changed since it was opened. SQLite only."""
    changes: int = connection.connection.driver_connection.total_changes  # type: ignore[union-attr]
    return changes


def run_prepared(connection: Connection, *asked: tuple[str, Sequence[Any]]) -> list[Any]:
    """The same for statements that are run again and again, each with its parameters; a cursor of each.

    On PostgreSQL parameters are written $1, $2, and all statements go there together.
    """
    if connection.dialect.name == "sqlite":
        # Python's driver keeps those that it has prepared.
        return [run_on_driver(connection, words, parameters) for words, parameters in asked]
    try:
        return list(_prepared_statements_of(connection).run(*asked))
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_ours(connection, "; ".join(words for words, _ in asked), error) from error


def run_with_next(connection: Connection, words: str, parameters: Sequence[Any]) -> None:
    """Run a statement that gives nothing back: on PostgreSQL together with the next one, or with the commit, which
    raises what it would have raised.
    """
    if connection.dialect.name == "sqlite":
        run_on_driver(connection, words, parameters)
    else:
        _prepared_statements_of(connection).run_with_next((words, parameters))


def run_waiting(connection: Connection) -> None:
    """Run what waits for a next statement, on PostgreSQL, since one comes by way of SQLAlchemy. Raises DBAPIError."""
    try:
        _prepared_statements_of(connection).run_waiting()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_ours(connection, "what was to be run with the next statement", error) from error


@contextmanager
def each_alone(connection: Connection) -> Iterator[None]:
    """Within the block have each prepared statement be a transaction of its own. PostgreSQL only."""
    statements = _prepared_statements_of(connection)
    statements.are_alone = True
    try:
        yield
    except BaseException:
        roll_back(connection)
        raise
    finally:
        statements.are_alone = False


def commit(connection: Connection) -> None:
    """Commit, or roll back and raise DBAPIError."""
    try:
        if connection.in_transaction():  # SQLAlchemy began one for a statement of its own
            if connection.dialect.name != "sqlite":
                run_waiting(connection)
            connection.commit()
        elif connection.dialect.name == "sqlite":
            run_on_driver(connection, "COMMIT")  # kept prepared, as the driver's own `commit` is not
        else:
            _end(connection, "COMMIT", _prepared_statements_of(connection).commit)
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """Take everything back. A connection that can't be brought to do so is given up, and its database takes it back."""
    try:
        if connection.dialect.name != "sqlite" and not connection.invalidated:
            _prepared_statements_of(connection).forget_waiting()
        connection.rollback()  # as far as SQLAlchemy began one
        if not connection.invalidated:
            _end(connection, "ROLLBACK", connection.connection.driver_connection.rollback)  # type: ignore[union-attr]
    except BaseException:
        connection.invalidate()
        raise


def _prepared_statements_of(connection: Connection) -> PreparedStatements:
    kept = connection.connection.info  # emptied when it is another connection to PostgreSQL
    found: PreparedStatements | None = kept.get(_PREPARED)
    if found is None:
        # Imported only where PostgreSQL is used: its driver takes 6 MB.
        from letstalk.db.prepared_statements import PreparedStatements

        found = kept[_PREPARED] = PreparedStatements(cast(Any, connection.connection.driver_connection))
    return found


def _end(connection: Connection, words: str, end: Callable[[], None]) -> None:
    try:
        end()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_ours(connection, words, error) from error


def _as_ours(connection: Connection, words: str, error: Exception) -> BaseException:
    dialect = connection.dialect
    is_gone = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]  # the driver's Error
    if is_gone:
        # Within a transaction of its own SQLAlchemy refuses whatever comes next, instead of connecting anew: half of
        # what belongs together would be committed.
        if not connection.in_transaction():
            connection.begin()
        connection.invalidate(error)
    return DBAPIError.instance(
        words,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_gone,
        dialect=dialect,
    )
