"""Deleting by age, a little at a time, so that nobody waits behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from sqlalchemy import Column, Connection, delete, select, tuple_

from letstalk.db.database import Database

BATCH = 500  # rows a transaction: some 10 ms in which other writers wait
MAX_BATCHES = 50  # a run, so that a first clean-up of years does not keep its caller, or its sweeps, waiting


def delete_oldest(connection: Connection, age: Column[Any], before: date, limit: int = BATCH) -> int:
    """Delete up to `limit` rows whose `age` is before that moment, or day; the oldest first. Returns how many went."""
    key = list(age.table.primary_key.columns)
    # Rows that another worker is deleting are left to it.
    oldest = select(*key).where(age < before).order_by(age).limit(limit).with_for_update(skip_locked=True)
    return connection.execute(delete(age.table).where(tuple_(*key).in_(oldest))).rowcount


def delete_in_batches(db: Database, delete_batch: Callable[[Connection], int]) -> int:
    """Call `delete_batch`, each time in a transaction of its own, until it finds nothing. Returns how many went."""
    total = 0
    for _ in range(MAX_BATCHES):
        with db.write() as connection:
            count = delete_batch(connection)
        total += count
        if count == 0:
            break
    return total
