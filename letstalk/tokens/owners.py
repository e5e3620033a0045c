"""The owners that exist: those with a token, a verification or a person to whom they are granted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from letstalk.core.actors import DEFAULT_OWNER_ID, RESERVED_PREFIX
from letstalk.db.database import Database
from letstalk.tokens.repository import tokens

MAX_LISTED = 500

# Of tables that other packages own, the column that has an index in the order of owners.
_verifications = sa.table("verifications", sa.column("user_id"))
_account_grants = sa.table("account_grants", sa.column("user_id"))
_COLUMNS: tuple[sa.ColumnElement[str], ...] = (tokens.c.owner_id, _verifications.c.user_id, _account_grants.c.user_id)


class OwnerDirectory:
    def __init__(self, db: Database) -> None:
        self._db = db

    def list_owners(self) -> list[str]:
        """The first MAX_LISTED owners in the order of their names, without those that are parts of this service."""
        found: set[str] = set()
        with self._db.read() as connection:
            for column in _COLUMNS:
                found.update(connection.execute(_distinct(column)).scalars())
        return sorted(owner_id for owner_id in found if not owner_id.startswith(RESERVED_PREFIX))[:MAX_LISTED]

    def is_known(self, owner_id: str) -> bool:
        """Whether the owner exists. The default owner always does."""
        if owner_id == DEFAULT_OWNER_ID:
            return True
        with self._db.read() as connection:
            return any(
                connection.execute(sa.select(column).where(column == owner_id).limit(1)).first() is not None
                for column in _COLUMNS
            )


def _distinct(column: sa.ColumnElement[str]) -> sa.Select[Any]:
    """The different values of `column`, each found by one step in its index: SELECT DISTINCT would read all of it."""
    owners = sa.select(sa.func.min(column).label("owner_id")).cte("owners", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > owners.c.owner_id).scalar_subquery()
    owners = owners.union_all(sa.select(following).where(owners.c.owner_id.is_not(None)))
    return sa.select(owners.c.owner_id).where(owners.c.owner_id.is_not(None)).limit(MAX_LISTED)
