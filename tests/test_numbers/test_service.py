"""Test numbers: no call is placed, all limits hold, and the code counts within its owner and until its end only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from letstalk.audit.models import AuditEvent, Names, describe
from letstalk.audit.repository import audit_events
from letstalk.calls.models import CallStatus
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import Conflict, DestinationBlocked, InvalidPhone, InvalidRequest, NotFound, NotGranted
from letstalk.core.rates import Rate
from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.test_numbers.models import MAX_OF_OWNER, NO_CALL_REASON, NewTestNumber, NumberChanges
from letstalk.verifications.destinations import DestinationPolicy
from letstalk.verifications.models import VerificationStatus
from tests.support.world import NOON, OWNER_RATES, PHONE, PHONE_RATES, World, an_actor, refusal_of, wrong_code

CODE = "408213"
DAY = 86_400
ACME = replace(an_actor(), scopes=frozenset({Scope.TEST_NUMBERS_WRITE}))


def made(world: World, phone: str = PHONE, *, code: str = CODE, seconds: int = DAY, owner: str = "acme") -> str:
    """The id of a new test number."""
    wanted = NewTestNumber(phone, owner, code, "review", seconds)
    return world.test_numbers.create_test_number(an_actor(owner), wanted).number.test_number_id


def changed(world: World, number_id: str, **changes: Any) -> None:
    world.test_numbers.update_test_number(ACME, number_id, NumberChanges(**changes))


def audited(world: World) -> list[AuditEvent]:
    with world.db.read() as connection:
        rows = connection.execute(audit_events.select()).all()
    return [
        AuditEvent(
            row.event_id, row.at, row.action, row.actor_kind, detail=json.loads(row.detail), owner_id=row.owner_id
        )
        for row in rows
    ]


def test_no_call_is_placed_and_its_own_code_approves(world: World) -> None:
    made(world)
    accepted = world.send(code_length=10)
    assert (accepted.call_status, accepted.is_test) == ("completed", True)
    call = world.call(accepted.call_id)
    assert (call.status, call.reason, call.is_over) == (CallStatus.COMPLETED, NO_CALL_REASON, True)
    assert (call.script_sealed, call.heard_at, call.holds_channel) == (None, None, False)
    assert world.verification(accepted.verification_id).speech_sealed is None
    world.pass_time(20)
    assert world.provider.dials == []
    approval = world.check(accepted.verification_id, CODE)
    assert approval.pending.is_test
    assert world.verification(accepted.verification_id).is_test
    [history] = world.verifications.get_verification(an_actor(), accepted.verification_id).calls
    assert [type_ for _, type_ in history.events] == ["completed"]
    refusal_of(lambda: world.check(accepted.verification_id, CODE), "code_used")


def test_for_another_owner_the_phone_is_called_and_the_code_is_wrong(world: World) -> None:
    made(world)
    accepted = world.send(owner="globex")
    assert (accepted.call_status, accepted.is_test) == ("queued", False)
    world.pass_time(15)
    [heard] = world.heard()
    assert heard != CODE
    refusal_of(lambda: world.check(accepted.verification_id, CODE, owner="globex"), "invalid_code")
    assert not world.check(accepted.verification_id, heard, owner="globex").pending.is_test


def test_at_its_end_the_code_is_dead_and_the_phone_is_called(world: World) -> None:
    made(world, seconds=100)
    accepted = world.send(ttl_seconds=600)
    assert world.verification(accepted.verification_id).expires_at == NOON + timedelta(seconds=100)
    world.pass_time(100)
    refusal_of(lambda: world.check(accepted.verification_id, CODE), "code_expired")
    again = world.send()
    assert (again.call_status, again.is_test) == ("queued", False)
    refusal_of(lambda: world.check(again.verification_id, CODE), "invalid_code")


@pytest.mark.parametrize("changes", [{"code": "719305"}, {"expires_in_seconds": 60}, None], ids=["code", "end", "gone"])
def test_another_code_another_end_and_a_deletion_cancel_what_waits(
    world: World, changes: dict[str, Any] | None
) -> None:
    number_id = made(world)
    accepted = world.send()
    if changes is None:
        world.test_numbers.delete_test_number(ACME, number_id)
    else:
        changed(world, number_id, **changes)
    assert world.verification(accepted.verification_id).status is VerificationStatus.CANCELED
    refusal_of(lambda: world.check(accepted.verification_id, CODE), "verification_canceled")


def test_another_name_cancels_nothing(world: World) -> None:
    number_id = made(world)
    accepted = world.send()
    changed(world, number_id, name=None, code=CODE)
    assert world.check(accepted.verification_id, CODE)


def test_a_deleted_one_is_called_again(world: World) -> None:
    world.test_numbers.delete_test_number(ACME, made(world))
    assert world.send().call_status == "queued"


def test_the_end_must_come_in_production_even_for_one_that_development_made(world: World) -> None:
    wanted = NewTestNumber(PHONE, "acme", CODE)
    with pytest.raises(InvalidRequest, match="in production a test number has an end"):
        world.test_numbers.create_test_number(ACME, wanted)
    world.test_numbers.may_be_endless = True
    number_id = world.test_numbers.create_test_number(ACME, wanted).number.test_number_id
    world.test_numbers.may_be_endless = False
    assert not world.test_numbers.get_test_number(ACME, number_id).is_live
    assert not world.send().is_test


@pytest.mark.parametrize("seconds", [0, 59, 365 * DAY + 1])
def test_the_end_is_between_a_minute_and_a_year_away(world: World, seconds: int) -> None:
    with pytest.raises(InvalidRequest, match="expires_in must be"):
        made(world, seconds=seconds)


@pytest.mark.parametrize("code", ["", "12345", "12345678901", "12345a", "١٢٣٤٥٦", "408213\n", "000000", "123456"])
def test_a_code_that_is_none_or_anybodys_first_guess_is_refused(world: World, code: str) -> None:
    with pytest.raises(InvalidRequest, match="code must"):
        made(world, code=code)


def test_without_a_code_one_is_made_and_no_database_tells_it(world: World) -> None:
    created = world.test_numbers.create_test_number(ACME, NewTestNumber(PHONE, expires_in_seconds=DAY))
    assert len(created.code) == 6
    assert created.code not in created.number.code_sealed
    assert world.check(world.send().verification_id, created.code)


def test_the_cool_down_is_the_same(world: World) -> None:
    made(world)
    world.send()
    refusal_of(world.send, "resend_too_soon")


def test_so_many_wrong_codes_end_it_and_ten_block_the_phone(world: World) -> None:
    made(world)
    for _ in range(2):
        world.send()
        for _ in range(5):
            refusal_of(lambda: world.check_phone(PHONE, wrong_code(CODE)), "invalid_code")
        world.pass_time(30)
    refusal_of(world.send, "too_many_failures")
    refusal_of(lambda: world.check_phone(PHONE, CODE), "too_many_failures")


def test_replays_place_no_call_and_are_counted(world: World) -> None:
    made(world)
    accepted = world.send()
    for left in (2, 1, 0):
        world.pass_time(20)
        again = world.replay(accepted.verification_id)
        assert (again.call_status, again.is_test, again.replays_remaining) == ("completed", True, left)
        assert again.call_id != accepted.call_id
    world.pass_time(20)
    refusal_of(lambda: world.replay(accepted.verification_id), "replays_exhausted")
    assert world.provider.dials == []
    assert world.check(accepted.verification_id, CODE)


def test_it_may_be_in_a_country_that_is_not_called_until_its_end(world: World) -> None:
    blocked = "+8501921234567"
    with pytest.raises(DestinationBlocked):
        world.send(blocked)
    made(world, blocked, seconds=60)
    assert world.send(blocked).is_test
    world.pass_time(60)
    with pytest.raises(DestinationBlocked):
        world.send(blocked)
    with pytest.raises(DestinationBlocked):
        world.send(blocked, owner="globex")
    assert world.provider.dials == []


def test_a_phone_with_two_numbers_is_one_test_number(world: World) -> None:
    made(world, "+5491123456789")
    assert world.send("+541123456789").is_test
    with pytest.raises(Conflict, match="a test number of this user_id already"):
        made(world, "+541123456789")
    made(world, "+541123456789", owner="globex")


def test_what_is_no_number_is_refused(world: World) -> None:
    with pytest.raises(InvalidPhone):
        made(world, "+1 555 0100")


def test_another_owner_neither_sees_nor_changes_it(world: World) -> None:
    number_id = made(world)
    globex = an_actor("globex")
    stranger = Actor(kind=ActorKind.TOKEN, owner_id="globex", scopes=frozenset({Scope.TEST_NUMBERS_WRITE}))
    assert globex.is_admin  # what follows is of a token without that
    with pytest.raises(NotFound):
        world.test_numbers.get_test_number(stranger, number_id)
    with pytest.raises(NotFound):
        world.test_numbers.update_test_number(stranger, number_id, NumberChanges(code="719305"))
    with pytest.raises(NotFound):
        world.test_numbers.delete_test_number(stranger, number_id)
    with pytest.raises(NotGranted):
        world.test_numbers.create_test_number(stranger, NewTestNumber(PHONE, "acme", CODE, None, DAY))
    assert world.test_numbers.list_test_numbers(stranger).numbers == ()
    assert world.test_numbers.list_test_numbers(stranger, owner_id="acme").numbers == ()
    assert world.test_numbers.get_test_number(ACME, number_id).code == CODE


def test_this_services_own_calls_have_no_test_numbers(world: World) -> None:
    with pytest.raises(InvalidRequest, match="must not begin with letstalk:"):
        made(world, owner="letstalk:second-factor")


def test_each_change_is_in_the_audit_trail_and_no_code_is(world: World) -> None:
    number_id = made(world)
    changed(world, number_id, code="719305", name=UNSET)
    changed(world, number_id, code="719305")  # nothing new
    world.test_numbers.delete_test_number(ACME, number_id)
    events = audited(world)
    assert sorted(describe(event, Names()) for event in events) == [
        "A token changed the test number +2567…56.",
        "A token deleted the test number +2567…56.",
        "A token made +2567…56 a test number.",
    ]
    for event in events:
        assert (event.owner_id, event.detail["test_number_id"]) == ("acme", number_id)
        assert not any(secret in event.detail_text for secret in (CODE, "719305", PHONE))


def test_an_owner_has_a_hundred_at_most(world: World) -> None:
    for number in range(MAX_OF_OWNER):
        made(world, f"+2567001{number:05d}")
    with pytest.raises(Conflict, match="at most 100 test numbers"):
        made(world)
    made(world, owner="globex")


class TestLimits:
    """On an installation with limits."""

    @pytest.fixture
    def limited(self, world: World) -> World:
        world.owner_rates, world.phone_rates = OWNER_RATES, PHONE_RATES
        world.destination_policy = DestinationPolicy(owner_rates=(Rate(6, 3600),))
        world.start()
        return world

    def test_calls_that_were_not_placed_are_counted(self, limited: World) -> None:
        made(limited)
        for _ in range(5):
            limited.send()
            limited.pass_time(30)
        refusal_of(limited.send, "phone_limit")
        made(limited, "+256700000001")
        limited.send("+256700000001")
        refusal_of(lambda: limited.send("+256700000002"), "destination_limit")
