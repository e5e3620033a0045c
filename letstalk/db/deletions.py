"""Deleting rows by age, in batches, so that other writers do not wait for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from sqlalchemy import Column, Connection, delete, select, tuple_

from letstalk.db.database import Database

BATCH = 500  # rows in a transaction: other writers wait for some 10 ms
MAX_BATCHES = 50  # in one run, so that the first clean-up after years does not hold up its caller


def delete_oldest(connection: Connection, age: Column[Any], before: date, limit: int = BATCH) -> int:
    """Delete up to `limit` rows whose `age` is before that time or day, oldest first. Returns how many it deleted."""
    key = list(age.table.primary_key.columns)
    # Rows that another worker is deleting are skipped.
    oldest = select(*key).where(age < before).order_by(age).limit(limit).with_for_update(skip_locked=True)
    return connection.execute(delete(age.table).where(tuple_(*key).in_(oldest))).rowcount


def delete_in_batches(db: Database, delete_batch: Callable[[Connection], int]) -> int:
    """Call `delete_batch`, each time in its own transaction, until it deletes nothing. Returns how many it deleted."""
    total = 0
    for _ in range(MAX_BATCHES):
        with db.write() as connection:
            count = delete_batch(connection)
        total += count
        if count == 0:
            break
    return total
