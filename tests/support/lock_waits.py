"""Waiting, on PostgreSQL, until a statement of another connection waits for a row."""

from __future__ import annotations

import time

from sqlalchemy import text

from letstalk.db.database import Database

MOST_SECONDS = 30.0
_WAITING = text("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def await_who_waits(db: Database) -> str:
    """The statement that waits. Fails after `MOST_SECONDS` without one."""
    deadline = time.monotonic() + MOST_SECONDS
    seen: list[str] = []
    while time.monotonic() < deadline:
        before = seen
        with db.read() as connection:
            seen = list(connection.execute(_WAITING).scalars())
        # PostgreSQL reads the columns one after the other: at first the statement may be the one before.
        if seen and seen == before:
            return seen[0]
        time.sleep(0.01)
    raise AssertionError("nobody waits")
