"""A copy of the whole database in one file, and the way back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from letstalk.storage.db import Database


class BackupFailed(Exception):
    """The sentence says why."""


def back_up(db: Database, path: Path) -> None:
    """Write a consistent copy to `path` (readable by its owner only) while the service runs.

    SQLite's own copy on SQLite, `pg_dump`'s custom format on PostgreSQL. Raises BackupFailed.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupFailed(f"{path} can't be made: {error.strerror}") from None
    if db.is_sqlite:
        _copy_sqlite(Path(db.engine.url.database or ""), path)
    else:
        _run("pg_dump", ["--format=custom", f"--file={path}"], db.engine.url)


def restore(db: Database, path: Path) -> None:
    """Put the copy at `path` in place of the database. Nothing else may use it meanwhile. Raises BackupFailed."""
    if not path.is_file():
        raise BackupFailed(f"{path} is not there")
    db.close()
    if db.is_sqlite:
        target = Path(db.engine.url.database or "")
        for leftover in (target, target.with_name(target.name + "-wal"), target.with_name(target.name + "-shm")):
            leftover.unlink(missing_ok=True)
        _copy_sqlite(path, target)
    else:
        _run(
            "pg_restore",
            ["--clean", "--if-exists", "--exit-on-error", "--single-transaction", str(path)],
            db.engine.url,
        )


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            if original.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise BackupFailed(f"{source} is damaged")
            original.backup(copy)
            # One file, that opens without companions wherever it is taken.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} can't be copied: {error}") from None


def _run(program: str, arguments: list[str], url: URL) -> None:
    """PostgreSQL's own program, the password in a file, since every user can read a list of processes."""
    with tempfile.NamedTemporaryFile("w", prefix="letstalk-", suffix=".pgpass") as password_file:
        escaped = str(url.password or "").replace("\\", "\\\\").replace(":", "\\:")
        password_file.write(f"*:*:*:*:{escaped}\n")
        password_file.flush()
        named = url.set(drivername="postgresql", password=None).update_query_dict({"passfile": password_file.name})
        try:
            subprocess.run(  # noqa: S603  # the arguments are ours, and no shell reads them
                [program, f"--dbname={named.render_as_string()}", *arguments],
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            raise BackupFailed(f"{program} is not on this machine: install PostgreSQL's client programs") from None
        except subprocess.CalledProcessError as error:
            raise BackupFailed(f"{program}: {error.stderr.strip().splitlines()[-1]}") from None
