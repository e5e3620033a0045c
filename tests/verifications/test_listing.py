"""The list of verifications: every filter finds what it should, in pages, for a bounded amount of work."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from letstalk.calls import repository as calls
from letstalk.calls.models import CallStatus, NewCall
from letstalk.core.ids import new_id
from letstalk.db.database import Database
from letstalk.verifications import listing
from letstalk.verifications import repository as rows
from letstalk.verifications.listing import Found, Place, Wanted, first_id_at, list_newest, time_of
from letstalk.verifications.models import Verification, VerificationStatus
from letstalk.verifications.outcomes import Reason, reason_of
from tests.verifications.test_repository import a_verification

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LONGEST_WALK = 1_000
OWNERS, PHONES = ("acme", "globex", "initech"), tuple(f"+25670012345{digit}" for digit in range(6))
# Two of whom have verifications, and many who have none, one with a name that has to be quoted.
MANY = frozenset({"acme", "initech", 'an "owner"', *(f"owner-{number}" for number in range(100))})
TOKENS = ("token-1", "token-2")
Stored = list[tuple[Verification, CallStatus | None]]


def store(connection: Connection, count: int) -> Stored:
    """Verifications of the last days, each like no other, and the status of the last call of each."""
    chance = random.Random(7)  # noqa: S311  # the same rows each time
    stored: Stored = []
    for number in range(count):
        created_at = NOW - timedelta(seconds=240 * number + chance.random())
        is_young = created_at > NOW - timedelta(seconds=600)
        status = chance.choice(list(VerificationStatus))
        if status is VerificationStatus.PENDING and not is_young:
            status = VerificationStatus.EXPIRED
        one = a_verification(
            verification_id=new_id(created_at),
            owner_id=chance.choice(OWNERS),
            phone=chance.choice(PHONES),
            status=status,
            created_at=created_at,
            expires_at=created_at + timedelta(seconds=300),
            speech_sealed="sealed" if status is VerificationStatus.PENDING else None,
            approved_at=created_at if status is VerificationStatus.APPROVED else None,
            token_id=chance.choice((*TOKENS, None)),
            country=chance.choice(("UG", "DE", "DE", "DE")),
            session_digest=f"{number:032d}",
        )
        rows.insert_verification(connection, one)
        stored.append((one, store_calls(connection, one, chance)))
    return stored


def store_calls(connection: Connection, one: Verification, chance: random.Random) -> CallStatus | None:
    status = None
    for number in range(chance.choice((0, 1, 1, 2))):
        at = one.created_at + timedelta(seconds=number)
        new = NewCall(one.verification_id, one.owner_id, one.phone, "sealed", None, one.expires_at)
        call_id = new_id(at)
        calls.insert_call(connection, call_id, new, 1, at)
        status = chance.choice((CallStatus.BUSY, CallStatus.COMPLETED, CallStatus.NO_ANSWER, CallStatus.FAILED))
        calls.update_call(connection, call_id, status=status.value, ended_at=at, script_sealed=None)
    return status


def expected(stored: Stored, wanted: Wanted) -> list[str]:
    """The ids that a plain filter finds, newest first."""

    def fits(one: Verification, last_call: CallStatus | None) -> bool:
        status = one.status_at(NOW)
        given = (
            (one.phone, wanted.phone),
            (one.country, wanted.country),
            (one.token_id, wanted.token_id),
            (status, wanted.status),
            (reason_of(status, last_call), wanted.reason),
        )
        return (
            all(value == asked for value, asked in given if asked is not None)
            and (wanted.owner_ids is None or one.owner_id in wanted.owner_ids)
            and (wanted.since is None or one.created_at >= wanted.since)
            and (wanted.until is None or one.created_at < wanted.until)
        )

    return [one.verification_id for one, last_call in stored if fits(one, last_call)]


def walk(connection: Connection, wanted: Wanted, *, is_newer: bool = False) -> Iterator[Found]:
    """The pages from one end to the other."""
    place = Place(NOW - timedelta(days=3650), listing.FIRST_ID, is_newer=True) if is_newer else None
    for _ in range(LONGEST_WALK):
        found = list_newest(connection, wanted, NOW, limit=7, place=place)
        yield found
        if found.gave_up_at is not None:
            place = found.gave_up_at
        elif len(found.rows) == 7:
            last = found.rows[0] if is_newer else found.rows[-1]
            place = Place(last.created_at, last.verification_id, is_newer)
        else:
            return
    raise AssertionError("the walk has no end")


FILTERS = (
    Wanted(),
    Wanted(owner_ids=frozenset({"acme"})),
    Wanted(owner_ids=frozenset({"acme", "initech"}), country="UG"),
    Wanted(owner_ids=frozenset({"globex"}), phone=PHONES[0]),
    Wanted(owner_ids=MANY),
    Wanted(owner_ids=MANY, phone=PHONES[0]),
    Wanted(owner_ids=MANY, status=VerificationStatus.PENDING),
    Wanted(owner_ids=MANY, reason=Reason.BUSY),
    Wanted(owner_ids=MANY, country="UG", token_id=TOKENS[0]),
    Wanted(owner_ids=MANY, since=NOW - timedelta(hours=5), until=NOW - timedelta(hours=1)),
    Wanted(phone=PHONES[1], status=VerificationStatus.APPROVED),
    Wanted(country="UG", token_id=TOKENS[0]),
    Wanted(token_id=TOKENS[1], reason=Reason.BUSY),
    Wanted(country="DE", status=VerificationStatus.CANCELED, owner_ids=frozenset({"acme", "globex"})),
    Wanted(since=NOW - timedelta(hours=5), until=NOW - timedelta(hours=1)),
    Wanted(country="DE", since=NOW - timedelta(hours=5), until=NOW - timedelta(hours=1)),
    Wanted(status=VerificationStatus.CANCELED, reason=Reason.BUSY),
    Wanted(owner_ids=frozenset()),
    *(Wanted(status=status) for status in VerificationStatus),
    *(Wanted(reason=reason) for reason in Reason),
)


def test_every_filter_finds_the_same_rows_as_a_plain_search_in_either_direction(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few candidates that nearly every page is cut short, and has to be gone on from.
    monkeypatch.setattr(listing, "MOST_CANDIDATES", 20)
    monkeypatch.setattr(listing, "MOST_CANDIDATES_BY_REASON", 15)
    monkeypatch.setattr(listing, "FIRST_CANDIDATES", 4)
    monkeypatch.setattr(listing, "FEWEST_OF_A_BRANCH", 2)
    with db.write() as connection:
        stored = store(connection, 48)
        cut_short = 0
        for wanted in FILTERS:
            older, newer = list(walk(connection, wanted)), list(walk(connection, wanted, is_newer=True))
            cut_short += sum(page.gave_up_at is not None for page in older)
            ids = [one.verification_id for page in older for one in page.rows]
            assert ids == expected(stored, wanted), wanted
            back = [one.verification_id for page in reversed(newer) for one in page.rows]
            assert back == ids, wanted
        assert cut_short > 10


def test_rows_of_one_moment_are_neither_lost_nor_endless(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_CANDIDATES", 2)
    with db.write() as connection:
        for number in range(20):
            one = a_verification(verification_id=new_id(NOW), country="UG", session_digest=f"{number:032d}")
            rows.insert_verification(connection, replace(one, created_at=NOW, expires_at=NOW + timedelta(seconds=60)))
        found = [one.verification_id for page in walk(connection, Wanted(country="UG")) for one in page.rows]
        assert (len(found), len(set(found))) == (20, 20)


def test_a_page_without_filters_reads_few_rows(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    find_end = listing._Search._find_end  # how much one page reads is nowhere else to be seen

    def count(self: listing._Search, route: object, start: object, size: int) -> object:
        steps.append(size)
        return find_end(self, route, start, size)  # type: ignore[arg-type]

    monkeypatch.setattr(listing._Search, "_find_end", count)
    with db.write() as connection:
        store(connection, 30)
        list_newest(connection, Wanted(), NOW, limit=26)
    assert steps == [listing.FIRST_CANDIDATES]


def test_an_id_tells_its_time_and_the_ids_of_a_moment_begin_with_it() -> None:
    for _ in range(20):
        made = new_id(NOW)
        assert time_of(made) == NOW
        assert first_id_at(NOW) <= made < first_id_at(NOW + timedelta(milliseconds=1))
