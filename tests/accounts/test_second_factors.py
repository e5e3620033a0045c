"""Who signs in is called, by the same service as everybody's users."""

from __future__ import annotations

import pytest

from letstalk.accounts.models import SECOND_FACTOR_USER_ID, Role, person_actor
from letstalk.accounts.service import AccountChanges
from letstalk.accounts.services import People
from letstalk.core.errors import (
    InsufficientScope,
    InvalidCode,
    InvalidCredentials,
    LetsTalkError,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
    TooManyRequests,
)
from letstalk.db.database import Database
from tests.support.account_parts import ADDRESS, DEVICE, PASSWORD, audited, people_of, someone
from tests.support.apps import OWNER
from tests.support.world import PHONE, World, at_once, wrong_code


def challenged(people: People, name: str = "ada") -> SecondFactorRequired:
    with pytest.raises(SecondFactorRequired) as caught:
        people.sign_ins.sign_in(name, PASSWORD, DEVICE)
    return caught.value


def heard(world: World) -> str:
    """The code that the phone has heard by now."""
    world.pass_time(20)
    return world.heard(PHONE)[-1]


def test_the_phone_rings_and_its_code_opens_the_session_once(world: World) -> None:
    people = people_of(world)
    account = people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    asked = challenged(people)
    assert asked.masked_phone == "+2567…56"
    assert people.sessions.list_sessions(account.account_id) == []
    code = heard(world)
    signed_in = people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert people.access_tokens.authenticate(signed_in.access_token, ADDRESS).account_id == account.account_id
    with pytest.raises(NotAuthenticated) as again:
        people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert again.value.code == "invalid_challenge"
    assert len(people.sessions.list_sessions(account.account_id)) == 1
    assert [event.detail["method"] for event in audited(world, "second_factor.asked")] == ["password"]


def test_a_wrong_password_rings_no_phone(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    with pytest.raises(InvalidCredentials):
        people.sign_ins.sign_in("ada", "wrong", DEVICE)
    world.pass_time(20)
    assert world.provider.dials == []


def test_a_wrong_code_opens_nothing_and_tries_run_out(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    asked = challenged(people)
    code = heard(world)
    for remaining in (4, 3, 2, 1, 0):
        with pytest.raises(InvalidCode) as refused:
            people.sign_ins.finish_second_factor(asked.challenge, wrong_code(code), DEVICE)
        assert refused.value.attempts_remaining == remaining
    with pytest.raises(LetsTalkError) as over:
        people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert over.value.code == "attempts_exceeded"


def test_a_challenge_is_over_after_ten_minutes_and_a_guessed_one_never_begins(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    asked = challenged(people)
    code = heard(world)
    for wrong in ("", "x" * 43, "\udcff", asked.challenge[:-1]):
        with pytest.raises(NotAuthenticated):
            people.sign_ins.finish_second_factor(wrong, code, DEVICE)
    world.clock.move(600)
    with pytest.raises(NotAuthenticated) as late:
        people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)
    assert late.value.code == "invalid_challenge"


def test_one_s_code_does_not_open_another_s_session(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    people.accounts.create_account(someone("eve", phone="+256700123457", second_factor=True))
    ada, eve = challenged(people), challenged(people, "eve")
    world.pass_time(30)
    codes = {phone: world.heard(phone)[-1] for phone in (PHONE, "+256700123457")}
    if codes[PHONE] != codes["+256700123457"]:
        with pytest.raises(InvalidCode):
            people.sign_ins.finish_second_factor(eve.challenge, codes[PHONE], DEVICE)
    signed_in = people.sign_ins.finish_second_factor(ada.challenge, codes[PHONE], DEVICE)
    assert signed_in.account.username == "ada"


def test_the_same_right_code_many_times_at_once_opens_one_session(db: Database) -> None:
    world = World(db)
    people = people_of(world)
    account = people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    asked = challenged(people)
    code = heard(world)
    outcomes = at_once([lambda: people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)] * 4)
    assert outcomes.count("ok") == 1
    assert len(people.sessions.list_sessions(account.account_id)) == 1


def test_a_role_can_ask_for_it_and_then_a_phone_is_needed(world: World) -> None:
    people = people_of(world)
    account = people.accounts.create_account(someone())
    assert people.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    people.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
    assert people.second_factors.list_policies() == {Role.ADMIN: False, Role.DEVELOPER: True, Role.VIEWER: False}
    with pytest.raises(PhoneRequired):
        people.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    people.accounts.update_account(OWNER, account.account_id, AccountChanges(phone=PHONE))
    asked = challenged(people)
    assert people.sign_ins.finish_second_factor(asked.challenge, heard(world), DEVICE)
    people.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=False)
    assert people.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_only_an_admin_says_what_a_role_asks_for(world: World) -> None:
    people = people_of(world)
    account = people.accounts.create_account(someone())
    with pytest.raises(InsufficientScope):
        people.second_factors.set_policy(person_actor(account, "x"), Role.DEVELOPER, requires_second_factor=True)


def test_asking_again_and_again_does_not_ring_a_phone_all_day(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    challenged(people)
    with pytest.raises(TooManyRequests) as refused:
        people.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    assert refused.value.code == "resend_too_soon"


def test_a_later_sign_in_takes_the_place_of_one_that_waits(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    first = challenged(people)
    heard(world)
    world.pass_time(20)
    second = challenged(people)
    code = heard(world)
    with pytest.raises(LetsTalkError) as over:
        people.sign_ins.finish_second_factor(first.challenge, code, DEVICE)
    assert over.value.code == "verification_superseded"
    assert people.sign_ins.finish_second_factor(second.challenge, code, DEVICE)


def test_someone_disabled_meanwhile_is_not_let_in(world: World) -> None:
    people = people_of(world)
    account = people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    asked = challenged(people)
    code = heard(world)
    people.accounts.update_account(OWNER, account.account_id, AccountChanges(disabled=True))
    with pytest.raises(InvalidCredentials):
        people.sign_ins.finish_second_factor(asked.challenge, code, DEVICE)


def test_the_calls_belong_to_nobody_but_us(world: World) -> None:
    people = people_of(world)
    people.accounts.create_account(someone(phone=PHONE, second_factor=True))
    challenged(people)
    with world.db.read() as connection:
        owners = connection.exec_driver_sql("SELECT user_id FROM verifications").scalars().all()
    assert owners == [SECOND_FACTOR_USER_ID]
