"""The second factor: the person who signs in is called by this service."""

from __future__ import annotations

import pytest

from letstalk.accounts.models import SECOND_FACTOR_OWNER_ID, AccountChanges, Role, person_actor
from letstalk.accounts.services import Accounts
from letstalk.core.errors import (
    Conflict,
    InsufficientScope,
    InvalidCode,
    InvalidCredentials,
    InvalidRequest,
    LetsTalkError,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
    TooManyRequests,
)
from letstalk.db.database import Database
from tests.support.account_services import ADDRESS, DEVICE, PASSWORD, accounts_of, audited, someone, someone_called
from tests.support.apps import OWNER
from tests.support.world import PHONE, World, at_once, wrong_code

OTHER_PHONE = "+256700123457"


def challenged(accounts: Accounts, name: str = "ada") -> SecondFactorRequired:
    with pytest.raises(SecondFactorRequired) as caught:
        accounts.sign_ins.sign_in(name, PASSWORD, DEVICE)
    return caught.value


def heard(world: World) -> str:
    """The code that the phone has heard by now."""
    world.pass_time(20)
    return world.heard(PHONE)[-1]


def test_the_phone_rings_and_its_code_opens_the_session_once(world: World) -> None:
    accounts = accounts_of(world)
    account = someone_called(accounts, world.db)
    asked = challenged(accounts)
    assert asked.masked_phone == "+2567…56"
    assert accounts.sessions.list_sessions(account.account_id) == []
    code = heard(world)
    signed_in = accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS).account_id == account.account_id
    with pytest.raises(NotAuthenticated) as again:
        accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert again.value.code == "invalid_challenge"
    assert len(accounts.sessions.list_sessions(account.account_id)) == 1
    assert [event.detail["method"] for event in audited(world, "second_factor.asked")] == ["password"]


