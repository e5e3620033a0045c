"""Journeys in which time passes: replays, newer codes, codes that grow old, calls that nobody ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.installations import eventually
from tests.flows.served import Served, served


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Served]:
    with served(tmp_path, database_url) as running:
        yield running


def test_a_replay_after_the_call_is_a_new_call_with_the_same_code(service: Served) -> None:
    acme, phone = service.owner, "+256700300001"
    verification_id = acme.send(phone)
    (code,) = service.codes(phone, [1])
    too_soon = acme.replay(phone)
    assert (too_soon.status_code, too_soon.json()["code"]) == (429, "replay_too_soon")
    assert int(too_soon.headers["Retry-After"]) <= 20
    acme.ended_call(verification_id)

    service.clock.move(21)
    replayed = acme.replay(phone)
    assert (replayed.status_code, replayed.json()["replays_remaining"]) == (202, 2)
    assert replayed.json()["call_status"] == "queued"
    assert service.codes(phone, [1, 1]) == [code, code]
    acme.ended_call(verification_id)
    assert [call["status"] for call in acme.verification(verification_id)["calls"]] == ["completed", "completed"]
    assert acme.verify(phone, code).status_code == 200


def test_a_replay_while_somebody_is_on_the_line_is_spoken_into_that_call(service: Served) -> None:
    acme, phone = service.owner, "+256700300002"
    service.telnyx.configure(speed=2)
    verification_id = acme.send(phone)
    (code,) = service.codes(phone, [1])
    eventually(lambda: acme.last_call(verification_id)["status"] == "speaking", "nothing was spoken")

    service.clock.move(21)
    replayed = acme.replay(phone)
    assert (replayed.status_code, replayed.json()["call_status"]) == (202, "speaking")
    assert service.codes(phone, [2]) == [code, code]
    service.telnyx.configure(speed=20)
    assert acme.ended_call(verification_id)["status"] == "completed"
    assert len(acme.verification(verification_id)["calls"]) == 1


def test_a_newer_code_ends_the_ringing_call_of_the_older_and_waits_for_its_end(service: Served) -> None:
    acme, phone = service.owner, "+256700300003"
    service.telnyx.configure(speed=1, phones={phone: "slow"})
    older = acme.send(phone)
    eventually(lambda: acme.last_call(older)["status"] == "ringing", "it did not ring")

    service.clock.move(31)
    service.telnyx.configure(speed=20, phones={phone: "person"})
    newer = acme.send(phone)
    (code,) = service.codes(phone, [0, 1])
    ended = acme.ended_call(older)
    assert (ended["status"], ended["reason"]) == ("canceled", "A newer code was requested.")
    assert acme.verification(older)["status"] == "superseded"
    old_one = acme.post("/calls/verify", {"verification_id": older, "code": code})
    assert (old_one.status_code, old_one.json()["code"]) == (410, "verification_superseded")
    assert service.telnyx.state()["max_live_per_phone"] == 1
    acme.ended_call(newer)
    assert acme.verify(phone, code).status_code == 200


def test_a_code_that_has_grown_old_is_refused_without_spending_an_attempt(service: Served) -> None:
    acme, phone = service.owner, "+256700300004"
    verification_id = acme.send(phone, expires_in=60)
    (code,) = service.codes(phone, [1])
    acme.ended_call(verification_id)

    service.clock.move(61)
    late = acme.verify(phone, code)
    assert (late.status_code, late.json()["code"]) == (410, "code_expired")
    found = acme.verification(verification_id)
    assert (found["status"], found["attempts_remaining"]) == ("expired", 5)


def test_a_call_whose_end_was_never_told_lets_its_channel_go_when_telnyx_is_asked(
    tmp_path: Path, database_url: str
) -> None:
    with served(tmp_path, database_url, MAX_CONCURRENT_CALLS="1") as service:
        acme, first_phone, second_phone = service.owner, "+256700300005", "+256700300006"
        service.telnyx.configure(phones={first_phone: "rejected"})
        service.telnyx.drop_next("call.hangup")
        first = acme.send(first_phone)
        second = acme.send(second_phone)
        service.telnyx.wait_until(lambda state: len(state["calls"]) == 1 and state["live"] == 0)
        assert acme.last_call(second)["status"] == "queued"

        service.clock.move(41)
        assert acme.ended_call(first)["status"] == "unknown"
        assert acme.ended_call(second)["status"] == "completed"
