"""Recovery codes replace the call, each once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from letstalk.accounts import repository
from letstalk.accounts.models import Account, AccountChanges
from letstalk.accounts.recovery_codes import ALPHABET, CODES, make_code, normalise_code
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor
from letstalk.core.errors import (
    Conflict,
    DestinationBlocked,
    Forbidden,
    InvalidCode,
    InvalidRequest,
    NotAuthenticated,
    SecondFactorRequired,
)
from letstalk.db.database import Database
from tests.support.account_services import (
    ADDRESS,
    DEVICE,
    PASSWORD,
    a_person,
    accounts_of,
    audited,
    someone,
    someone_called,
)
from tests.support.apps import OWNER, make_app, services_of
from tests.support.commands import invoke
from tests.support.world import World, at_once


def signed_in(accounts: Accounts, account: Account) -> Actor:
    epoch = accounts.service.get_account(OWNER, account.account_id).credentials_epoch
    token = accounts.sessions.start_session(account.account_id, DEVICE, "password", credentials_epoch=epoch)
    return accounts.access_tokens.authenticate(token.access_token, ADDRESS)


def with_codes(accounts: Accounts, db: Database, name: str = "ada") -> tuple[Account, tuple[str, ...]]:
    account = someone_called(accounts, db, name, f"+2567001234{len(name)}0")
    return account, accounts.recovery_codes.replace_codes(signed_in(accounts, account), is_confirmed=True).codes


def challenged(accounts: Accounts, name: str = "ada") -> str:
    with pytest.raises(SecondFactorRequired) as caught:
        accounts.sign_ins.sign_in(name, PASSWORD, DEVICE)
    return caught.value.challenge


def test_a_code_is_easy_to_read_and_may_be_typed_carelessly() -> None:
    code = make_code()
    assert len(code) == 14
    assert set(code) <= {*ALPHABET, "-"}
    assert normalise_code(" o0il-lmn8 ") == "00111MN8"
    assert normalise_code(code.lower().replace("-", " ")) == code.replace("-", "")


def test_each_code_opens_one_session_and_only_its_account(world: World) -> None:
    accounts = accounts_of(world)
    ada, codes = with_codes(accounts, world.db)
    _, others = with_codes(accounts, world.db, "grace")
    assert len(set(codes)) == CODES
    challenge = challenged(accounts)
    for wrong in (others[0], "", "\udcff", "🎈" * 12):
        with pytest.raises(InvalidCode):
            accounts.sign_ins.finish_with_recovery_code(challenge, wrong, DEVICE)
    opened = accounts.sign_ins.finish_with_recovery_code(challenge, codes[3].lower(), DEVICE)
    assert opened.account.account_id == ada.account_id
    assert accounts.recovery_codes.count_left(ada.account_id).remaining == CODES - 1
    assert [event.detail for event in audited(world, "recovery_code.used")] == [{"remaining": CODES - 1}]
    world.pass_time(40)
    challenge = challenged(accounts)
    with pytest.raises(InvalidCode):
        accounts.sign_ins.finish_with_recovery_code(challenge, codes[3], DEVICE)
    assert accounts.sign_ins.finish_with_recovery_code(challenge, codes[4], DEVICE)
    with pytest.raises(NotAuthenticated):
        accounts.sign_ins.finish_with_recovery_code(challenge, codes[5], DEVICE)
    assert accounts.recovery_codes.count_left(ada.account_id).remaining == CODES - 2


def test_after_five_wrong_codes_the_sign_in_is_over_also_for_a_right_one(world: World) -> None:
    accounts = accounts_of(world)
    _, codes = with_codes(accounts, world.db)
    challenge = challenged(accounts)
    for remaining in (4, 3, 2, 1, 0):
        with pytest.raises(InvalidCode) as wrong:
            accounts.sign_ins.finish_with_recovery_code(challenge, "AAAA-AAAA-AAAA", DEVICE)
        assert wrong.value.attempts_remaining == remaining
    with pytest.raises(NotAuthenticated):
        accounts.sign_ins.finish_with_recovery_code(challenge, codes[0], DEVICE)


def test_where_the_call_is_refused_a_code_finishes_the_sign_in_and_nothing_else_does(world: World) -> None:
    accounts = accounts_of(world)
    ada, codes = with_codes(accounts, world.db)
    bob = someone_called(accounts, world.db, "bob", "+256700123999")
    for account in (ada, bob):
        with world.db.write() as connection:
            repository.update_account(connection, replace(account, phone="+88216123456"))  # a kind that is never called
    with pytest.raises(DestinationBlocked) as without:
        accounts.sign_ins.sign_in("bob", PASSWORD, DEVICE)
    assert without.value.challenge is None, "there is no code that could finish it"
    with pytest.raises(DestinationBlocked) as refused:
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    challenge = refused.value.challenge
    assert challenge is not None
    assert audited(world, "second_factor.asked") == []
    with pytest.raises(NotAuthenticated):
        accounts.sign_ins.finish_second_factor(challenge, "042917", DEVICE)
    with pytest.raises(NotAuthenticated):
        accounts.second_factors.call_own_phone(challenge, "+256700123457")
    with pytest.raises(NotAuthenticated):
        accounts.second_factors.call_again(challenge)
    with pytest.raises(InvalidCode):
        accounts.sign_ins.finish_with_recovery_code(challenge, "nothing", DEVICE)
    opened = accounts.sign_ins.finish_with_recovery_code(challenge, codes[0], DEVICE)
    assert opened.account.account_id == ada.account_id


def test_the_same_code_many_times_at_once_opens_one_session(db: Database) -> None:
    world = World(db)
    accounts = accounts_of(world)
    ada, codes = with_codes(accounts, world.db)
    challenge = challenged(accounts)
    before = len(accounts.sessions.list_sessions(ada.account_id))
    outcomes = at_once([lambda: accounts.sign_ins.finish_with_recovery_code(challenge, codes[0], DEVICE)] * 4)
    assert outcomes.count("ok") == 1
    assert len(accounts.sessions.list_sessions(ada.account_id)) == before + 1


def test_new_codes_end_the_old_ones_and_need_the_password_a_fresh_sign_in_and_a_phone(world: World) -> None:
    accounts = accounts_of(world)
    ada, old = with_codes(accounts, world.db)
    actor = signed_in(accounts, ada)
    with pytest.raises(InvalidRequest):
        accounts.recovery_codes.replace_codes(actor, is_confirmed=False)
    new = accounts.recovery_codes.replace_codes(actor, is_confirmed=True).codes
    challenge = challenged(accounts)
    with pytest.raises(InvalidCode):
        accounts.sign_ins.finish_with_recovery_code(challenge, old[0], DEVICE)
    assert accounts.sign_ins.finish_with_recovery_code(challenge, new[0], DEVICE)
    world.clock.move(601)
    with pytest.raises(Forbidden):
        accounts.recovery_codes.replace_codes(actor, is_confirmed=True)
    eve = accounts.service.create_account(someone("eve"))
    with pytest.raises(Conflict) as without:
        accounts.recovery_codes.replace_codes(signed_in(accounts, eve), is_confirmed=True)
    assert without.value.code == "no_phone"


def test_at_rest_there_is_no_code_and_without_the_phone_there_are_none(world: World) -> None:
    accounts = accounts_of(world)
    ada, codes = with_codes(accounts, world.db)
    with world.db.read() as connection:
        stored = repr(connection.exec_driver_sql("SELECT * FROM recovery_codes").all())
        stored += repr(audited(world, "recovery_codes.created"))
    assert not any(code in stored or normalise_code(code) in stored for code in codes)
    accounts.service.update_account(OWNER, ada.account_id, AccountChanges(phone=None))
    assert accounts.recovery_codes.count_left(ada.account_id).created_at is None


def test_over_the_api_codes_are_shown_once_and_an_operator_takes_them_away(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    accounts = services_of(app).accounts
    person = a_person(app, "grace")
    assert person.get("/api/auth/recovery-codes").get_json() == {"remaining": 0, "created_at": None}
    assert person.post("/api/auth/recovery-codes", {"current_password": PASSWORD}).status_code == 409
    ada = someone_called(accounts, app.extensions["letstalk_db"])
    actor_token = accounts.sessions.start_session(ada.account_id, DEVICE, "password").access_token
    person.token = actor_token
    assert person.post("/api/auth/recovery-codes", {"current_password": "wrong"}).status_code == 403
    made = person.post("/api/auth/recovery-codes", {"current_password": PASSWORD})
    assert made.status_code == 201
    code = made.get_json()["codes"][0]
    assert person.get("/api/auth/recovery-codes").get_json()["remaining"] == CODES
    assert code not in person.get("/api/auth/recovery-codes").text
    asked = person.client.post("/api/auth/login", json={"username": "ada", "password": PASSWORD}).get_json()
    body = {"challenge": asked["challenge"], "recovery_code": code}
    assert person.client.post("/api/auth/second-factor/recovery", json=body).status_code == 200
    assert person.client.post("/api/auth/second-factor/recovery", json=body).status_code == 401
    result = invoke(app, "accounts", "reset-second-factor", "ada@example.com")
    assert result.exit_code == 0, result.output
    found = accounts.service.get_account(OWNER, ada.account_id)
    assert (found.phone, found.second_factor) == (None, False)
    assert accounts.recovery_codes.count_left(ada.account_id).remaining == 0
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    assert invoke(app, "accounts", "reset-second-factor", "nobody").exit_code == 1
