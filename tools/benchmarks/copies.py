"""Copies of a short past, each some time later, made by the database itself: a million rows in a minute.

A copy has other ids, times and phones, and the same owners, tokens and endings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

# The three digits before the last three of a copied phone: from here on, far from the numbers that are called.
FIRST_PHONES = 900
MOST_COPIES = 999 - FIRST_PHONES
_IDS = ("verification_id", "call_id", "subject_id")
_MOMENTS = ("speak_before", "not_before")


@dataclass(frozen=True, slots=True)
class Copies:
    """`count` copies, each of them `step_seconds` after the one before."""

    count: int
    step_seconds: int
    is_sqlite: bool

    def add(self, connection: Connection, table: str, columns: Iterable[str], condition: str) -> None:
        """Copy the rows of verifications or calls for which `condition` holds, in the order of their ids."""
        values = {name: self._copied(name) for name in sorted(columns)}
        key = f"{table.removesuffix('s')}_id"
        connection.execute(
            text(
                f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
                f"FROM {self._numbers} CROSS JOIN (SELECT * FROM {table} WHERE {condition}) AS original "
                f"ORDER BY number, {key}"
            )
        )

    def add_events(self, connection: Connection, condition: str) -> None:
        """Copy the events of the calls for which `condition` holds, after these were copied."""
        connection.execute(
            text(
                f"INSERT INTO call_events (call_id, at, type) "  # noqa: S608
                f"SELECT {self._copied('call_id')}, {self._moment('at')}, type "
                f"FROM {self._numbers} CROSS JOIN (SELECT calls.call_id, calls.created_at, at, type FROM calls "
                f"JOIN call_events ON call_events.call_id = calls.call_id WHERE {condition}) AS original "
                "ORDER BY number, original.call_id"
            )
        )

    @property
    def _numbers(self) -> str:
        if not self.is_sqlite:
            return f"generate_series(1, {self.count}) AS copies (number)"
        numbers = ", ".join(f"({number})" for number in range(1, self.count + 1))
        return f"(SELECT column1 AS number FROM (VALUES {numbers})) AS copies"  # noqa: S608  # numbers

    def _copied(self, column: str) -> str:
        """The value of a column in a copy."""
        if column in _IDS:
            return self._id(column)
        if column in _MOMENTS or column.endswith("_at"):
            return self._moment(column)
        if column == "phone":
            return (
                f"substr(phone, 1, length(phone) - 6) || ({FIRST_PHONES} + number) || substr(phone, length(phone) - 2)"
            )
        if column == "provider_call_id":
            return "provider_call_id || '-' || number"
        return f"original.{column}"

    def _moment(self, column: str) -> str:
        if not self.is_sqlite:
            return f"{column} + number * interval '{self.step_seconds} seconds'"
        # Whole seconds later, so that the fraction stays as it is.
        later = f"(number * {self.step_seconds}) || ' seconds'"
        return f"strftime('%Y-%m-%d %H:%M:%S', {column}, {later}) || substr({column}, 20)"

    def _id(self, column: str) -> str:
        """The time of the copy, and the random part of the original: as `core.ids.new_id` makes ids."""
        if self.is_sqlite:
            milliseconds = "strftime('%s', created_at) * 1000 + substr(created_at, 21, 3)"
            digits = f"printf('%012x', {milliseconds} + number * {self.step_seconds * 1000})"
        else:
            milliseconds = "(extract(epoch FROM date_trunc('milliseconds', created_at)) * 1000)::bigint"
            digits = f"lpad(to_hex({milliseconds} + number * {self.step_seconds * 1000}::bigint), 12, '0')"
        return f"substr({digits}, 1, 8) || '-' || substr({digits}, 9, 4) || substr(original.{column}, 14)"


def drop_indexes(connection: Connection, tables: Iterable[str], *, is_sqlite: bool) -> list[str]:
    """Drop the indexes that no constraint needs. Returns the statements that create them again."""
    if is_sqlite:
        found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table"
    else:
        found = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :table "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
    indexes = [row for table in tables for row in connection.execute(text(found), {"table": table}).all()]
    for name, _ in indexes:
        connection.execute(text(f'DROP INDEX "{name}"'))
    return [statement for _, statement in indexes]