def test_a_wrong_password_rings_no_phone(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    with pytest.raises(InvalidCredentials):
        accounts.sign_ins.sign_in("ada", "wrong", DEVICE)
    world.pass_time(20)
    assert world.provider.dials == []


def test_a_wrong_code_opens_nothing_and_tries_run_out(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    asked = challenged(accounts)
    code = heard(world)
    for remaining in (4, 3, 2, 1, 0):
        with pytest.raises(InvalidCode) as refused:
            accounts.sign_ins.finish_second_factor(asked.challenge, wrong_code(code), DEVICE)
        assert refused.value.attempts_remaining == remaining
    with pytest.raises(LetsTalkError) as over:
        accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert over.value.code == "attempts_exceeded"


def test_a_challenge_is_over_after_ten_minutes_and_a_guessed_one_never_begins(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    asked = challenged(accounts)
    code = heard(world)
    for wrong in ("", "x" * 43, "\udcff", asked.challenge[:-1]):
        with pytest.raises(NotAuthenticated):
            accounts.sign_ins.finish_second_factor(wrong, code, DEVICE)
    world.clock.move(600)
    with pytest.raises(NotAuthenticated) as late:
        accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert late.value.code == "invalid_challenge"


def test_one_s_code_does_not_open_another_s_session(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    someone_called(accounts, world.db, "eve", "+256700123457")
    ada, eve = challenged(accounts), challenged(accounts, "eve")
    world.pass_time(30)
    codes = {phone: world.heard(phone)[-1] for phone in (PHONE, "+256700123457")}
    if codes[PHONE] != codes["+256700123457"]:
        with pytest.raises(InvalidCode):
            accounts.sign_ins.finish_second_factor(eve.challenge, codes[PHONE], DEVICE)
    signed_in = accounts.sign_ins.finish_second_factor(ada.challenge, codes[PHONE], DEVICE)
    assert signed_in.account.username == "ada"


def test_the_same_right_code_many_times_at_once_opens_one_session(db: Database) -> None:
    world = World(db)
    accounts = accounts_of(world)
    account = someone_called(accounts, world.db)
    asked = challenged(accounts)
    code = heard(world)
    outcomes = at_once([lambda: accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)] * 4)
    assert outcomes.count("ok") == 1
    assert len(accounts.sessions.list_sessions(account.account_id)) == 1


def test_a_role_can_ask_for_it_and_then_a_phone_is_needed(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
    assert accounts.second_factors.list_policies() == {Role.ADMIN: False, Role.DEVELOPER: True, Role.VIEWER: False}
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(phone=PHONE))
    with pytest.raises(PhoneRequired) as unproven:
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    world.pass_time(20)
    assert world.provider.dials == [], "no sign-in calls a phone that is not proven"
    challenge = unproven.value.challenge
    assert accounts.second_factors.call_own_phone(challenge, OTHER_PHONE) == "+2567…56", "what an admin entered stays"
    assert accounts.sign_ins.finish_second_factor(challenge, heard(world), DEVICE)
    found = accounts.service.find(account.account_id)
    assert found is not None
    assert (found.phone, found.pending_phone, found.second_factor) == (PHONE, None, False)
    world.pass_time(20)
    asked = challenged(accounts)
    assert accounts.sign_ins.finish_second_factor(asked.challenge, heard(world), DEVICE)
    accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=False)
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_only_an_admin_says_what_a_role_asks_for(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    with pytest.raises(InsufficientScope):
        accounts.second_factors.set_policy(person_actor(account, "x"), Role.DEVELOPER, requires_second_factor=True)


def test_asking_again_and_again_calls_once_and_leads_back_to_the_code_that_is_good(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    first, again = challenged(accounts), challenged(accounts)
    assert first.challenge != again.challenge
    code = heard(world)
    assert len(world.provider.dials) == 1
    assert accounts.sign_ins.finish_second_factor(again.challenge, code, DEVICE)
    with pytest.raises(LetsTalkError) as used:
        accounts.sign_ins.finish_second_factor(first.challenge, code, DEVICE)
    assert used.value.code == "code_used"
    with pytest.raises(TooManyRequests):  # that code is not good any more, and it is too early for another call
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_the_same_code_is_spoken_again_but_not_at_once(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    challenge = challenged(accounts).challenge
    assert accounts.second_factors.seconds_until_call(challenge) == 20
    with pytest.raises(TooManyRequests) as early:
        accounts.second_factors.call_again(challenge)
    assert early.value.code == "replay_too_soon"
    code = heard(world)
    world.pass_time(30)
    assert accounts.second_factors.seconds_until_call(challenge) == 0
    for _ in range(3):
        accounts.second_factors.call_again(challenge)
        world.pass_time(60)
    assert set(world.heard(PHONE)) == {code}
    assert len(world.heard(PHONE)) == 4
    assert accounts.second_factors.seconds_until_call(challenge) is None
    with pytest.raises(Conflict):
        accounts.second_factors.call_again(challenge)
    assert accounts.sign_ins.finish_second_factor(challenge, code, DEVICE)


def test_who_has_no_phone_enters_one_at_the_sign_in_and_it_is_kept_once_it_is_proven(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    assert accounts.second_factors.list_without_phone(OWNER, Role.DEVELOPER) == [account]
    accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
    with pytest.raises(PhoneRequired) as asked:
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    challenge = asked.value.challenge
    assert asked.value.masked_phone is None
    for wrong in (None, "", "12"):
        with pytest.raises(InvalidRequest):
            accounts.second_factors.call_own_phone(challenge, wrong)
    assert accounts.second_factors.call_own_phone(challenge, OTHER_PHONE) == "+2567…57"
    assert accounts.second_factors.call_own_phone(challenge, PHONE) == "+2567…56", "the first was mistyped"
    code = heard(world)
    assert accounts.service.find(account.account_id) == account, "nothing is stored before the code was given"
    with pytest.raises(InvalidCode):
        accounts.sign_ins.finish_second_factor(challenge, wrong_code(code), DEVICE)
    assert accounts.service.find(account.account_id) == account
    signed_in = accounts.sign_ins.finish_second_factor(challenge, code, DEVICE)
    assert (signed_in.account.phone, signed_in.account.pending_phone) == (PHONE, None)
    assert accounts.second_factors.list_without_phone(OWNER, Role.DEVELOPER) == []


def test_a_later_sign_in_takes_the_place_of_one_that_waits(world: World) -> None:
    accounts = accounts_of(world)
    someone_called(accounts, world.db)
    first = challenged(accounts)
    heard(world)
    world.pass_time(20)
    second = challenged(accounts)
    code = heard(world)
    with pytest.raises(LetsTalkError) as over:
        accounts.sign_ins.finish_second_factor(first.challenge, code, DEVICE)
    assert over.value.code == "verification_superseded"
    assert accounts.sign_ins.finish_second_factor(second.challenge, code, DEVICE)


def test_someone_disabled_meanwhile_is_not_let_in(world: World) -> None:
    accounts = accounts_of(world)
    account = someone_called(accounts, world.db)
    asked = challenged(accounts)
    code = heard(world)
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=True))
    with pytest.raises(InvalidCredentials):
        accounts.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)


def test_the_calls_belong_to_nobody_but_us(world: World) -> None:
    accounts = accounts_of(world)
    account = someone_called(accounts, world.db)
    challenged(accounts)
    with world.db.read() as connection:
        owners = connection.exec_driver_sql("SELECT user_id FROM verifications").scalars().all()
    assert owners == [f"{SECOND_FACTOR_OWNER_ID}:{account.account_id}"]
