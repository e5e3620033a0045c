"""Backups: a copy of the whole database in one file, and its restore."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL

from letstalk.db.database import Database
from letstalk.db.migrations import HEAD
from letstalk.db.schema import import_tables, metadata

_REVISION = re.compile(r"^COPY \S*alembic_version \(version_num\) FROM stdin;\n(\S+)$", re.MULTILINE)


class BackupFailed(Exception):
    """The sentence says why."""


def back_up(db: Database, path: Path) -> None:
    """Write a consistent copy to `path` (readable by its owner only) while the service runs.

    An SQLite file, or `pg_dump`'s custom format on PostgreSQL. Raises BackupFailed, also if `path` exists, and then
    leaves `path` as it was.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupFailed(f"{path} can't be created: {error.strerror}") from None
    try:
        if db.is_sqlite:
            _copy_sqlite(_file_of(db), path)
        else:
            _run("pg_dump", db.engine.url, ["--format=custom", f"--file={path}"])
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def restore(db: Database, path: Path) -> None:
    """Replace the database with the copy at `path`. Nothing else may use the database meanwhile.

    Raises BackupFailed, and leaves the database as it was, if the copy is damaged, is not of our database, or is of a
    newer version. A copy of an older version still needs its migrations.
    """
    if not path.is_file():
        raise BackupFailed(f"{path} does not exist")
    db.close()
    if db.is_sqlite:
        _restore_sqlite(path, _file_of(db))
    else:
        _restore_postgresql(path, db.engine.url)


def _restore_sqlite(path: Path, target: Path) -> None:
    with _draft_beside(target) as draft:
        _copy_sqlite(path, draft)
        with closing(sqlite3.connect(draft)) as copy:
            try:
                found = copy.execute("SELECT version_num FROM alembic_version").fetchone()
            except sqlite3.Error:
                found = None
        _check_revision(path, found[0] if found else None)
        # SQLite would apply the old file's log to the new one.
        for companion in ("-wal", "-shm"):
            target.with_name(target.name + companion).unlink(missing_ok=True)
        os.replace(draft, target)


def _restore_postgresql(path: Path, url: URL) -> None:
    with _draft_beside(Path(tempfile.gettempdir()) / "letstalk.sql") as script:
        # Reading all of it first shows damage before anything is changed.
        _run("pg_restore", None, ["--no-owner", "--no-privileges", f"--file={script}", str(path)])
        _check_revision(path, _revision_in(script))
        # All our tables are dropped in the same transaction, including those that are newer than the copy.
        import_tables()
        clearing = f"DROP TABLE IF EXISTS {', '.join(['alembic_version', *sorted(metadata.tables)])} CASCADE"
        options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        _run("psql", url, [*options, f"--command={clearing}", f"--file={script}"])


def _revision_in(script: Path) -> str | None:
    with script.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := _REVISION.match(line + next(lines, "") if line.startswith("COPY ") else ""):
                return found.group(1)
    return None


def _check_revision(path: Path, revision: str | None) -> None:
    if revision is None:
        raise BackupFailed(f"{path} is not a copy of a database of Let's Talk")
    if revision > HEAD:
        raise BackupFailed(f"{path} was made by a newer version of Let's Talk: restore it with that version")


def _file_of(db: Database) -> Path:
    return Path(db.engine.url.database or "")


@contextmanager
def _draft_beside(target: Path) -> Iterator[Path]:
    """A temporary file that only its owner can read, in `target`'s folder so that it can replace it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise BackupFailed(f"{target.parent} can't be written to: {error.strerror}") from None
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            # So that the copy needs no companion files.
            copy.execute("PRAGMA journal_mode = DELETE")
            if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise BackupFailed(f"{source} is damaged")
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} can't be copied: {error}") from None


def _run(program: str, url: URL | None, arguments: Sequence[str]) -> None:
    """Run a program of PostgreSQL. The password is in a file, because all users can see a process's arguments."""
    with tempfile.NamedTemporaryFile("w", prefix="letstalk-", suffix=".pgpass") as password_file:
        command = [program, *arguments]
        if url is not None:
            escaped = str(url.password or "").replace("\\", "\\\\").replace(":", "\\:")
            password_file.write(f"*:*:*:*:{escaped}\n")
            password_file.flush()
            query = {**url.query, "passfile": password_file.name}
            named = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
            command.insert(1, f"--dbname={named.render_as_string(hide_password=False)}")
        if shutil.which(program) is None:
            raise BackupFailed(f"{program} is not on this machine: install PostgreSQL's client programs")
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603  # our own arguments, no shell
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no reason given"]
            raise BackupFailed(f"{program}: {said[-1]}")
