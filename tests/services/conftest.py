from __future__ import annotations

import pytest

from letstalk.storage.db import Database
from tests.call_parts import World


@pytest.fixture
def world(db: Database) -> World:
    """The service on SQLite, and again on PostgreSQL, with no limits per phone."""
    return World(db)
