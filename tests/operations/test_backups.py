"""A copy made while the service works, and what works again once it has been put back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from letstalk.calls.repository import calls
from letstalk.core.secret_files import make_encryption_key
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.operations.backups import BackupFailed, back_up, restore
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications
from tests.support.fixtures.databases import all_tables
from tests.support.world import World, outcome_of, phone_number

PHONE = phone_number(1)
KEY = make_encryption_key()


@pytest.fixture(params=["sqlite", "postgresql"])
def own_db(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """A migrated database that a test may replace, of every kind in turn."""
    if request.param == "sqlite":
        shutil.copyfile(sqlite_template, tmp_path / "letstalk.db")
        db = Database(f"sqlite:///{tmp_path}/letstalk.db")
    else:
        db = Database(request.getfixturevalue("postgresql_url"))
        migrations.upgrade(db)
    yield db
    db.close()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where a copy goes; a name that an URI would misread."""
    (tmp_path / "kept 100%?#").mkdir()
    return tmp_path / "kept 100%?#" / "copy.db"


def world_on(db: Database) -> World:
    return World(db, encryption_keys=(KEY,))


def everything(db: Database) -> dict[str, list[tuple[object, ...]]]:
    with db.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in all_tables()
        }


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_code_heard_before_the_copy_is_accepted_once_after_the_restore(own_db: Database, copy: Path) -> None:
    world = world_on(own_db)
    verification_id = world.send(PHONE).verification_id
    world.pass_time(20)
    (code,) = world.heard(PHONE)
    back_up(own_db, copy)
    assert mode_of(copy) == 0o600
    # What happens after the copy is lost with the database.
    world.check_phone(PHONE, code)
    later = world.send(phone_number(2)).verification_id

    restore(own_db, copy)
    world.crash()
    assert world.verification(verification_id).status is VerificationStatus.PENDING
    assert outcome_of(lambda: world.check(later, "000000")) == "no_pending_verification"
    assert world.check_phone(PHONE, code).pending.verification_id == verification_id
    assert outcome_of(lambda: world.check_phone(PHONE, code)) == "code_used"


def test_no_channel_stays_taken_by_a_call_that_was_live_when_the_copy_was_made(own_db: Database, copy: Path) -> None:
    world = world_on(own_db)
    world.send(PHONE)
    waiting = world.send(phone_number(2)).verification_id
    world.pass_time(6)
    world.cancel(waiting)
    assert world.live_calls() >= 1
    back_up(own_db, copy)
    world.pass_time(200)
    restore(own_db, copy)
    world.crash()
    assert world.live_calls() >= 1
    world.pass_time(200)
    assert world.live_calls() == 0
    assert len(world.provider.dials) == 2


