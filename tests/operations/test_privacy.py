"""What a person may ask about their phone: a copy of it all, and that it is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from letstalk.calls.models import CallStatus
from letstalk.db.database import Database
from letstalk.http.idempotency import read_idempotency_key
from letstalk.operations.privacy import PrivacyService
from letstalk.telephony.events import EventType, HangupCause
from letstalk.verifications.models import VerificationStatus
from tests.support.fixtures.databases import all_tables
from tests.support.world import PHONE, SEND_PATH, World, at_once, outcome_of, phone_number, refusal_of

OTHER = phone_number(7)


def privacy_of(world: World, region: str | None = None) -> PrivacyService:
    return PrivacyService(world.db, world.clock, default_region=region)


def dump(db: Database) -> str:
    """Every value of every row of every table."""
    with db.read() as connection:
        rows = [(table.name, tuple(row)) for table in all_tables() for row in connection.execute(select(table))]
    return "\n".join(repr(row) for row in rows)


def send_idempotently(world: World, phone: str, owner: str = "acme") -> str:
    key = read_idempotency_key(SEND_PATH, f"{phone} {world.clock().isoformat()}", {"phone": phone})
    return world.send(phone, owner=owner, idempotency=key).verification_id


def lived_through(world: World, phone: str) -> list[str]:
    """A phone's history: a code that two owners had it called for, wrong guesses, an approval, a code that waits."""
    first = send_idempotently(world, phone)
    world.guess_wrong(first, 2)
    world.pass_time(40)
    world.check_phone(phone, world.heard(phone)[-1])
    world.pass_time(60)
    world.guess_wrong(second := send_idempotently(world, phone, "globex"), 1, owner="globex")
    world.pass_time(120)
    waiting = send_idempotently(world, phone)
    return [first, second, waiting]


def test_a_copy_holds_everything_and_no_code(world: World) -> None:
    first, second, waiting = lived_through(world, PHONE)
    lived_through(world, OTHER)
    code = world.code_of(waiting)
    copy = privacy_of(world).export_phone("+256 700 123456")

    assert copy["phone"] == PHONE
    assert copy["exported_at"].endswith("Z")
    found = {one["verification_id"]: one for one in copy["verifications"]}
    assert set(found) == {first, second, waiting}
    assert [found[one]["user_id"] for one in (first, second, waiting)] == ["acme", "globex", "acme"]
    assert (found[first]["status"], found[first]["attempts_used"]) == ("approved", 3)
    assert found[first]["approved_at"] is not None
    assert found[waiting]["approved_at"] is None
    [call] = found[first]["calls"]
    assert call["status"] == CallStatus.COMPLETED.value
    assert call["ended_at"] > call["answered_at"] > call["created_at"]
    assert call["events"][0]["type"] == "dialing"
    assert {"answered", "hung_up"} <= {event["type"] for event in call["reported"]}
    # Those that the approval cleared for the first owner still count for the phone.
    assert len(copy["wrong_codes_at"]) == 3
    assert [one["path"] for one in copy["idempotent_requests"]] == [SEND_PATH] * 3

    text = json.dumps(copy)
    assert code not in text
    assert not any(heard in text for heard in world.heard())
    assert "sealed" not in text
    assert "digest" not in text
    assert OTHER not in text


def test_a_phone_that_was_never_called_has_an_empty_copy(world: World) -> None:
    lived_through(world, OTHER)
    copy = privacy_of(world, "UG").export_phone("0700 123456")
    assert copy["phone"] == PHONE
    assert [copy[name] for name in ("verifications", "wrong_codes_at", "idempotent_requests")] == [[], [], []]


def test_an_erased_phone_has_left_no_trace_and_others_all_of_theirs(world: World) -> None:
    erased = lived_through(world, PHONE)
    kept = lived_through(world, OTHER)
    calls = [call for verification_id in erased for call in world.calls_of(verification_id)]
    ids = [*erased, *(call.call_id for call in calls), *(call.provider_call_id for call in calls)]
    before, others = dump(world.db), privacy_of(world).export_phone(OTHER)
    assert PHONE in before
    assert all(one in before for one in ids if one)

    assert privacy_of(world).erase_phone(PHONE) == 3
    left = dump(world.db)
    assert PHONE not in left
    assert PHONE[1:] not in left
    assert not [one for one in ids if one and one in left]
    assert privacy_of(world).export_phone(OTHER) == others
    assert all(one in left for one in kept)
    assert privacy_of(world).erase_phone(PHONE) == 0


