"""The accounts of an older database after migration 0009: their addresses, and what they have proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from letstalk.accounts.models import AccountChanges, AccountState
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.operations.retention import delete_unverified_accounts
from tests.support.account_services import ADDRESS, PASSWORD
from tests.support.mail_parts import ADMIN, BASE, Post
from tests.support.world import NOON, World, refusal_of


@pytest.fixture(params=["sqlite", "postgresql"])
def older_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of the revision before, in which addresses are compared by NFKC and case folding."""
    url = f"sqlite:///{tmp_path}/old.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    db = Database(url)
    migrations.upgrade(db)
    migrations.downgrade(db, "0008")
    yield db
    db.close()


def insert_row(db: Database, table: str, row: dict[str, Any]) -> None:
    with db.write() as connection:
        connection.execute(sa.insert(sa.table(table, *map(sa.column, row))).values(row))


def insert_old(
    db: Database, number: int, email: str, key: str, state: str = "active", password: str | None = None
) -> str:
    account_id = f"3d0e9d0a-51a4-4a51-9d54-0c8f3b1f7a{number:02}"
    at = f"{NOON:%F %T}" if db.is_sqlite else NOON
    row = {
        "account_id": account_id,
        "username": f"p{number}",
        "username_key": f"p{number}",
        "role": "viewer",
        "email": email,
        "email_key": key,
        "state": state,
        "second_factor": False,
        "created_at": at,
        "password_sealed": password,
        "password_changed_at": at if password else None,
    }
    insert_row(db, "accounts", row)
    if password:
        old = {"entry_id": account_id, "account_id": account_id, "password_sealed": password, "created_at": at}
        insert_row(db, "password_history", old)
    return account_id


def test_accounts_of_an_older_database_are_found_by_their_address(older_db: Database) -> None:
    plain = insert_old(older_db, 10, "Ada@Example.COM", "ada@example.com")
    sharp = insert_old(older_db, 11, "boss@große.de", "boss@grosse.de")
    # One address that is written in two ways had two accounts.
    second = insert_old(older_db, 12, "eve@münchen.de", "eve@münchen.de", state="disabled")
    first = insert_old(older_db, 13, "eve@xn--mnchen-3ya.de", "eve@xn--mnchen-3ya.de")
    invalid = insert_old(older_db, 14, "eve@KÖLN.de", "eve@köln.de")
    migrations.upgrade(older_db)
    post = Post(World(older_db))
    found = post.accounts.service.find_by_email
    named = {email: found(email) for email in ("ADA@example.com", "boss@große.de", "eve@MÜNCHEN.de", "eve@KÖLN.de")}
    assert {email: account and account.account_id for email, account in named.items()} == {
        "ADA@example.com": plain,
        "boss@große.de": sharp,
        "eve@MÜNCHEN.de": None,
        "eve@KÖLN.de": invalid,
    }
    assert post.account("eve@münchen.de").account_id == post.account("eve@XN--mnchen-3ya.de").account_id == first
    assert found("boss@grosse.de") is None
    # The other account is not lost: an admin finds it by its id or name, and gives it another address.
    update = post.accounts.service.update_account
    assert post.accounts.service.find_by_username("p12") == update(ADMIN, second, AccountChanges(role="viewer"))
    assert update(ADMIN, second, AccountChanges(disabled=False)).state is not AccountState.DISABLED
    refusal_of(lambda: update(ADMIN, second, AccountChanges(email="EVE@münchen.de")), "email_taken")
    update(ADMIN, second, AccountChanges(email="eve@example.org"))
    assert post.account("eve@example.org").account_id == second


def test_the_password_of_who_registered_is_dropped_from_an_older_database(older_db: Database) -> None:
    """Somebody registered with Eve's address, before the link led to choosing a password."""
    insert_old(older_db, 10, "eve@example.org", "eve@example.org", "unverified", password="planted")
    insert_old(older_db, 11, "ada@example.org", "ada@example.org", password="her own")
    migrations.upgrade(older_db)
    post = Post(World(older_db))
    assert [post.account(f"{name}@example.org").has_password for name in ("eve", "ada")] == [False, True]
    with older_db.read() as connection:
        assert connection.execute(sa.text("SELECT password_sealed FROM password_history")).scalars().all() == [
            "her own"
        ]
    post.accounts.registrations.resend_verification("eve@example.org", BASE, ADDRESS)
    post.sweep()
    post.accounts.registrations.verify_email(post.last_link(), PASSWORD, ADDRESS)
    assert post.outcome_of_sign_in(PASSWORD, "eve@example.org") == "ok"


def insert_event(db: Database, account_id: str, action: str, **detail: str) -> None:
    at = f"{NOON:%F %T}" if db.is_sqlite else NOON
    event = {"event_id": f"{account_id[-2:]} {action}", "account_id": account_id, "at": at, "action": action}
    insert_row(db, "audit_events", {**event, "detail": json.dumps(detail)})


def test_what_an_older_database_knows_of_who_proved_an_address_counts(older_db: Database) -> None:
    def insert(number: int, state: str, *events: str) -> None:
        account_id = insert_old(older_db, number, f"{number}@example.org", f"{number}@example.org", state, password="x")
        for event in events:
            action, _, first_state = event.partition(" ")
            insert_event(older_db, account_id, f"account.{action}", **({"state": first_state} if first_state else {}))

    insert(10, "active")
    insert(11, "active", "created active")
    insert(12, "active", "created unverified", "activated", "updated")
    insert(13, "active", "created unverified", "updated")  # it was disabled and enabled
    insert(14, "unverified", "created unverified")
    insert(15, "disabled", "created unverified", "activated")
    insert(16, "disabled", "created unverified")
    insert(17, "disabled", "created active")
    insert(18, "disabled")
    migrations.upgrade(older_db)
    post = Post(World(older_db))
    accounts = [post.account(f"{number}@example.org") for number in range(10, 19)]
    states = ["active"] * 3 + ["unverified"] * 2 + ["disabled"] * 4
    assert [account.state.value for account in accounts] == states
    proven = [True, True, True, False, False, True, False, True, False]
    assert [account.email_verified_at == NOON for account in accounts] == proven
    assert [account.email_verified_at is None for account in accounts] == [not it for it in proven]
    assert [account.has_password for account in accounts[:5]] == [True, True, True, False, False]


def test_who_used_an_account_that_nobody_proved_does_not_lose_it(older_db: Database) -> None:
    account_id = insert_old(older_db, 10, "ada@example.org", "ada@example.org")
    insert_event(older_db, account_id, "account.created", state="unverified")
    with older_db.write() as connection:
        connection.execute(sa.text("UPDATE accounts SET last_signed_in_at = created_at"))
    migrations.upgrade(older_db)
    post = Post(World(older_db))
    with post.db.write() as connection:
        assert delete_unverified_accounts(connection, NOON + timedelta(days=365), 10) == 0
    assert post.account("ada@example.org").state is AccountState.UNVERIFIED
