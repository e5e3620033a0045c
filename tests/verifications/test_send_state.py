"""What one more send depends on: of its own owner and phone, and of the queue."""

from __future__ import annotations

from datetime import timedelta

from letstalk.db.database import Database
from letstalk.verifications import repository as rows
from letstalk.verifications import wrong_codes
from letstalk.verifications.models import SendState
from tests.calls.test_repository import NOON, a_call, a_live_call, after
from tests.verifications.test_repository import a_verification, insert, over

PHONE, OTHER_PHONE = "+256700123456", "+256700000001"


def send_state_of(
    db: Database,
    owner_id: str,
    phone: str,
    session_digest: str = "",
    *,
    since: float = -1,
    at_most: int = 100,
    cooling_since: float = -1,
) -> SendState:
    limits = {"since": after(since), "cooling_since": after(cooling_since)}
    with db.read() as connection:
        return rows.load_send_state(connection, owner_id, phone, session_digest, **limits, at_most=at_most)


def test_where_nothing_is_nothing_stands_in_the_way(db: Database) -> None:
    assert send_state_of(db, "acme", PHONE) == SendState(None, False, None, 0, None, None)


def test_it_is_of_the_owner_and_the_phone(db: Database) -> None:
    a_call(db, phone=PHONE, turn=4)
    with db.write() as connection:
        for seconds in (2, 1):
            wrong_codes.insert_wrong_code(connection, "acme", PHONE, "", after(seconds))
    assert send_state_of(db, "acme", PHONE) == SendState(NOON, True, after(2), 1, 4, 4)
    assert send_state_of(db, "acme", OTHER_PHONE) == SendState(None, False, None, 0, 4, 4)
    assert send_state_of(db, "globex", PHONE) == SendState(None, False, None, 1, None, 4)


def test_it_is_of_the_session_and_counts_the_others_that_wait(db: Database) -> None:
    insert(db, over(created_at=after(1), session_digest="one"), a_verification(session_digest="two"), a_verification())
    with db.write() as connection:
        wrong_codes.insert_wrong_code(connection, "acme", PHONE, "one", after(2))
    assert send_state_of(db, "acme", PHONE, "one") == SendState(after(1), False, after(2), 0, None, None, 1)
    assert send_state_of(db, "acme", PHONE, "two") == SendState(NOON, True, None, 0, None, None, 0)
    assert send_state_of(db, "acme", PHONE) == SendState(NOON, True, None, 0, None, None, 1)
    assert send_state_of(db, "acme", PHONE, "three") == SendState(None, False, None, 0, None, None, 1)
    assert send_state_of(db, "acme", PHONE, "one", cooling_since=1).newest_at is None


def test_the_newest_counts_whether_it_is_pending_or_not(db: Database) -> None:
    made = (NOON + timedelta(seconds=seconds) for seconds in (3, 7, 5))
    insert(db, *(over(created_at=created_at) for created_at in made))
    state = send_state_of(db, "acme", PHONE)
    assert (state.newest_at, state.has_pending) == (after(7), False)


def test_accepted_calls_are_counted_over_all_owners_as_far_as_it_matters(db: Database) -> None:
    for seconds, owner in ((1, "acme"), (2, "globex"), (3, "initech")):
        a_call(db, phone=PHONE, owner_id=owner, created_at=after(seconds))
    assert send_state_of(db, "acme", PHONE).accepted_calls == 3
    assert send_state_of(db, "acme", PHONE, since=1).accepted_calls == 2
    assert send_state_of(db, "acme", PHONE, at_most=1).accepted_calls == 1


def test_turns_are_those_of_the_waiting(db: Database) -> None:
    a_live_call(db, turn=1)
    a_call(db, turn=5)
    a_call(db, turn=3, owner_id="globex")
    state = send_state_of(db, "acme", PHONE)
    assert (state.own_last_turn, state.first_waiting_turn) == (5, 3)