def test_a_copy_made_while_others_write_is_of_one_moment(own_db: Database, copy: Path) -> None:
    world, done = World(own_db, channels=10_000, encryption_keys=(KEY,)), threading.Event()
    numbers = iter(range(1_000_000))

    def send_all_the_time() -> None:
        while not done.is_set():
            world.send(phone_number(next(numbers)))

    threads = [threading.Thread(target=send_all_the_time, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    world.send(phone_number(99_999))
    back_up(own_db, copy)
    done.set()
    for thread in threads:
        thread.join(30)
    with own_db.read() as connection:
        written = connection.execute(select(func.count()).select_from(verifications)).scalar_one()
    restore(own_db, copy)
    with own_db.read() as connection:
        copied = connection.execute(select(func.count()).select_from(verifications)).scalar_one()
        with_call = connection.execute(select(func.count()).select_from(calls)).scalar_one()
    assert 1 <= copied <= written
    # Each was written with its call, in one transaction.
    assert with_call == copied
    # To a phone that nobody else was at, and with room in the queue for however many were sent.
    World(own_db, channels=10_000, encryption_keys=(KEY,)).send(phone_number(99_998))


def test_everything_is_in_the_copy(own_db: Database, copy: Path) -> None:
    world = world_on(own_db)
    world.guess_wrong(world.send(PHONE).verification_id)
    world.pass_time(100)
    before = everything(own_db)
    back_up(own_db, copy)
    for number in range(5):
        world.send(phone_number(10 + number))
    restore(own_db, copy)
    assert everything(own_db) == before


def test_a_copy_of_an_older_version_is_migrated_after_the_restore(own_db: Database, copy: Path) -> None:
    migrations.downgrade(own_db, "0002")
    back_up(own_db, copy)
    migrations.upgrade(own_db)
    restore(own_db, copy)
    migrations.upgrade(own_db)
    with own_db.read() as connection:
        assert migrations.is_current(connection)
    world_on(own_db).send(PHONE)


def test_a_copy_of_a_newer_version_is_refused(own_db: Database, copy: Path) -> None:
    with own_db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    back_up(own_db, copy)
    with own_db.write() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{migrations.HEAD}'"))  # noqa: S608  # ours
    world_on(own_db).send(PHONE)
    before = everything(own_db)
    with pytest.raises(BackupFailed, match="made by a newer version"):
        restore(own_db, copy)
    assert everything(own_db) == before


def test_what_is_damaged_or_no_copy_of_ours_is_refused_and_the_database_stays(own_db: Database, copy: Path) -> None:
    world = world_on(own_db)
    for number in range(30):
        world.send(phone_number(number))
    back_up(own_db, copy)
    whole = copy.read_bytes()
    with closing(sqlite3.connect(copy.with_name("foreign.db"))) as foreign:
        foreign.execute("CREATE TABLE notes (text)")
    # Where rows stand, since nobody misses what was free; in a compressed copy they stand everywhere.
    place = whole.find(phone_number(15).encode())
    middle = place if place > 2000 else len(whole) // 2
    bad = {
        "cut": whole[:middle],
        "scribbled": whole[: middle - 2000] + b"\xa5" * 4000 + whole[middle + 2000 :],
        "text": b"not a copy at all, but long enough to be looked at\n" * 50,
        "empty": b"",
        "foreign": copy.with_name("foreign.db").read_bytes(),
    }
    before = everything(own_db)
    for name, content in bad.items():
        path = copy.with_name(name)
        path.write_bytes(content)
        with pytest.raises(BackupFailed):
            restore(own_db, path)
        assert everything(own_db) == before, name
    with pytest.raises(BackupFailed, match="does not exist"):
        restore(own_db, copy.with_name("missing"))
    restore(own_db, copy)
    assert everything(own_db) == before


def test_a_file_that_is_there_already_is_left_alone(own_db: Database, copy: Path) -> None:
    copy.write_text("mine")
    with pytest.raises(BackupFailed, match="File exists"):
        back_up(own_db, copy)
    assert copy.read_text() == "mine"
    with pytest.raises(BackupFailed, match="No such file or directory"):
        back_up(own_db, copy.parent / "nowhere" / "copy.db")


def test_the_restored_file_and_no_other_is_left_and_only_its_owner_may_read_it(
    sqlite_db: Database, tmp_path: Path, copy: Path
) -> None:
    world_on(sqlite_db).send(PHONE)
    back_up(sqlite_db, copy)
    world_on(sqlite_db).send(phone_number(2))
    earlier = os.umask(0)
    try:
        restore(sqlite_db, copy)
    finally:
        os.umask(earlier)
    assert mode_of(tmp_path / "letstalk.db") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [copy.parent.name, "letstalk.db"]
    with closing(sqlite3.connect(tmp_path / "letstalk.db")) as connection:
        assert connection.execute("SELECT count(*) FROM verifications").fetchone() == (1,)


def test_a_copy_that_fails_leaves_nothing_behind(own_db: Database, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if own_db.is_sqlite:
        Path(own_db.engine.url.database or "").write_bytes(b"damaged" * 1000)
    else:
        monkeypatch.setenv("PATH", str(copy.parent))
    with pytest.raises(BackupFailed, match=r"can't be copied|pg_dump is not on this machine"):
        back_up(own_db, copy)
    assert not copy.exists()


def test_the_databases_password_is_in_no_list_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    program = tmp_path / "pg_dump"
    program.write_text(
        f"""#!/bin/sh
echo "$@" > '{told}'
passfile=$(echo "$1" | sed 's/.*passfile=//; s/&.*//; s/%2F/\\//g')
ls -l "$passfile" >> '{told}'
cat "$passfile" >> '{told}'
echo 'FATAL: as far as this goes' >&2
exit 1
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    db = Database("postgresql://someone:s3cret%3A%5Cword@db.invalid:5433/letstalk")
    with pytest.raises(BackupFailed, match="pg_dump: FATAL: as far as this goes"):
        back_up(db, tmp_path / "copy")
    arguments, listing, password_line = told.read_text().splitlines()
    assert "someone@db.invalid:5433/letstalk" in arguments
    assert "s3cret" not in arguments
    assert re.match(r"-rw-------", listing)
    assert password_line == r"*:*:*:*:s3cret\:\\word"
