"""Statements that are compiled once, for the requests that are made most often.

SQLAlchemy looks a statement up, binds it and wraps its result each time. For sending and checking a code that costs
several times what the database does. Other queries use SQLAlchemy as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import ReturnsRows

Parameters = Mapping[str, Any]
Converter = Callable[[Any], Any]


def execute_on_driver(connection: Connection, sql: str, parameters: Any = ()) -> Any:
    """Run SQL in the dialect's own words on the driver's connection. Returns its cursor. Raises DBAPIError.

    SQLAlchemy's wrapping of the cursor would be most of the time on SQLite, and a quarter of a check on PostgreSQL.
    """
    dialect, driver = connection.dialect, cast(Any, connection.connection.driver_connection)
    driver_error = dialect.loaded_dbapi.Error
    try:
        return driver.execute(sql, parameters)
    except driver_error as error:
        if dialect.is_disconnect(error, driver, None):
            # It fails once more, and SQLAlchemy does what it does for a lost connection and all others of the pool.
            return connection.exec_driver_sql(sql, parameters)
        raise DBAPIError.instance(sql, None, error, driver_error, hide_parameters=True, dialect=dialect) from error


def insert_into(table: Table, dialect_name: str) -> Any:
    """An INSERT of that dialect, with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    # Both dialects have a class of their own for it. PostgreSQL's takes 2 MB, so it is imported only where it is used.
    return import_module(f"sqlalchemy.dialects.{dialect_name}").insert(table)


class Statement:
    """A Core statement with named `bindparam`s, for both databases."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}
        self._converters: dict[str, tuple[tuple[int, Converter], ...]] = {}

    def execute(self, connection: Connection, parameters: Parameters) -> int:
        """Returns how many rows it changed. Raises DBAPIError, as the others do."""
        count: int = self._run(connection, parameters).rowcount
        return count

    def execute_many(self, connection: Connection, rows: Iterable[Parameters]) -> None:
        """Run it once for each of `rows`. Raises DBAPIError."""
        compiled = self._compile_for(connection.dialect)
        given = [compiled.bind(parameters) for parameters in rows]
        connection.exec_driver_sql(compiled.sql, [tuple(each) if isinstance(each, list) else each for each in given])

    def first(self, connection: Connection, parameters: Parameters) -> Sequence[Any] | None:
        """The first row, or None."""
        result = self._run(connection, parameters)
        converters = self._converters_of(connection.dialect, result)
        row = result.fetchone()
        return None if row is None else _convert(row, converters)

    def one(self, connection: Connection, parameters: Parameters) -> Sequence[Any]:
        """The first row of a statement that always has one. Raises LookupError when it has none."""
        row = self.first(connection, parameters)
        if row is None:
            raise LookupError("a statement that always has a row had none")
        return row

    def all(self, connection: Connection, parameters: Parameters) -> list[Sequence[Any]]:
        """All rows."""
        result = self._run(connection, parameters)
        converters = self._converters_of(connection.dialect, result)
        return [_convert(row, converters) for row in result.fetchall()]

    def _run(self, connection: Connection, parameters: Parameters) -> Any:
        compiled = self._compile_for(connection.dialect)
        return execute_on_driver(connection, compiled.sql, compiled.bind(parameters))

    def _compile_for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect)
        return compiled

    def _converters_of(self, dialect: Dialect, result: Any) -> tuple[tuple[int, Converter], ...]:
        """(column, function) for each column whose values the driver does not return as they should be."""
        known = self._converters.get(dialect.name)
        if known is None:
            columns = cast(ReturnsRows, self._statement).exported_columns
            converters = [
                column.type.dialect_impl(dialect).result_processor(dialect, described[1])
                for column, described in zip(columns, result.description, strict=True)
            ]
            known = tuple((index, convert) for index, convert in enumerate(converters) if convert is not None)
            self._converters[dialect.name] = known
        return known


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the SQL of one dialect.

    `given` is what the driver is given with it: a list where the dialect takes parameters by position, else a
    dictionary. Its values are those that are part of the statement. `parameters` holds, for each other one, its key in
    `given`, its name, and the function that its value passes through.
    """

    sql: str
    given: Any
    parameters: tuple[tuple[Any, str, Converter | None], ...]

    def bind(self, parameters: Parameters) -> Any:
        """What the driver is given with the SQL."""
        given = self.given.copy()
        for key, name, convert in self.parameters:
            value = parameters[name]
            given[key] = value if convert is None else convert(value)
        return given


def _compile(statement: ClauseElement, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("only statements that SQLAlchemy compiles to SQL can be compiled once")
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    converters = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
    given = {name: None if bind.required else _apply(converters[name], bind.value) for name, bind in binds.items()}
    if compiled.positiontup is None:
        keys: list[tuple[Any, str]] = [(name, name) for name in binds]
    else:
        keys = list(enumerate(compiled.positiontup))
    return _Compiled(
        sql=compiled.string,
        given=given if compiled.positiontup is None else [given[name] for name in compiled.positiontup],
        parameters=tuple((key, name, converters[name]) for key, name in keys if binds[name].required),
    )


def _apply(convert: Converter | None, value: Any) -> Any:
    return value if convert is None else convert(value)


def _convert(row: Sequence[Any], converters: tuple[tuple[int, Converter], ...]) -> Sequence[Any]:
    if not converters:
        return row
    values = list(row)
    for index, convert in converters:
        values[index] = convert(values[index])
    return values
