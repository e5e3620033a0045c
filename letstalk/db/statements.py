"""Statements of the two hot paths, compiled once and run on the driver's own connection.

SQLAlchemy compiles or looks up, binds, wraps and fetches a statement anew each time. On the paths of /calls/otp and
/calls/verify that costs several times what the database itself does; elsewhere its ease is worth it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import ReturnsRows

from letstalk.db.drivers import run_prepared, run_with_next

Convert = Callable[[Any], Any]

_NAMED = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement in the words of one dialect. `given` is what the driver gets with it, save at the places that a
    parameter takes: which one, and what that goes through.
    """

    words: str
    given: list[Any]
    taken: tuple[tuple[int, str, Convert | None], ...]

    def bind(self, parameters: dict[str, Any]) -> list[Any]:
        """What the driver is given for them."""
        given = self.given.copy()
        for place, name, convert in self.taken:
            value = parameters[name]
            given[place] = value if convert is None else convert(value)
        return given


class Statement:
    """A Core statement with named `bindparam`s, for both of our databases."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._prepared: dict[str, _Prepared] = {}
        self._from_driver: dict[str, tuple[tuple[int, Convert], ...]] = {}

    def execute(self, connection: Connection, parameters: dict[str, Any]) -> int:
        """Returns how many rows it changed."""
        count: int = self._run(connection, parameters).rowcount
        return count

    def run_with_next(self, connection: Connection, parameters: dict[str, Any]) -> None:
        """Run it no later than the next statement of the transaction or its commit, which raises what this would have.

        PostgreSQL gets both together: one way there and back less.
        """
        run_with_next(connection, *self._ready(connection, parameters))

    def first(self, connection: Connection, parameters: dict[str, Any]) -> Sequence[Any] | None:
        """The first row, None without one."""
        return self._first(connection, self._run(connection, parameters))

    def one(self, connection: Connection, parameters: dict[str, Any]) -> Sequence[Any]:
        """The first row of a statement that always has one."""
        row = self.first(connection, parameters)
        if row is None:
            raise LookupError("a statement that always has a row had none")
        return row

    def all(self, connection: Connection, parameters: dict[str, Any]) -> list[Sequence[Any]]:
        cursor = self._run(connection, parameters)
        rows = cursor.fetchall()
        converters = self._converters(connection.dialect, cursor) if rows else ()
        return [_convert(row, converters) for row in rows]

    def _run(self, connection: Connection, parameters: dict[str, Any]) -> Any:
        return run_prepared(connection, self._ready(connection, parameters))[0]

    def _first(self, connection: Connection, cursor: Any) -> Sequence[Any] | None:
        row = cursor.fetchone()
        return None if row is None else _convert(row, self._converters(connection.dialect, cursor))

    def _ready(self, connection: Connection, parameters: dict[str, Any]) -> tuple[str, list[Any]]:
        dialect = connection.dialect
        prepared = self._prepared.get(dialect.name) or self._prepare(dialect)
        return prepared.words, prepared.bind(parameters)

    def _prepare(self, dialect: Dialect) -> _Prepared:
        compiled = self._statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("only statements that SQLAlchemy compiles to SQL can be prepared")
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        to_driver = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
        if compiled.positiontup is None:
            words, order = _number(compiled.string)
        else:
            words, order = compiled.string, tuple(compiled.positiontup)
        fixed = {name: _convert_one(bind.value, to_driver[name]) for name, bind in binds.items() if not bind.required}
        prepared = self._prepared[dialect.name] = _Prepared(
            words=words,
            given=[fixed.get(name) for name in order],
            taken=tuple((place, name, to_driver[name]) for place, name in enumerate(order) if name not in fixed),
        )
        return prepared

    def _converters(self, dialect: Dialect, cursor: Any) -> tuple[tuple[int, Convert], ...]:
        known = self._from_driver.get(dialect.name)
        if known is None:
            columns = cast(ReturnsRows, self._statement).exported_columns
            processors = [
                column.type.dialect_impl(dialect).result_processor(dialect, described[1])
                for column, described in zip(columns, cursor.description, strict=True)
            ]
            known = tuple((place, convert) for place, convert in enumerate(processors) if convert is not None)
            self._from_driver[dialect.name] = known
        return known


def first_of_each(
    connection: Connection, parameters: dict[str, Any], *statements: Statement
) -> list[Sequence[Any] | None]:
    """The first row of each statement, None without one; `parameters` are those of all.

    They go to PostgreSQL together, and are run one after the other.
    """
    cursors = run_prepared(connection, *(statement._ready(connection, parameters) for statement in statements))
    return [statement._first(connection, cursor) for statement, cursor in zip(statements, cursors, strict=True)]


def _number(words: str) -> tuple[str, tuple[str, ...]]:
    """`%(name)s` as $1, $2: the words for PostgreSQL itself, and the names in that order."""
    names: dict[str, str] = {}
    numbered = _NAMED.sub(lambda found: names.setdefault(found[1], f"${len(names) + 1}"), words)
    return numbered.replace("%%", "%"), tuple(names)


def _convert_one(value: Any, convert: Convert | None) -> Any:
    return value if convert is None else convert(value)


def _convert(row: Sequence[Any], converters: tuple[tuple[int, Convert], ...]) -> Sequence[Any]:
    if not converters:
        return row
    values = list(row)
    for place, convert in converters:
        values[place] = convert(values[place])
    return values
