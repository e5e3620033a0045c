"""Databases of the PostgreSQL server that a test process starts for itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg


@contextmanager
def own_database(folder: Path, template: str = "template1") -> Iterator[str]:
    """DATABASE_URL of a copy of `template` on the server in `folder`, which is dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=str(folder), user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield f"postgresql://postgres@/{name}?host={quote(str(folder), safe='')}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
