"""Accounts: create, change, disable and delete, and who may do it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from letstalk.accounts.models import AccountChanges, AccountState, Role, person_actor
from letstalk.accounts.repository import accounts as account_table
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor
from letstalk.core.errors import (
    Conflict,
    InsufficientScope,
    InvalidCredentials,
    InvalidPhone,
    InvalidRequest,
    InvalidToken,
    NotFound,
    WeakPassword,
)
from letstalk.db.database import Database
from tests.support.account_services import ADDRESS, DEVICE, PASSWORD, accounts_of, audited, someone
from tests.support.apps import OWNER
from tests.support.fixtures.databases import all_tables
from tests.support.world import PHONE, World, at_once


def actor_of(accounts: Accounts, username: str) -> Actor:
    account = accounts.service.find_by_username(username)
    assert account is not None
    return person_actor(account, "a session", ADDRESS)


def test_someone_new_comes_back_as_they_went_in(world: World) -> None:
    accounts = accounts_of(world)
    made = accounts.service.create_account(
        someone("Ada", "viewer", owner_ids=("globex", "acme"), phone="+256 700 123456"), OWNER
    )
    assert (made.username, made.email, made.role, made.state) == (
        "Ada",
        "Ada@example.com",
        Role.VIEWER,
        AccountState.ACTIVE,
    )
    assert (made.phone, made.pending_phone, made.second_factor) == (None, PHONE, False)
    assert (made.owner_ids, made.has_password) == (("acme", "globex"), True)
    for found in (
        accounts.service.find(made.account_id),
        accounts.service.find_by_email("aDa@EXAMPLE.com"),
        accounts.service.find_by_username("ADA"),
    ):
        assert found == made
    [event] = audited(world, "account.created")
    assert (event.account_id, event.actor_kind) == (made.account_id, "owner")


def test_names_and_addresses_are_one_person_s_in_any_case(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    with pytest.raises(Conflict) as by_name:
        accounts.service.create_account(replace(someone("ADA"), email="x@y.zz"))
    assert by_name.value.code == "username_taken"
    with pytest.raises(Conflict) as by_email:
        accounts.service.create_account(replace(someone("eve"), email="ADA@example.com"))
    assert by_email.value.code == "email_taken"


def test_of_many_with_one_name_at_once_one_is_made(db: Database) -> None:
    accounts = accounts_of(World(db))
    outcomes = at_once([partial(accounts.service.create_account, someone(password=None)) for _ in range(8)])
    assert outcomes.count("ok") == 1
    assert set(outcomes) == {"ok", "email_taken"}


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"username": "a b"}, InvalidRequest),
        ({"username": None}, InvalidRequest),
        ({"email": "nobody"}, InvalidRequest),
        ({"role": "root"}, InvalidRequest),
        ({"owner_ids": ("",)}, InvalidRequest),
        ({"phone": "12"}, InvalidPhone),
        ({"password": "short"}, WeakPassword),
        ({"password": "ada@example.com"}, WeakPassword),
    ],
)
def test_what_can_be_no_account_is_refused_and_leaves_nothing(
    world: World, fields: dict[str, Any], refusal: type[Exception]
) -> None:
    accounts = accounts_of(world)
    with pytest.raises(refusal):
        accounts.service.create_account(replace(someone(), **fields))
    with world.db.read() as connection:
        assert connection.execute(select(account_table)).all() == []


def test_who_was_invited_needs_neither_name_nor_password_and_cannot_sign_in(world: World) -> None:
    accounts = accounts_of(world)
    invited = accounts.service.create_account(
        replace(someone(), username=None, password=None, state=AccountState.INVITED), OWNER
    )
    with pytest.raises(InvalidCredentials):
        accounts.sign_ins.sign_in(invited.email, "", DEVICE)
    with world.db.write() as connection:
        active = accounts.service.activate(connection, invited.account_id, username="ada")
    assert (active.username, active.state) == ("ada", AccountState.ACTIVE)
    accounts.passwords.set_password(invited.account_id, PASSWORD)
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_an_admin_changes_everything_of_everyone(world: World) -> None:
    accounts = accounts_of(world)
    ada = accounts.service.create_account(someone())
    accounts.service.create_account(someone("root", "admin"))
    changes = AccountChanges(
        username="lovelace", email="lovelace@example.com", role="viewer", owner_ids=("globex",), phone=PHONE
    )
    changed = accounts.service.update_account(actor_of(accounts, "root"), ada.account_id, changes)
    assert (changed.username, changed.email, changed.role) == ("lovelace", "lovelace@example.com", Role.VIEWER)
    assert (changed.owner_ids, changed.phone, changed.pending_phone) == (("globex",), None, PHONE)
    with pytest.raises(InvalidRequest, match="proven"):
        accounts.service.update_account(OWNER, ada.account_id, AccountChanges(second_factor=True))
    without = accounts.service.update_account(OWNER, ada.account_id, AccountChanges(phone=None))
    assert (without.phone, without.pending_phone, without.second_factor) == (None, None, False)
    events = audited(world, "account.updated")
    assert len(events) == 2
    assert PHONE not in repr(events)


@pytest.mark.parametrize(
    "changes",
    [
        AccountChanges(role="admin"),
        AccountChanges(owner_ids=("acme", "globex")),
        AccountChanges(disabled=False),
        AccountChanges(email="eve@example.org"),
        AccountChanges(username="ada2", role="admin"),
    ],
)
def test_nobody_gives_themselves_more(world: World, changes: AccountChanges) -> None:
    accounts = accounts_of(world)
    ada = accounts.service.create_account(someone())
    with pytest.raises(InsufficientScope):
        accounts.service.update_account(actor_of(accounts, "ada"), ada.account_id, changes, is_confirmed=True)
    assert accounts.service.find(ada.account_id) == ada


def test_one_s_own_second_factor_is_changed_with_the_password_only(world: World) -> None:
    accounts = accounts_of(world)
    ada = accounts.service.create_account(someone())
    root = accounts.service.create_account(someone("root", "admin"))
    for who, account in (("ada", ada), ("root", root)):
        actor = actor_of(accounts, who)
        for changes in (AccountChanges(phone=PHONE), AccountChanges(phone=None), AccountChanges(second_factor=False)):
            with pytest.raises(InvalidRequest, match="current_password is missing"):
                accounts.service.update_account(actor, account.account_id, changes)
        changed = accounts.service.update_account(
            actor, account.account_id, AccountChanges(phone=PHONE), is_confirmed=True
        )
        assert (changed.phone, changed.pending_phone) == (None, PHONE)


def test_others_do_not_exist_for_who_is_no_admin(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    eve = accounts.service.create_account(someone("eve"))
    ada = actor_of(accounts, "ada")
    for account_id in (eve.account_id, "nothing", "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"):
        with pytest.raises(NotFound):
            accounts.service.get_account(ada, account_id)
        with pytest.raises(NotFound):
            accounts.service.update_account(ada, account_id, AccountChanges(username="mallory"))
    for forbidden in (
        lambda: accounts.service.list_accounts(ada),
        lambda: accounts.service.delete_account(ada, eve.account_id),
        lambda: accounts.service.delete_account(ada, ada.account_id or ""),
    ):
        with pytest.raises(InsufficientScope):
            forbidden()


def test_disabling_ends_every_session_and_enabling_revives_none(world: World) -> None:
    accounts = accounts_of(world)
    ada = accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.service.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
    accounts.service.update_account(OWNER, ada.account_id, AccountChanges(disabled=False))
    with pytest.raises(InvalidToken):
        accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(signed_in.refresh_token, DEVICE)
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_a_deleted_person_leaves_only_the_audit_trail(world: World) -> None:
    accounts = accounts_of(world)
    ada = accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.passwords.set_password(ada.account_id, "another one of mine")
    accounts.service.delete_account(OWNER, ada.account_id)
    with pytest.raises(InvalidToken):
        accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    with world.db.read() as connection:
        left = {table.name for table in all_tables() if ada.account_id in repr(connection.execute(select(table)).all())}
    assert left == {"audit_events"}
    accounts.service.create_account(someone())


def test_without_the_owner_s_password_the_last_admin_stays(db: Database) -> None:
    world = World(db)
    accounts = accounts_of(world, owner_may_sign_in=False)
    admins = [accounts.service.create_account(someone(name, "admin", password=None)) for name in ("root", "toor")]
    first, second = (admin.account_id for admin in admins)
    outcomes = at_once(
        [
            lambda: accounts.service.update_account(OWNER, first, AccountChanges(disabled=True)),
            lambda: accounts.service.update_account(OWNER, second, AccountChanges(role="viewer")),
        ]
    )
    assert sorted(outcomes) == ["last_admin", "ok"]
    assert accounts.service.has_active_admin()
    [last] = accounts.service.list_accounts(OWNER, role=Role.ADMIN, state=AccountState.ACTIVE).accounts
    with pytest.raises(Conflict):
        accounts.service.delete_account(OWNER, last.account_id)
    accounts_of(world).service.delete_account(OWNER, last.account_id)
    assert not accounts.service.has_active_admin()


def test_the_list_goes_by_pages_and_filters(world: World) -> None:
    accounts = accounts_of(world)
    for number in range(7):
        accounts.service.create_account(
            someone(f"user-{number}", "viewer" if number % 2 else "developer", password=None)
        )
        world.clock.move(1)
    names, cursor = [], None
    while True:
        page = accounts.service.list_accounts(OWNER, limit=3, cursor=cursor)
        names += [account.username for account in page.accounts]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == [f"user-{number}" for number in reversed(range(7))]
    viewers = accounts.service.list_accounts(OWNER, role=Role.VIEWER).accounts
    assert {account.username for account in viewers} == {"user-1", "user-3", "user-5"}
    assert all(account.owner_ids == ("acme",) for account in viewers)
    assert len(accounts.service.list_accounts(OWNER, search="USER-4@").accounts) == 1
    assert accounts.service.list_accounts(OWNER, search="%").accounts == ()
    with pytest.raises(InvalidRequest):
        accounts.service.list_accounts(OWNER, limit=0)
