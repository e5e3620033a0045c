"""A phone is called, a voice reads the code, the app checks it: and everything else that can become of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from tests.flows.installations import Installation, eventually
from tests.support.apps import heard_code
from tests.support.fake_telnyx import holds_code


@contextmanager
def calls_at_speed(service: Installation, speed: float) -> Iterator[None]:
    service.telnyx.configure(speed=speed)
    try:
        yield
    finally:
        service.telnyx.configure(speed=20)


def test_a_phone_hears_a_code_which_is_accepted_once(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100001"
    verification_id = acme.send(phone)
    code = service.code(phone)
    assert len(code) == 6

    wrong = acme.verify(phone, f"{(int(code) + 1) % 1_000_000:06}")
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["attempts_remaining"]) == (400, "invalid_code", 4)
    right = acme.verify(phone, code)
    assert (right.status_code, right.json()["verified"], right.json()["status"]) == (200, True, "approved")
    again = acme.verify(phone, code)
    assert (again.status_code, again.json()["code"]) == (410, "code_used")

    assert acme.ended_call(verification_id)["status"] == "completed"
    assert acme.verification(verification_id)["status"] == "approved"
    assert len(service.payloads(phone)) == 1


def test_another_owner_can_do_nothing_with_a_code_that_was_heard(service: Installation) -> None:
    acme, stranger, phone = service.owner(), service.owner("stranger"), "+256700100002"
    verification_id = acme.send(phone)
    code = service.code(phone)

    assert stranger.verify(phone, code).status_code == 404
    assert stranger.get(f"/calls/{verification_id}").status_code == 404
    assert stranger.cancel(verification_id).status_code == 404
    assert stranger.get("/calls").json()["verifications"] == []
    assert acme.verify(phone, code).status_code == 200


def test_key_1_speaks_the_code_again_three_times_at_most(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100003"
    service.telnyx.configure(phones={phone: "keeps_pressing"})
    verification_id = acme.send(phone)

    call = acme.ended_call(verification_id)
    assert (call["status"], call["reason"]) == ("completed", "The code was read.")
    payloads = service.payloads(phone)
    assert len(payloads) == 4
    codes = {heard_code(payload) for payload in payloads}
    assert len(codes) == 1
    # Key 1 is no replay, and the code it repeats stays good.
    assert acme.verification(verification_id)["replays_remaining"] == 3
    assert acme.verify(phone, codes.pop()).status_code == 200


@pytest.mark.parametrize(
    ("kind", "phone"), [("machine", "+256700100004"), ("fax", "+256700100005"), ("greeting_only", "+256700100006")]
)
def test_a_machine_is_hung_up_on_and_told_nothing(service: Installation, kind: str, phone: str) -> None:
    acme = service.owner()
    service.telnyx.configure(phones={phone: kind})
    verification_id = acme.send(phone)

    call = acme.ended_call(verification_id)
    assert call["status"] == "machine"
    assert "machine" in call["reason"]
    assert service.payloads(phone) == []
    assert acme.verification(verification_id)["status"] == "pending"


def test_where_detection_hears_silence_only_key_1_brings_the_code(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100007"
    service.telnyx.configure(phones={phone: "silent"})
    acme.send(phone)

    code = service.code(phone, nth=2)
    offer = service.payloads(phone)[0]
    assert not holds_code(offer)
    assert acme.verify(phone, code).status_code == 200


def test_where_detection_is_not_sure_nobody_who_presses_no_key_hears_the_code(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100008"
    service.telnyx.configure(phones={phone: "unsure"})
    verification_id = acme.send(phone)

    call = acme.ended_call(verification_id)
    assert call["status"] == "no_answer"
    assert "nobody pressed 1" in call["reason"]
    assert [holds_code(payload) for payload in service.payloads(phone)] == [False]
    assert acme.verification(verification_id)["status"] == "pending"


def test_where_detection_never_answers_the_offer_comes_after_six_seconds(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100009"
    service.telnyx.configure(phones={phone: "no_result"})
    verification_id = acme.send(phone)
    eventually(lambda: acme.last_call(verification_id)["status"] == "answered", "it was not answered")

    assert service.payloads(phone) == []
    code = service.code(phone, nth=2)
    assert not holds_code(service.payloads(phone)[0])
    at = {event["type"]: event["at"] for event in acme.last_call(verification_id)["events"]}
    assert _seconds_between(at["answered"], at["speak_offer"]) >= 5.9
    assert acme.verify(phone, code).status_code == 200


@pytest.mark.parametrize(
    ("kind", "phone", "status", "reason"),
    [
        ("busy", "+256700100010", "busy", "The line was busy."),
        ("no_answer", "+256700100011", "no_answer", "Nobody picked up."),
        ("rejected", "+256700100012", "rejected", "The call was declined."),
    ],
)
def test_a_call_that_reached_nobody_says_why_and_leaves_the_code_awaited(
    service: Installation, kind: str, phone: str, status: str, reason: str
) -> None:
    acme = service.owner()
    service.telnyx.configure(phones={phone: kind})
    verification_id = acme.send(phone)
    call = acme.ended_call(verification_id)

    assert (call["status"], call["reason"]) == (status, reason)
    assert acme.verification(verification_id)["status"] == "pending"
    assert service.payloads(phone) == []


def test_a_person_who_hangs_up_early_says_so_and_leaves_the_code_awaited(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100013"
    service.telnyx.configure(phones={phone: "no_result"})  # nothing is said before it is known who listens
    verification_id = acme.send(phone)
    eventually(lambda: acme.last_call(verification_id)["status"] == "answered", "nobody picked up")
    service.telnyx.hang_up(phone)
    call = acme.ended_call(verification_id)

    assert (call["status"], call["reason"]) == ("rejected", "The person hung up before the code was read.")
    assert acme.verification(verification_id)["status"] == "pending"
    assert service.payloads(phone) == []


def test_a_number_that_does_not_exist_fails_the_verification(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100014"
    service.telnyx.configure(phones={phone: "not_found"})
    verification_id = acme.send(phone)

    call = acme.ended_call(verification_id)
    assert (call["status"], call["reason"]) == ("failed", "The number is not in service.")
    assert acme.verification(verification_id)["status"] == "failed"
    assert acme.verify(phone, "123456").json()["code"] == "verification_failed"


def test_a_cancel_hangs_up_the_ringing_phone_and_kills_the_code(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100015"
    service.telnyx.configure(phones={phone: "slow"})
    with calls_at_speed(service, 2):
        verification_id = acme.send(phone)
        eventually(lambda: acme.last_call(verification_id)["status"] == "ringing", "it did not ring")
        canceled = acme.cancel(verification_id)
        assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
        call = acme.ended_call(verification_id)

    assert (call["status"], call["reason"]) == ("canceled", "The verification was canceled.")
    assert service.payloads(phone) == []
    assert acme.verify(phone, "123456").json()["code"] == "verification_canceled"
    assert acme.cancel(verification_id).json()["code"] == "not_pending"


def test_an_approval_hangs_up_the_call_that_is_still_on_the_line(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100016"
    with calls_at_speed(service, 1):
        verification_id = acme.send(phone)
        code = service.code(phone)
        assert acme.verify(phone, code).status_code == 200
        call = acme.ended_call(verification_id)

    assert (call["status"], call["reason"]) == ("completed", "The code was approved.")
    (placed,) = [call for call in service.telnyx.state()["calls"] if call["to"] == phone]
    assert placed["ended_at"] - placed["answered_at"] < 8  # what the speech and the listening would have taken


def test_five_wrong_codes_end_the_verification_and_hang_up(service: Installation) -> None:
    acme, phone = service.owner(), "+256700100017"
    with calls_at_speed(service, 1):
        verification_id = acme.send(phone)
        code = service.code(phone)
        wrong = [f"{(int(code) + n) % 1_000_000:06}" for n in range(1, 6)]
        answers = [acme.verify(phone, guess).json() for guess in wrong]
        assert [answer["attempts_remaining"] for answer in answers] == [4, 3, 2, 1, 0]
        assert acme.verify(phone, code).json()["code"] == "attempts_exceeded"
        acme.ended_call(verification_id)

    assert acme.verification(verification_id)["status"] == "attempts_exceeded"


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
