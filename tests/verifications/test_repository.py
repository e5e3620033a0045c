"""The tables of verifications: what they refuse from every writer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text, update
from sqlalchemy.exc import IntegrityError

from letstalk.calls.lifecycle import place_call
from letstalk.calls.models import NewCall
from letstalk.db.database import Database
from letstalk.events.models import DueEvents
from letstalk.verifications import repository as rows
from letstalk.verifications import wrong_codes
from letstalk.verifications.models import MAX_ATTEMPTS, PendingCheck, Verification, VerificationRef, VerificationStatus
from letstalk.verifications.repository import spend_attempt, spend_attempt_and_approve
from tests.support.world import at_once

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PHONE = "+256700123456"


def a_verification(**fields: Any) -> Verification:
    verification = Verification(
        verification_id=str(uuid4()),
        owner_id="acme",
        phone=PHONE,
        status=VerificationStatus.PENDING,
        created_at=NOON,
        expires_at=NOON + timedelta(seconds=300),
        last_spoken_for_at=NOON,
        attempts_used=0,
        replays_used=0,
        locale="en-US",
        code_digest="0" * 64,
        digest_key_id=str(uuid4()),
        speech_sealed="sealed",
        approved_at=None,
    )
    return replace(verification, **fields)


def over(status: VerificationStatus = VerificationStatus.CANCELED, **fields: Any) -> Verification:
    approved_at = NOON if status is VerificationStatus.APPROVED else None
    return a_verification(status=status, speech_sealed=None, approved_at=approved_at, **fields)


def insert(db: Database, *verifications: Verification) -> None:
    with db.write() as connection:
        for verification in verifications:
            rows.insert_verification(connection, verification)


def found(db: Database, verification_id: str) -> Verification | None:
    with db.read() as connection:
        return rows.find_verification(connection, "acme", verification_id)


def guess_at_once(db: Database, times: int, guess: Callable[[Connection], bool]) -> int:
    """How many of so many guesses, each in a thread and a transaction of its own, were judged."""
    judged: list[bool] = []

    def judge() -> None:
        with db.write() as connection:
            judged.append(guess(connection))

    assert at_once([judge] * times) == ["ok"] * times
    return judged.count(True)


def test_a_verification_comes_back_as_it_went_in(db: Database) -> None:
    verification = a_verification(locale=None)
    insert(db, verification)
    assert found(db, verification.verification_id) == verification


def test_it_is_found_by_its_owner_only(db: Database) -> None:
    verification = a_verification(owner_id="globex")
    insert(db, verification)
    assert found(db, verification.verification_id) is None


def test_an_owner_has_one_pending_verification_for_a_phone_and_session(db: Database) -> None:
    insert(db, a_verification(), a_verification(session_digest="one"), a_verification(session_digest="two"))
    for session_digest in ("", "one"):
        with pytest.raises(IntegrityError):
            insert(db, a_verification(session_digest=session_digest))
    insert(db, a_verification(owner_id="globex"), a_verification(phone="+256700000001"), over(), over())


@pytest.mark.parametrize(
    "status", [status for status in VerificationStatus if status is not VerificationStatus.PENDING]
)
def test_what_is_over_holds_no_code(db: Database, status: VerificationStatus) -> None:
    with pytest.raises(IntegrityError):
        insert(db, replace(over(status), speech_sealed="sealed"))
    insert(db, over(status))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts_used": MAX_ATTEMPTS + 1},
        {"attempts_used": -1},
        {"replays_used": -1},
        {"expires_at": NOON},
        {"approved_at": NOON},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_the_database_itself_refuses_what_cannot_be(db: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        insert(db, a_verification(**wrong))


def test_a_status_that_is_none_is_refused(db: Database) -> None:
    insert(db, over())
    with pytest.raises(IntegrityError), db.write() as connection:
        connection.execute(update(rows.verifications).values(status="nonsense"))


def test_an_approved_one_says_when(db: Database) -> None:
    with pytest.raises(IntegrityError):
        insert(db, replace(over(VerificationStatus.APPROVED), approved_at=None))


def test_five_attempts_can_be_spent_however_many_try_at_once(db: Database) -> None:
    verification = a_verification()
    insert(db, verification)

    def guess(connection: Connection) -> bool:
        held = pending_by_id(connection, "acme", verification.verification_id, NOON)
        if held is not None:
            time.sleep(0.002)  # as to judge it
            spend_attempt(connection, held.verification_id)
        return held is not None

    assert guess_at_once(db, 12, guess) == MAX_ATTEMPTS


def test_no_attempt_can_be_spent_on_what_is_over_or_has_expired(db: Database) -> None:
    canceled, pending = over(), a_verification()
    insert(db, canceled, pending)
    with db.write() as connection:
        assert not pending_by_id(connection, "acme", canceled.verification_id, NOON)
        assert not pending_by_id(connection, "acme", pending.verification_id, pending.expires_at)
        assert not pending_by_id(connection, "acme", "none", NOON)
        assert pending_by_id(connection, "acme", pending.verification_id, NOON)
        spend_attempt(connection, canceled.verification_id)
    assert [found.attempts_used for found in all_of(db, canceled, pending)] == [0, 0]


def test_one_of_those_who_know_the_code_approves_it_and_it_is_erased(db: Database) -> None:
    verification = a_verification()
    insert(db, verification)

    def guess(connection: Connection) -> bool:
        held = pending_by_phone(connection, "acme", PHONE, NOON)
        if held is not None:
            time.sleep(0.002)
            spend_attempt_and_approve(connection, held.verification_id, NOON)
        return held is not None

    assert guess_at_once(db, 8, guess) == 1
    assert found(db, verification.verification_id) == replace(
        verification,
        status=VerificationStatus.APPROVED,
        attempts_used=1,
        events_due=DueEvents.APPROVED.value,
        speech_sealed=None,
        approved_at=NOON,
        ended_at=NOON,
    )


def test_on_postgresql_a_spent_attempt_stays_on_the_page_of_its_verification(postgresql_db: Database) -> None:
    pages = text("SELECT verification_id, split_part(ctid::text, ',', 1) FROM verifications ORDER BY 1")
    insert(postgresql_db, *(a_verification(phone=f"+2567000{number:05}") for number in range(100)))
    with postgresql_db.write() as connection:
        before = connection.execute(pages).all()
        assert len({page for _, page in before}) > 2
        for verification_id, _ in before:
            spend_attempt(connection, verification_id)
        assert connection.execute(pages).all() == before


def test_a_verification_ends_once_and_its_code_is_erased(db: Database) -> None:
    verification = a_verification()
    insert(db, verification)
    with db.write() as connection:
        assert rows.end_verification(connection, verification.verification_id, VerificationStatus.CANCELED, NOON)
        for other in (VerificationStatus.FAILED, VerificationStatus.EXPIRED):
            assert not rows.end_verification(connection, verification.verification_id, other, NOON)
        spend_attempt_and_approve(connection, verification.verification_id, NOON)
    ended = found(db, verification.verification_id)
    assert ended == replace(verification, status=VerificationStatus.CANCELED, speech_sealed=None, ended_at=NOON)


def test_a_verification_that_expired_ended_when_it_expired_however_late_that_is_noticed(db: Database) -> None:
    verification = a_verification()
    insert(db, verification)
    with db.write() as connection:
        late = verification.expires_at + timedelta(minutes=1)
        assert rows.end_verification(connection, verification.verification_id, VerificationStatus.EXPIRED, late)
    ended = found(db, verification.verification_id)
    assert ended is not None
    assert ended.ended_at == verification.expires_at


def test_the_newest_of_a_session_is_found(db: Database) -> None:
    old = over(created_at=NOON - timedelta(days=9), expires_at=NOON - timedelta(days=8))
    older = over(created_at=NOON - timedelta(days=10), expires_at=NOON - timedelta(days=8))
    newer = over(created_at=NOON - timedelta(days=8, hours=1), session_digest="one")
    insert(db, old, older, newer)
    since = NOON - timedelta(days=20)
    with db.read() as connection:
        assert rows.find_newest(connection, "acme", PHONE, "", since=since) == old
        assert rows.find_newest(connection, "acme", PHONE, "one", since=since) == newer
        assert rows.find_newest(connection, "acme", PHONE, "two", since=since) is None
        assert rows.find_newest(connection, "acme", PHONE, "", since=old.created_at) is None
        assert rows.find_newest(connection, "acme", "+256700000001", "", since=since) is None
        assert rows.find_newest(connection, "globex", PHONE, "", since=since) is None


def test_the_ten_latest_wrong_codes_count_newest_first(db: Database) -> None:
    with db.write() as connection:
        for minutes in range(12):
            wrong_codes.insert_wrong_code(connection, "acme", PHONE, "", NOON + timedelta(minutes=minutes))
        wrong_codes.insert_wrong_code(connection, "globex", PHONE, "", NOON)
        wrong_codes.insert_wrong_code(connection, "acme", PHONE, "one", NOON + timedelta(minutes=20))
        judged = wrong_codes.list_wrong_codes(connection, "acme", PHONE, "")
    assert judged == [NOON + timedelta(minutes=minutes) for minutes in range(11, 1, -1)]


def test_wrong_codes_are_cleared_for_one_owner_phone_and_session_and_still_count_for_the_phone(db: Database) -> None:
    others = (("globex", PHONE, ""), ("acme", "+256700000001", ""), ("acme", PHONE, "one"))
    with db.write() as connection:
        for owner, phone, session_digest in (("acme", PHONE, ""), *others):
            wrong_codes.insert_wrong_code(connection, owner, phone, session_digest, NOON)
        wrong_codes.clear_wrong_codes(connection, "acme", PHONE, "")
        assert wrong_codes.list_wrong_codes(connection, "acme", PHONE, "") == []
        assert [wrong_codes.list_wrong_codes(connection, *other) for other in others] == [[NOON]] * 3
        assert wrong_codes.count_wrong_codes_of_phone(connection, PHONE, NOON - timedelta(seconds=1)) == 3
        assert wrong_codes.count_wrong_codes_of_phone(connection, PHONE, NOON) == 0


def test_what_has_expired_is_found_in_portions(db: Database) -> None:
    expired = [a_verification(phone=f"+25670000000{number}") for number in range(4)]
    later = a_verification(expires_at=NOON + timedelta(seconds=301))
    insert(db, *expired, later, over(expires_at=NOON + timedelta(seconds=1)))
    with db.read() as connection:
        moment = NOON + timedelta(seconds=300)
        assert set(rows.find_expired(connection, moment)) == {item.verification_id for item in expired}
        assert len(rows.find_expired(connection, moment, limit=3)) == 3
        assert rows.find_expired(connection, NOON) == []


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("verifications", "user_id = 'acme' AND phone = '+256700123456' ORDER BY created_at DESC LIMIT 1"),
        ("verifications", "status = 'pending' AND expires_at <= '2026-11-20 12:00:00'"),
        ("verifications", "user_id = 'acme' AND phone = '+1' AND session_digest = '' AND status = 'pending'"),
        ("wrong_codes", "user_id = 'a' AND phone = '+1' AND session_digest = '' ORDER BY judged_at DESC LIMIT 10"),
        ("wrong_codes", "phone = '+256700123456' AND judged_at > '2026-11-20 12:00:00' LIMIT 20"),
        ("calls", "phone = '+256700123456' AND created_at > '2026-11-20 12:00:00'"),
        ("calls", "subject_id = 'one' ORDER BY created_at"),
        ("calls", "status = 'queued' ORDER BY turn, created_at LIMIT 50"),
        ("calls", "provider_call_id = 'one'"),
        ("webhook_events", "applied_at IS NULL AND received_at <= '2026-11-20 12:00:00'"),
    ],
)
def test_what_every_request_asks_is_answered_from_an_index(sqlite_db: Database, table: str, condition: str) -> None:
    with sqlite_db.read() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {condition}"))  # noqa: S608
        steps = [row.detail for row in plan]
    assert all(step.startswith("SEARCH") or "USING INDEX" in step for step in steps), steps


def test_an_awaited_code_comes_with_what_counts_of_its_own_owner_phone_and_calls(db: Database) -> None:
    older, newest = over(), a_verification(created_at=NOON + timedelta(seconds=30))
    others = a_verification(owner_id="globex"), a_verification(phone="+256700000001")
    insert(db, older, newest, *others)
    with db.write() as connection:
        for owner, phone in (("globex", PHONE), ("acme", "+256700000001")):
            wrong_codes.insert_wrong_code(connection, owner, phone, "", NOON)
        wrong_codes.insert_wrong_code(connection, "acme", PHONE, "one", NOON)
        queue_call(connection, others[0])
        held = pending_by_phone(connection, "acme", PHONE, NOON)
        assert held is not None
        assert (held.verification_id, held.phone, held.created_at) == (newest.verification_id, PHONE, newest.created_at)
        assert (held.code_digest, held.digest_key_id) == (newest.code_digest, newest.digest_key_id)
        assert (held.attempts_used, held.last_wrong_code_at, held.has_unfinished_calls) == (0, None, False)
        spend_attempt(connection, held.verification_id)
        for seconds in (2, 1):
            wrong_codes.insert_wrong_code(connection, "acme", PHONE, "", NOON + timedelta(seconds=seconds))
        queue_call(connection, newest)
        again = pending_by_id(connection, "acme", newest.verification_id, NOON)
        assert again is not None
        assert (again.attempts_used, again.last_wrong_code_at) == (1, NOON + timedelta(seconds=2))
        assert again.has_unfinished_calls is True
        assert pending_by_id(connection, "globex", newest.verification_id, NOON) is None
    assert [found.attempts_used for found in all_of(db, older, *others)] == [0, 0, 0]


def test_by_phone_only_that_of_the_session_is_awaited(db: Database) -> None:
    insert(db, over(created_at=NOON + timedelta(seconds=1)), a_verification(session_digest="one"))
    with db.write() as connection:
        assert pending_by_phone(connection, "acme", PHONE, NOON) is None
        of_session = VerificationRef(PHONE, None, "one")
        assert rows.get_pending(connection, "acme", of_session, NOON, for_update=True) is not None
        assert (
            rows.get_pending(connection, "acme", replace(of_session, session_digest="two"), NOON, for_update=True)
            is None
        )


def queue_call(connection: Connection, verification: Verification) -> None:
    new = NewCall(
        subject_id=verification.verification_id,
        owner_id=verification.owner_id,
        phone=verification.phone,
        script_sealed="sealed",
        locale=None,
        speak_before=verification.expires_at,
    )
    place_call(connection, new, 0, NOON)


def pending_by_id(connection: Connection, owner_id: str, verification_id: str, now: datetime) -> PendingCheck | None:
    ref = VerificationRef(None, verification_id)
    return rows.get_pending(connection, owner_id, ref, now, for_update=True)


def pending_by_phone(connection: Connection, owner_id: str, phone: str, now: datetime) -> PendingCheck | None:
    return rows.get_pending(connection, owner_id, VerificationRef(phone, None), now, for_update=True)


def all_of(db: Database, *verifications: Verification) -> list[Verification]:
    with db.read() as connection:
        found = [rows.find_verification(connection, each.owner_id, each.verification_id) for each in verifications]
    return [verification for verification in found if verification is not None]
