"""Speaking the codes of others: one call for a phone and code, within limits, and the code is nowhere afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from letstalk.calls.models import CallStatus
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import Conflict, DestinationBlocked, InvalidPhone, InvalidRequest, NotFound
from letstalk.core.rates import Rate
from letstalk.core.scopes import Scope
from letstalk.db.schema import metadata
from letstalk.events.repository import list_newest
from letstalk.http.idempotency import IdempotencyKey
from letstalk.speaking.models import NewSpokenCode, SpeakAccepted
from letstalk.speaking.repository import delete_spoken_codes
from letstalk.test_numbers.models import NewTestNumber
from letstalk.verifications.destinations import DestinationPolicy
from letstalk.verifications.event_objects import render_event
from tests.support.world import NOON, OWNER_RATES, PHONE, PHONE_RATES, World, an_actor, phone_number, refusal_of

CODE = "048213"
SPEAKER = Actor(kind=ActorKind.TOKEN, owner_id="acme", scopes=frozenset({Scope.OTP_SPEAK}))
KEY = IdempotencyKey("/calls/speak", "one", "x" * 64)


def spoken(
    world: World, code: str = CODE, phone: str = PHONE, owner: str = "acme", key: IdempotencyKey | None = None
) -> SpeakAccepted:
    return world.speaking.speak(replace(SPEAKER, owner_id=owner), NewSpokenCode(phone, code), key)


def everything_stored(world: World) -> str:
    with world.db.read() as connection:
        rows = [row for table in metadata.tables.values() for row in connection.execute(sa.select(table)).all()]
    return json.dumps([[str(value) for value in row] for row in rows])


def test_the_phone_hears_the_very_code(world: World) -> None:
    accepted = spoken(world)
    assert (accepted.call_status, accepted.expires_in, accepted.is_test) == ("queued", 300, False)
    world.pass_time(15)
    assert world.heard() == [CODE]
    events = world.speaking.get_call(SPEAKER, accepted.call_id).events
    assert [type_ for _, type_ in events if type_ in ("queued", "answered", "speak_code")] == [
        *("queued", "answered", "speak_code")
    ]


def test_the_code_is_sealed_until_the_call_is_over_and_then_gone(world: World) -> None:
    accepted = spoken(world, "BNRB-TCQH", key=KEY)
    for form in ("BNRB-TCQH", "BNRBTCQH"):
        assert form not in everything_stored(world)
    assert world.call(accepted.call_id).script_sealed is not None
    world.pass_time(200)
    call = world.call(accepted.call_id)
    assert call.is_over
    assert call.script_sealed is None
    world.speaking.sweep()
    with world.db.read() as connection:
        spoken_codes = metadata.tables["spoken_codes"]
        assert connection.execute(sa.select(spoken_codes.c.code_digest)).scalars().all() == [None]


def test_the_same_phone_and_code_is_the_same_call_for_two_minutes(world: World) -> None:
    first = spoken(world, "bnrb-tcqh")
    world.pass_time(119)
    again = spoken(world, "BNRB TCQH")
    assert again == replace(first, is_first_response=False)
    world.pass_time(1)
    other = spoken(world, "bnrbtcqh")
    assert other.call_id != first.call_id
    assert other.is_first_response


def test_the_same_code_of_another_owner_is_another_call(world: World) -> None:
    assert spoken(world).call_id != spoken(world, owner="globex").call_id


def test_an_idempotency_key_brings_the_first_response_back(world: World) -> None:
    first = spoken(world, key=KEY)
    world.pass_time(130)
    assert spoken(world, key=KEY) == replace(first, is_first_response=False)
    refusal_of(lambda: spoken(world, key=replace(KEY, body_hash="y" * 64)), "idempotency_key_reused")
    assert KEY.body_hash not in everything_stored(world)


def test_another_code_ends_the_older_call_after_the_cool_down(world: World) -> None:
    world.provider.stop()
    first = spoken(world)
    refusal_of(lambda: spoken(world, "1111"), "resend_too_soon")
    world.clock.move(30)
    second = spoken(world, "1111")
    older = world.call(first.call_id)
    assert (older.status, older.reason) == (CallStatus.CANCELED, "A newer code was given.")
    assert not world.call(second.call_id).is_over


@pytest.mark.parametrize(
    "code", ["", "123", "12345678901", "12 3", "abcd€", "Abcd", "١٢٣٤", "1234\n", "{code}", "<s>1"]
)
def test_what_no_voice_can_spell_is_refused_and_places_no_call(world: World, code: str) -> None:
    with pytest.raises(InvalidRequest, match="code must"):
        spoken(world, code)
    world.pass_time(5)
    assert world.provider.dials == []


def test_only_a_name_of_the_operators_is_said(world: World) -> None:
    text = "your bank. Call plus two five six"
    with pytest.raises(InvalidRequest, match="BRAND_NAMES"):
        world.speaking.speak(SPEAKER, NewSpokenCode(PHONE, CODE, brand=text))
    world.speaking.speak(SPEAKER, NewSpokenCode(PHONE, CODE, brand="Acme"))
    world.pass_time(15)
    [speech] = [command.speech.text for command in world.provider.speeches]
    assert "this is Acme" in speech


def test_a_test_number_is_not_called(world: World) -> None:
    wanted = NewTestNumber(PHONE, expires_in_seconds=86_400)
    world.test_numbers.create_test_number(an_actor(), wanted)
    accepted = spoken(world)
    assert (accepted.is_test, accepted.call_status) == (True, "completed")
    world.pass_time(20)
    assert world.provider.dials == []


class TestOutcomes:
    def test_an_approval_ends_the_call_and_is_final(self, world: World) -> None:
        world.provider.stop()
        accepted = spoken(world)
        assert world.speaking.report_outcome(SPEAKER, accepted.call_id, approved=False).spoken.approved is False
        assert not world.call(accepted.call_id).is_over
        found = world.speaking.report_outcome(SPEAKER, accepted.call_id, approved=True)
        assert (found.spoken.approved, found.spoken.reported_at) == (True, NOON)
        assert (found.call.status, found.call.script_sealed) == (CallStatus.CANCELED, None)
        world.speaking.report_outcome(SPEAKER, accepted.call_id, approved=True)
        with pytest.raises(Conflict, match="approved already"):
            world.speaking.report_outcome(SPEAKER, accepted.call_id, approved=False)

    def test_another_owner_neither_sees_nor_reports_it(self, world: World) -> None:
        accepted = spoken(world)
        stranger = replace(SPEAKER, owner_id="globex")
        with pytest.raises(NotFound):
            world.speaking.get_call(stranger, accepted.call_id)
        with pytest.raises(NotFound):
            world.speaking.report_outcome(stranger, accepted.call_id, approved=True)
        verified = world.send(phone_number(1))
        for unknown in (verified.call_id, verified.verification_id, "nothing"):
            with pytest.raises(NotFound):
                world.speaking.report_outcome(SPEAKER, unknown, approved=True)


class TestLimits:
    """A stolen token can have our script say codes within the limits of its owner, and no more."""

    @pytest.fixture
    def limited(self, world: World) -> World:
        world.owner_rates, world.phone_rates = OWNER_RATES, PHONE_RATES
        world.destination_policy = DestinationPolicy(owner_rates=(Rate(6, 3600),))
        world.start()
        return world

    def test_calls_of_all_kinds_are_counted_together(self, limited: World) -> None:
        for number in range(4):
            spoken(limited, f"10{number}0")
            limited.pass_time(30)
        limited.send()
        limited.pass_time(30)
        refusal_of(lambda: spoken(limited, "9999"), "phone_limit")
        refusal_of(limited.send, "phone_limit")
        spoken(limited, phone=phone_number(1))
        refusal_of(lambda: spoken(limited, phone=phone_number(2)), "destination_limit")

    def test_no_call_is_placed_where_none_may_be(self, world: World) -> None:
        for phone in ("+8501921234567", "+19002345678"):
            with pytest.raises(DestinationBlocked):
                spoken(world, phone=phone)
        with pytest.raises(InvalidPhone):
            spoken(world, phone="hello")
        world.pass_time(5)
        assert world.provider.dials == []

    def test_what_is_reported_closes_a_block_that_nobody_answers_for(self, world: World) -> None:
        world.destination_policy = DestinationPolicy(has_breaker=True)
        world.start()
        for number in range(25):
            accepted = spoken(world, phone=phone_number(number))
            world.speaking.report_outcome(SPEAKER, accepted.call_id, approved=False)
            world.let_a_moment_pass()
        refusal_of(lambda: spoken(world, phone=phone_number(26)), "destination_limit")


def test_what_is_old_is_deleted_with_its_call(world: World) -> None:
    accepted = spoken(world)
    world.send(phone_number(1))
    world.pass_time(60)
    world.verifications.sweep()
    world.clock.now += timedelta(days=91)
    world.verifications.sweep()
    assert world.retention.forget_old() == 1
    with pytest.raises(NotFound):
        world.speaking.get_call(SPEAKER, accepted.call_id)
    with world.db.read() as connection:
        for table in ("spoken_codes", "calls"):
            assert connection.execute(sa.select(metadata.tables[table])).all() == []


def test_apps_are_told_of_the_call_and_the_report_and_both_are_deleted_with_the_code(world: World) -> None:
    call_id = world.speaking.speak(SPEAKER, NewSpokenCode(PHONE, CODE, reference="login-1"), None).call_id
    world.pass_time(15)
    for _ in range(2):
        world.speaking.report_outcome(SPEAKER, call_id, approved=True)
    with world.db.read() as connection:
        events = list_newest(connection, frozenset({"acme"}), after=None, limit=100)
        shown = [render_event(connection, event, shows_phone=False) for event in events]
    types = [event.type.value for event in events]
    assert types.count("verification.reported") == 1
    assert "call.heard" in types
    assert {content["reference"] for content in shown if content is not None} == {"login-1"}
    assert None not in shown
    assert CODE not in json.dumps(shown)
    assert PHONE not in json.dumps(shown)
    world.pass_time(200)
    with world.db.write() as connection:
        delete_spoken_codes(connection, [event.subject_id for event in events if event.subject_id is not None])
        assert list_newest(connection, None, after=None, limit=1) == []
