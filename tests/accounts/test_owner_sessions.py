"""Sessions of the built-in owner, on a real database file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from letstalk.accounts.owner_sessions import MAX_SESSIONS, OwnerSessionService, sessions
from letstalk.core.errors import NotAuthenticated
from letstalk.db.database import Database
from letstalk.db.schema import metadata

PASSWORD = "correct horse battery staple"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class SettableClock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/sessions.db")
    metadata.create_all(database.engine, tables=[sessions])
    yield database
    database.close()


@pytest.fixture
def service(db: Database, clock: SettableClock) -> OwnerSessionService:
    return OwnerSessionService(db, PASSWORD, clock, lifetime_seconds=3600, key=b"k")


def test_the_password_opens_a_session_with_256_bits_of_name(service: OwnerSessionService) -> None:
    first, second = service.sign_in(PASSWORD, "127.0.0.1"), service.sign_in(PASSWORD, "127.0.0.1")
    assert first != second
    assert len(first) == 43  # 32 bytes in base64
    assert service.is_live(first)
    assert service.is_live(second)


@pytest.mark.parametrize(
    "wrong", ["", "correct", PASSWORD + " ", PASSWORD.upper(), "pässwörd", "\udcff", "x" * 100_000]
)
def test_any_other_password_opens_none(service: OwnerSessionService, db: Database, wrong: str) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        service.sign_in(wrong, "127.0.0.1")
    assert refusal.value.code == "wrong_password"
    with db.read() as connection:
        assert connection.execute(select(sessions)).all() == []


@pytest.mark.parametrize("unknown", ["", "x" * 43, "\udcff"])
def test_an_unknown_session_is_not_live(service: OwnerSessionService, unknown: str) -> None:
    service.sign_in(PASSWORD, "127.0.0.1")
    assert not service.is_live(unknown)


def test_signing_out_ends_this_session_and_no_other(service: OwnerSessionService) -> None:
    mine, other = service.sign_in(PASSWORD, "127.0.0.1"), service.sign_in(PASSWORD, "127.0.0.1")
    assert service.sign_out(mine)
    assert not service.sign_out(mine)
    assert not service.is_live(mine)
    assert service.is_live(other)


def test_a_session_dies_of_age(service: OwnerSessionService, clock: SettableClock) -> None:
    session_id = service.sign_in(PASSWORD, "127.0.0.1")
    clock.now = START + timedelta(seconds=3599)
    assert service.is_live(session_id)
    clock.now = START + timedelta(seconds=3600)
    assert not service.is_live(session_id)


def test_another_password_ends_every_session(service: OwnerSessionService, db: Database, clock: SettableClock) -> None:
    session_id = service.sign_in(PASSWORD, "127.0.0.1")
    assert not OwnerSessionService(db, "a new password", clock, key=b"k").is_live(session_id)
    assert OwnerSessionService(db, PASSWORD, clock, key=b"k").is_live(session_id)


def test_the_database_holds_neither_the_password_nor_what_the_browser_holds(
    service: OwnerSessionService, db: Database, tmp_path: Path
) -> None:
    ids = [service.sign_in(PASSWORD, "127.0.0.1") for _ in range(2)]
    with db.read() as connection:
        rows = connection.execute(select(sessions)).all()
    assert len({row.password_mark for row in rows}) == 2  # alike, they would tell that the password is the same
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (PASSWORD, *ids):
        assert secret.encode() not in content


def test_postgresql_keeps_sessions_alike(postgresql_url: str, clock: SettableClock) -> None:
    database = Database(postgresql_url)
    metadata.create_all(database.engine, tables=[sessions])
    service = OwnerSessionService(database, PASSWORD, clock, key=b"k")
    session_id = service.sign_in(PASSWORD, "127.0.0.1")
    assert service.is_live(session_id)
    assert not OwnerSessionService(database, "a new password", clock, key=b"k").is_live(session_id)
    assert service.sign_out(session_id)
    assert not service.is_live(session_id)
    database.close()


def test_an_address_is_known_after_a_sign_in_with_the_present_password(
    service: OwnerSessionService, db: Database, clock: SettableClock, tmp_path: Path
) -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        assert not service.has_signed_in_from(address)
        with pytest.raises(NotAuthenticated):
            service.sign_in("wrong", address)
        assert not service.has_signed_in_from(address)
        session_id = service.sign_in(PASSWORD, address)
        service.sign_out(session_id)
    clock.now = START + timedelta(days=30)
    assert all(map(service.has_signed_in_from, ("192.0.2.1", "2001:db8::1", "2001:db8::2")))
    assert not any(map(service.has_signed_in_from, ("192.0.2.2", "2001:db8:0:1::1", "")))
    assert not OwnerSessionService(db, "a new password", clock, key=b"k").has_signed_in_from("192.0.2.1")
    assert b"192.0.2.1" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_another_sign_in_ends_the_oldest_of_fifty_sessions(service: OwnerSessionService, clock: SettableClock) -> None:
    opened = []
    for _ in range(MAX_SESSIONS + 2):
        clock.now += timedelta(seconds=1)
        opened.append(service.sign_in(PASSWORD, "127.0.0.1"))
    assert [service.is_live(one) for one in opened] == [False] * 2 + [True] * MAX_SESSIONS