def test_nothing_is_left_in_the_files_of_sqlite_either(sqlite_db: Database) -> None:
    world = World(sqlite_db)
    lived_through(world, PHONE)
    path = Path(sqlite_db.engine.url.database or "")

    def bytes_of_all_files() -> bytes:
        return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))

    assert PHONE.encode() in bytes_of_all_files()
    privacy_of(world).erase_phone(PHONE)
    assert PHONE.encode() not in bytes_of_all_files()


def test_a_phone_is_not_erased_while_a_call_to_it_is_live(world: World) -> None:
    verification_id = world.send().verification_id
    world.pass_time(8)
    assert world.live_calls() == 1
    before = dump(world.db)
    error = refusal_of(lambda: privacy_of(world).erase_phone(PHONE), "call_live")
    assert PHONE not in error.message
    assert dump(world.db) == before

    world.pass_time(120)
    assert world.verification(verification_id).status is VerificationStatus.PENDING
    assert privacy_of(world).erase_phone(PHONE) == 1
    assert outcome_of(lambda: world.check(verification_id, "000000")) == "no_pending_verification"


def test_a_call_that_waits_is_never_placed_once_its_phone_is_erased(world: World) -> None:
    call_id = world.send().call_id
    privacy_of(world).erase_phone(PHONE)
    world.pass_time(30)
    world.dispatch.dial(call_id)
    world.commands.carry_out(call_id)
    world.events.offer_code(call_id)
    assert world.provider.dials == []
    assert world.send().call_id != call_id


def test_what_a_provider_tells_of_an_erased_call_changes_nothing(world: World) -> None:
    call_id = world.send().call_id
    world.pass_time(120)
    privacy_of(world).erase_phone(PHONE)
    world.receive(call_id, EventType.HUNG_UP, cause=HangupCause.NORMAL)
    assert PHONE not in dump(world.db)
    assert privacy_of(world).export_phone(PHONE)["verifications"] == []


def test_erasing_while_codes_are_guessed_and_canceled_ends_in_nothing_left(world: World) -> None:
    verifications = [world.send(owner=f"owner-{number}").verification_id for number in range(6)]
    outcomes: dict[str, str] = {}

    def meet(name: str, action: Callable[[], object]) -> Callable[[], None]:
        def act() -> None:
            outcomes[name] = outcome_of(action)

        return act

    actions = [meet(f"erase {number}", lambda: privacy_of(world).erase_phone(PHONE)) for number in range(2)]
    for number, verification_id in enumerate(verifications):
        owner = f"owner-{number}"
        check = partial(world.check, verification_id, "000000", owner=owner)
        cancel = partial(world.cancel, verification_id, owner=owner)
        actions.append(meet(owner, check if number % 2 else cancel))
    assert at_once([*actions, *(partial(world.dispatch.drop_late_calls) for _ in range(2))]) == ["ok"] * 10
    assert {outcome for name, outcome in outcomes.items() if name.startswith("erase")} == {"ok"}
    others = {outcome for name, outcome in outcomes.items() if name.startswith("owner")}
    assert others <= {"ok", "invalid_code", "no_pending_verification", "not_found"}
    privacy_of(world).erase_phone(PHONE)
    assert PHONE not in dump(world.db)


@pytest.mark.parametrize("phone", ["0700 123456", "nobody", "", "+1"])
def test_what_is_no_phone_is_refused(sqlite_db: Database, phone: str) -> None:
    world = World(sqlite_db)
    refusal_of(lambda: privacy_of(world).export_phone(phone), "invalid_phone")
    refusal_of(lambda: privacy_of(world).erase_phone(phone), "invalid_phone")


def test_erasing_takes_the_counts_that_limits_stand_on(world: World) -> None:
    world.send()
    assert outcome_of(world.send) == "resend_too_soon"
    privacy_of(world).erase_phone(PHONE)
    assert outcome_of(world.send) == "ok"
    world.clock.now += timedelta(seconds=1)
    assert outcome_of(world.send) == "resend_too_soon"
