"""What happens when many requests want the same thing at the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx

from tests.flows.installations import Installation


def all_at_once(count: int, ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """The answers to `ask(0)` … `ask(count - 1)`, asked in as many threads that start together."""
    start = Barrier(count)

    def wait_and_ask(number: int) -> httpx.Response:
        start.wait(timeout=30)
        return ask(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_ask, range(count)))


def outcomes(answers: list[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((answer.status_code, answer.json().get("code", "")) for answer in answers)


def test_of_48_wrong_guesses_at_once_five_are_judged(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400001"
    verification_id = acme.send(phone)
    code = service.code(phone)
    wrong = [f"{(int(code) + n) % 1_000_000:06}" for n in range(1, 49)]

    answers = all_at_once(48, lambda n: acme.verify(phone, wrong[n]))
    assert outcomes(answers) == {(400, "invalid_code"): 5, (410, "attempts_exceeded"): 43}
    remaining = [answer.json()["attempts_remaining"] for answer in answers if answer.status_code == 400]
    assert sorted(remaining) == [0, 1, 2, 3, 4]
    assert acme.verification(verification_id)["status"] == "attempts_exceeded"
    assert acme.verify(phone, code).status_code == 410
    judged = service.query(f"SELECT count(*) FROM wrong_codes WHERE phone = '{phone}'")  # noqa: S608  # our own phone
    assert judged == [(5,)]


def test_of_24_right_codes_at_once_one_succeeds(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400002"
    verification_id = acme.send(phone)
    code = service.code(phone)

    answers = all_at_once(24, lambda _: acme.verify(phone, code))
    assert outcomes(answers) == {(200, ""): 1, (410, "code_used"): 23}
    found = acme.verification(verification_id)
    assert (found["status"], found["attempts_remaining"]) == ("approved", 4)


def test_the_right_code_wins_once_among_wrong_ones(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400003"
    acme.send(phone)
    code = service.code(phone)
    guesses = [f"{(int(code) + n) % 1_000_000:06}" for n in range(1, 5)] + [code] * 4

    answers = all_at_once(len(guesses), lambda n: acme.verify(phone, guesses[n]))
    found = outcomes(answers)
    assert found[(200, "")] == 1
    assert found[(400, "invalid_code")] + found[(410, "code_used")] == 7


def test_twelve_sends_at_once_with_one_idempotency_key_are_one_call(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400004"

    def send(_: int) -> httpx.Response:
        return acme.post("/calls/otp", {"phone": phone}, Idempotency_Key="twelve at once")

    answers = all_at_once(12, send)
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    assert outcomes(answers)[(202, "")] + outcomes(answers)[(409, "idempotency_in_flight")] == 12
    assert len({answer["verification_id"] for answer in accepted}) == 1
    assert len({answer["call_id"] for answer in accepted}) == 1
    acme.ended_call(accepted[0]["verification_id"])
    assert len(service.payloads(phone)) == 1
    assert sum(call["to"] == phone for call in service.telnyx.state()["calls"]) == 1
    assert len(acme.get("/calls", phone=phone).json()["verifications"]) == 1


def test_of_two_sends_at_once_one_is_accepted(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400005"
    answers = all_at_once(2, lambda _: acme.post("/calls/otp", {"phone": phone}))
    assert outcomes(answers) == {(202, ""): 1, (429, "resend_too_soon"): 1}
    assert len(acme.get("/calls", phone=phone).json()["verifications"]) == 1


def test_of_eight_cancels_at_once_one_cancels(service: Installation) -> None:
    acme, phone = service.owner(), "+256700400006"
    verification_id = acme.send(phone)
    answers = all_at_once(8, lambda _: acme.cancel(verification_id))
    assert outcomes(answers) == {(200, ""): 1, (409, "not_pending"): 7}
