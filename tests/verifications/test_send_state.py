"""What one more send depends on: of its own owner and phone, and of the queue."""

from __future__ import annotations

from datetime import timedelta

from letstalk.db.database import Database
from letstalk.verifications import repository as rows
from letstalk.verifications.send_state import Standing, find_standing
from tests.calls.test_repository import NOON, a_call, a_live_call, after
from tests.verifications.test_repository import insert, over

PHONE, OTHER_PHONE = "+256700123456", "+256700000001"


def standing_of(db: Database, user_id: str, phone: str, *, since: float = -1, at_most: int = 100) -> Standing:
    with db.read() as connection:
        return find_standing(connection, user_id, phone, after(since), at_most)


def test_where_nothing_is_nothing_stands_in_the_way(db: Database) -> None:
    assert standing_of(db, "acme", PHONE) == Standing(None, False, None, 0, None, None)


def test_it_is_of_the_owner_and_the_phone(db: Database) -> None:
    a_call(db, phone=PHONE, turn=4)
    with db.write() as connection:
        for seconds in (2, 1):
            rows.insert_wrong_code(connection, "acme", PHONE, after(seconds))
    assert standing_of(db, "acme", PHONE) == Standing(NOON, True, after(2), 1, 4, 4)
    assert standing_of(db, "acme", OTHER_PHONE) == Standing(None, False, None, 0, 4, 4)
    assert standing_of(db, "globex", PHONE) == Standing(None, False, None, 1, None, 4)


def test_the_newest_counts_whether_it_is_pending_or_not(db: Database) -> None:
    made = (NOON + timedelta(seconds=seconds) for seconds in (3, 7, 5))
    insert(db, *(over(created_at=created_at) for created_at in made))
    standing = standing_of(db, "acme", PHONE)
    assert (standing.newest_at, standing.has_pending) == (after(7), False)


def test_accepted_calls_are_counted_over_all_owners_as_far_as_it_matters(db: Database) -> None:
    for seconds, owner in ((1, "acme"), (2, "globex"), (3, "initech")):
        a_call(db, phone=PHONE, user_id=owner, created_at=after(seconds))
    assert standing_of(db, "acme", PHONE).accepted_calls == 3
    assert standing_of(db, "acme", PHONE, since=1).accepted_calls == 2
    assert standing_of(db, "acme", PHONE, at_most=1).accepted_calls == 1


def test_turns_are_those_of_the_waiting(db: Database) -> None:
    a_live_call(db, turn=1)
    a_call(db, turn=5)
    a_call(db, turn=3, user_id="globex")
    standing = standing_of(db, "acme", PHONE)
    assert (standing.own_last_turn, standing.first_waiting_turn) == (5, 3)
