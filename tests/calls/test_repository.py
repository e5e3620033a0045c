"""The tables of calls and of the queue: whose turn it is, who holds a channel, and who may act."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from letstalk.calls import event_repository, queue
from letstalk.calls import repository as rows
from letstalk.calls.models import Call, CallStatus, Command, NewCall, Spoken
from letstalk.db.database import Database
from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.verifications.repository import insert_verification
from tests.support.world import at_once
from tests.verifications.test_repository import a_verification

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_call(db: Database, *, phone: str | None = None, owner_id: str = "acme", turn: int = 0, **values: Any) -> str:
    """The id of a call with a verification of its own."""
    call_id = str(uuid4())
    number = phone or f"+25670{uuid4().int % 10**7:07d}"
    verification = a_verification(owner_id=owner_id, phone=number)
    with db.write() as connection:
        insert_verification(connection, verification)
        new = NewCall(verification.verification_id, owner_id, number, "sealed", "en-US", verification.expires_at)
        rows.insert_call(connection, call_id, new, turn, values.pop("created_at", NOON))
        if values.get("ended_at") is not None and not values.get("holds_channel"):
            values["script_sealed"] = None
        if values:
            rows.update_call(connection, call_id, **values)
    return call_id


def a_live_call(db: Database, **values: Any) -> str:
    return a_call(db, **{"status": "ringing", "holds_channel": True, "started_at": NOON, **values})


def found(db: Database, call_id: str) -> Call:
    with db.read() as connection:
        call = rows.find_call(connection, call_id)
    assert call is not None
    return call


def test_a_new_call_waits_and_holds_nothing(db: Database) -> None:
    call = found(db, a_call(db, turn=7))
    assert (call.status, call.turn, call.holds_channel) == (CallStatus.QUEUED, 7, False)
    assert (call.created_at, call.not_before) == (NOON, NOON)
    assert (call.spoken, call.command, call.command_seq, call.repeats) == (Spoken.NOTHING, None, 0, 0)
    assert not call.is_over
    assert not call.is_ending


def test_all_that_is_set_comes_back(db: Database) -> None:
    call_id = a_live_call(
        db, spoken="code", command="hang_up", end_status="completed", end_reason="Read.", ask_provider_at=after(1)
    )
    call = found(db, call_id)
    assert (call.spoken, call.command, call.end_status) == (Spoken.CODE, Command.HANG_UP, CallStatus.COMPLETED)
    assert (call.end_reason, call.ask_provider_at, call.is_ending) == ("Read.", after(1), True)


def test_two_live_calls_to_one_phone_cannot_be(db: Database) -> None:
    a_live_call(db, phone="+256700123456")
    with pytest.raises(IntegrityError):
        a_live_call(db, phone="+256700123456", owner_id="globex")


def test_one_live_and_many_waiting_calls_to_one_phone_can(db: Database) -> None:
    a_live_call(db, phone="+256700123456")
    a_call(db, phone="+256700123456", owner_id="globex")
    a_call(db, phone="+256700123456", owner_id="initech")


@pytest.mark.parametrize(
    "wrong", [{"status": "nonsense"}, {"command": "nonsense"}, {"spoken": "nonsense"}, {"holds_channel": True}], ids=str
)
def test_the_database_itself_refuses_what_cannot_be(db: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        a_call(db, **wrong)


def test_a_change_is_made_only_from_the_status_that_was_meant(db: Database) -> None:
    call_id = a_call(db)
    with db.write() as connection:
        assert not rows.update_call_if(connection, call_id, was=CallStatus.DIALING, reason="x")
        assert rows.update_call_if(connection, call_id, was=CallStatus.QUEUED, status="dialing", holds_channel=True)
        assert not rows.update_call_if(connection, call_id, was=CallStatus.QUEUED, status="dialing")
        assert not rows.update_call_if(connection, "none", reason="x")
    assert found(db, call_id).reason is None


def test_waiting_calls_come_in_turn_and_then_by_age(db: Database) -> None:
    late, early = a_call(db, turn=1, created_at=after(2)), a_call(db, turn=1, created_at=after(1))
    first = a_call(db, turn=0, created_at=after(3))
    a_live_call(db)
    with db.read() as connection:
        assert [call_id for call_id, _ in queue.list_claimable(connection, after(9), 9)] == [first, early, late]
        assert [call_id for call_id, _ in queue.list_claimable(connection, after(9), 1)] == [first]


def test_a_call_waits_for_its_pause_and_for_its_phone(db: Database) -> None:
    paused = a_call(db, not_before=after(5))
    a_live_call(db, phone="+256700123456")
    a_call(db, phone="+256700123456", owner_id="globex")
    with db.read() as connection:
        assert queue.list_claimable(connection, after(4.9), 9) == []
        assert [call_id for call_id, _ in queue.list_claimable(connection, after(5), 9)] == [paused]


def test_turns_are_those_of_the_waiting(db: Database) -> None:
    with db.read() as connection:
        assert queue.find_turns(connection, "acme") == (None, None)
    a_call(db, turn=3)
    a_call(db, turn=5)
    a_call(db, turn=4, owner_id="globex")
    a_live_call(db, turn=1)
    with db.read() as connection:
        assert queue.find_turns(connection, "acme") == (5, 3)
        assert queue.find_turns(connection, "initech") == (None, 3)
        assert queue.count_ahead(connection, 4, at_most=100) == 3
        assert queue.count_ahead(connection, 4, at_most=2) <= 3
        assert queue.count_waiting(connection) == 3
        assert queue.count_live(connection) == 1


def test_the_mean_is_of_the_latest_finished_calls(db: Database) -> None:
    with db.read() as connection:
        assert queue.mean_duration_seconds(connection) is None
    for number in range(4):
        a_call(db, status="completed", ended_at=after(number), duration_seconds=float(number))
    a_call(db, status="failed", ended_at=after(9))
    with db.read() as connection:
        assert queue.mean_duration_seconds(connection) == 1.5
        assert queue.mean_duration_seconds(connection, latest=2) == 2.5


def test_one_worker_has_the_right_to_dial_until_its_lease_runs_out(db: Database) -> None:
    call_id = a_live_call(db, status="dialing", leased_until=NOON)
    taken: list[bool] = []

    def lease() -> None:
        with db.write() as connection:
            taken.append(queue.lease_dial(connection, call_id, NOON, after(8)))

    assert at_once([lease] * 8) == ["ok"] * 8
    assert taken.count(True) == 1
    with db.write() as connection:
        assert queue.list_undialed(connection, after(7.9)) == []
        assert queue.list_undialed(connection, after(8)) == [call_id]
        assert not queue.lease_dial(connection, call_id, after(7.9), after(16))
        assert queue.lease_dial(connection, call_id, after(8), after(16))
    assert found(db, call_id).dial_attempts == 2


def test_what_the_provider_has_is_not_dialed_again(db: Database) -> None:
    placed = a_live_call(db, status="dialing", leased_until=NOON, provider_call_id="p")
    ringing = a_live_call(db, status="ringing", leased_until=NOON)
    with db.write() as connection:
        assert not queue.lease_dial(connection, placed, after(9), after(17))
        assert not queue.lease_dial(connection, ringing, after(9), after(17))
        assert queue.list_undialed(connection, after(9)) == []


def test_one_worker_carries_a_command_out(db: Database) -> None:
    call_id = a_live_call(db, command="speak_code", command_leased_until=NOON, provider_call_id="p")
    taken: list[bool] = []

    def lease() -> None:
        with db.write() as connection:
            taken.append(queue.lease_command(connection, call_id, NOON, after(8)))

    assert at_once([lease] * 8) == ["ok"] * 8
    assert taken.count(True) == 1
    with db.read() as connection:
        assert queue.list_commanded(connection, after(7.9)) == []
        assert queue.list_commanded(connection, after(8)) == [call_id]


def test_a_command_waits_for_the_providers_id_and_dies_with_the_call(db: Database) -> None:
    unplaced = a_live_call(db, command="hang_up", command_leased_until=NOON)
    ended = a_call(
        db, status="completed", ended_at=NOON, command="hang_up", command_leased_until=NOON, provider_call_id="p"
    )
    with db.write() as connection:
        assert queue.list_commanded(connection, after(1)) == []
        for call_id in (unplaced, ended):
            assert not queue.lease_command(connection, call_id, after(1), after(9))


def test_late_are_the_waiting_that_must_speak_soon_and_those_that_were_withdrawn(db: Database) -> None:
    waiting, withdrawn = a_call(db), a_call(db, end_status="canceled", command="hang_up")
    a_live_call(db)
    with db.read() as connection:
        assert queue.list_late(connection, after(300)) == [withdrawn]
        assert set(queue.list_late(connection, after(300.1))) == {waiting, withdrawn}


def test_overdue_are_the_live_that_were_to_be_asked_about(db: Database) -> None:
    overdue = a_live_call(db, ask_provider_at=after(5))
    unknown = a_live_call(db, status="unknown", ended_at=NOON, ask_provider_at=after(5))
    a_call(db, status="completed", ended_at=NOON, ask_provider_at=after(1))
    with db.read() as connection:
        assert queue.list_overdue(connection, after(4)) == []
        assert {call.call_id for call in queue.list_overdue(connection, after(5))} == {overdue, unknown}


def test_undecided_are_the_answered_to_whom_nothing_was_said(db: Database) -> None:
    answered = {"status": "answered", "answered_at": after(1)}
    silent = a_live_call(db, **answered)
    a_live_call(db, **answered, command="speak_code")
    a_live_call(db, **answered, spoken="offer")
    a_live_call(db)
    with db.read() as connection:
        assert queue.list_undecided(connection, after(0.9)) == []
        assert [call.call_id for call in queue.list_undecided(connection, after(1))] == [silent]


def test_calls_of_a_phone_count_from_when_they_were_accepted(db: Database) -> None:
    for seconds, owner in ((1, "acme"), (2, "globex"), (3, "initech")):
        a_call(db, phone="+256700123456", owner_id=owner, created_at=after(seconds))
    a_call(db, created_at=after(9))
    with db.read() as connection:
        accepted = rows.list_accepted(connection, "+256700123456", after(1))
    assert accepted == [(after(3), "initech"), (after(2), "globex")]


def test_what_happened_is_told_in_order_call_by_call(db: Database) -> None:
    one, other = a_call(db), a_call(db)
    with db.write() as connection:
        for call_id, seconds, type_ in ((one, 2, "ringing"), (one, 1, "dialing"), (one, 2, "answered")):
            rows.insert_call_event(connection, call_id, after(seconds), type_)
        told = rows.list_call_events(connection, [one, other])
    assert [type_ for _, type_ in told[one]] == ["dialing", "ringing", "answered"]
    assert told[other] == []


def test_an_event_is_kept_once_and_claimed_once(db: Database) -> None:
    event = CallEvent(
        "event", EventType.GATHER_ENDED, NOON, "call", "p", command_seq=2, digits="1", cause=HangupCause.BUSY
    )
    kept: list[bool] = []
    claimed: list[CallEvent | None] = []

    def keep() -> None:
        with db.write() as connection:
            kept.append(event_repository.store_event(connection, event, NOON, is_applied=False))

    def claim() -> None:
        with db.write() as connection:
            claimed.append(event_repository.claim_event(connection, "event", NOON))

    assert at_once([keep] * 6) == ["ok"] * 6
    assert kept.count(True) == 1
    with db.read() as connection:
        assert event_repository.list_waiting_events(connection, NOON) == ["event"]
    assert at_once([claim] * 6) == ["ok"] * 6
    assert [item for item in claimed if item is not None] == [event]
    with db.read() as connection:
        assert event_repository.list_waiting_events(connection, NOON) == []


def test_a_row_is_read_into_the_fields_of_its_columns_keys() -> None:
    assert [column.key for column in rows.calls.c] == [field.name for field in dataclasses.fields(Call)]
