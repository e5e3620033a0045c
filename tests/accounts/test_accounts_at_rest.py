"""Accounts in the database: retention, encryption keys, and the export and erasure of a phone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from letstalk.accounts.access_tokens import signing_keys
from letstalk.accounts.account_session_repository import account_sessions, refresh_tokens
from letstalk.accounts.challenges import second_factor_challenges
from letstalk.accounts.repository import accounts as account_table
from letstalk.accounts.sign_in_throttles import sign_in_failures
from letstalk.core.errors import InvalidCredentials, InvalidToken
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.operations.key_rotation import KeyRotation
from letstalk.operations.privacy import PrivacyService
from letstalk.operations.retention import RetentionService
from tests.support.account_services import (
    ADDRESS,
    DEVICE,
    OTHER_PASSWORD,
    PASSWORD,
    accounts_of,
    someone,
    someone_called,
)
from tests.support.token_setup import TokenSetup
from tests.support.world import PHONE, World

DAYS = 90
OLD, NEW = make_encryption_key(), make_encryption_key()


def forget(world: World) -> None:
    parts = TokenSetup(world.db, world.vault)
    RetentionService(world.db, parts.audit, parts.usage, world.clock, days=DAYS, audit_days=365).forget_old()


def counts(db: Database) -> dict[str, int]:
    tables = (account_sessions, refresh_tokens, signing_keys, sign_in_failures, second_factor_challenges, account_table)
    with db.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def test_what_signing_in_leaves_behind_goes_when_nobody_can_use_it_any_more(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    someone_called(accounts, world.db, "eve")
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.sessions.refresh(first.refresh_token, DEVICE)
    accounts.access_tokens.rotate_keys()
    for name, password in (("ada", "wrong"), ("eve", PASSWORD)):
        with pytest.raises(Exception, match=r"wrong|calling"):
            accounts.sign_ins.sign_in(name, password, DEVICE)
    everything = counts(world.db)
    assert min(everything.values()) >= 1
    forget(world)
    assert counts(world.db) == everything

    world.clock.move(timedelta(days=1, hours=1).total_seconds())
    forget(world)
    left = counts(world.db)
    assert (left["sign_in_failures"], left["second_factor_challenges"]) == (0, 0)
    assert (left["account_sessions"], left["refresh_tokens"], left["signing_keys"]) == (1, 2, 2)

    world.clock.move(timedelta(days=7).total_seconds())
    forget(world)
    left = counts(world.db)
    # The session stays on record: its address is no stranger's. The key that signs stays in any case.
    assert (left["account_sessions"], left["refresh_tokens"], left["signing_keys"]) == (1, 0, 1)

    world.clock.move(timedelta(days=DAYS).total_seconds())
    forget(world)
    assert counts(world.db) == {**dict.fromkeys(everything, 0), "signing_keys": 1, "accounts": 2}
    assert accounts_of(world).sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_passwords_and_signing_keys_are_rotated_with_everything_else(db: Database) -> None:
    world = World(db, encryption_keys=(OLD,))
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    accounts.passwords.set_password(account.account_id, OTHER_PASSWORD)
    signed_in = accounts.sign_ins.sign_in("ada", OTHER_PASSWORD, DEVICE)
    assert "need" in str(KeyRotation(db, Vault((NEW,))).check_keys())

    rotated = KeyRotation(db, Vault((NEW, OLD))).rotate_keys()
    assert (rotated["passwords"], rotated["old passwords"], rotated["signing keys"]) == (1, 1, 1)

    assert KeyRotation(db, Vault((NEW,))).check_keys() is None
    after = accounts_of(World(db, encryption_keys=(NEW,)))
    assert after.access_tokens.authenticate(signed_in.access_token, ADDRESS).account_id == account.account_id
    assert after.sign_ins.sign_in("ada", OTHER_PASSWORD, DEVICE)
    with pytest.raises(InvalidCredentials):
        after.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_a_password_that_no_key_opens_lets_nobody_in_and_breaks_nothing(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    with world.db.write() as connection:
        connection.execute(update(account_table).values(password_sealed=Vault((OLD,)).encrypt(b"lost")))
    with pytest.raises(InvalidCredentials):
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_a_copy_of_what_is_known_of_a_phone_names_the_accounts_that_have_it(world: World) -> None:
    accounts = accounts_of(world)
    ada = someone_called(accounts, world.db)
    accounts.service.create_account(someone("eve"))
    accounts.service.create_account(someone("grace", phone=PHONE))
    copy = PrivacyService(world.db, world.clock, default_region=None).export_phone(PHONE)
    found, pending = sorted(copy["accounts"], key=lambda account: str(account["username"]))
    assert pending["username"] == "grace"
    assert (found["account_id"], found["username"], found["email"]) == (ada.account_id, "ada", "ada@example.com")
    assert (found["user_ids"], found["second_factor"]) == (["acme"], True)
    assert "password" not in str(copy)


def test_an_erased_phone_leaves_its_account_without_phone_and_second_factor(world: World) -> None:
    accounts = accounts_of(world)
    ada = someone_called(accounts, world.db)
    eve = accounts.service.create_account(someone("eve", phone=PHONE))
    with pytest.raises(Exception, match="calling"):
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    world.pass_time(120)
    privacy = PrivacyService(world.db, world.clock, default_region=None)
    assert privacy.erase_phone(PHONE) == 1
    found = accounts.service.find(ada.account_id)
    assert found is not None
    assert (found.phone, found.second_factor) == (None, False)
    without = accounts.service.find(eve.account_id)
    assert without is not None
    assert without.pending_phone is None
    assert privacy.export_phone(PHONE)["accounts"] == []


def test_a_refresh_token_of_long_ago_is_refused_as_any_other(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.sessions.refresh(first.refresh_token, DEVICE)
    world.clock.move(timedelta(days=9).total_seconds())
    forget(world)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(first.refresh_token, DEVICE)
