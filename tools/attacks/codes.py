"""Guessed codes: in parallel, over many verifications and owners, after new codes, and malformed ones."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Any

from tools.attacks.targets import Caller, CannotRun, Target, at_once
from tools.attacks.trials import Attack, Trial, attack, code_of

ATTEMPTS = 5  # wrong codes per verification
FAILURES = 10  # wrong codes per hour, owner and phone
AFTER_COOL_DOWN_SECONDS = 31


def guess(caller: Caller, aim: dict[str, str]) -> str:
    """The error code of the response to a guess; `approved` if the guess was right."""
    answer = caller.post("/calls/verify", {**aim, "code": f"{secrets.randbelow(10**6):06}"})
    return "approved" if answer.status_code == 200 else code_of(answer) or str(answer.status_code)


def judged(answers: list[str]) -> int:
    return answers.count("invalid_code") + answers.count("approved")


@attack("5 are judged")
def guess_at_once(target: Target, trial: Trial) -> None:
    """Guess in parallel, by phone and by id, so that several guesses count as one attempt"""
    caller, phone = target.owner("a"), target.phone()
    verification_id = caller.send(phone)
    aims = [{"phone": phone}, {"verification_id": verification_id}, {"phone": spelled(phone)[1]}]
    answers = at_once([partial(guess, caller, aims[number % 3]) for number in range(24)])
    for answer in answers:
        trial.see(answer, holds=answer in ("invalid_code", "attempts_exceeded"))
    trial.see(f"{judged(answers)} judged", holds=judged(answers) <= ATTEMPTS)


@attack("5 are judged for each")
def guess_widely(target: Target, trial: Trial) -> None:
    """Guess over many verifications and owners"""
    callers = [target.owner(name) for name in "abc"]
    for number in range(60 if target.thorough else 9):
        caller, phone = callers[number % 3], target.phone()
        caller.send(phone)
        answers = [guess(caller, {"phone": phone}) for _ in range(ATTEMPTS + 3)]
        trial.see(f"{judged(answers)} judged", holds=judged(answers) <= ATTEMPTS and "approved" not in answers)
        others = [guess(other, {"phone": phone}) for other in callers if other is not caller]
        trial.see("others: " + ", ".join(sorted(set(others))), holds=judged(others) == 0)


@attack("all notations of one phone share its attempts")
def guess_by_spelling(target: Target, trial: Trial) -> None:
    """Guess with other notations of the same number"""
    caller, phone = target.owner("a"), target.phone()
    caller.send(phone)
    answers = [guess(caller, {"phone": written}) for written in spelled(phone) for _ in range(2)]
    trial.see(f"{judged(answers)} judged", holds=judged(answers) <= ATTEMPTS)


@attack("400 invalid_request, and no attempt spent")
def guess_oddly(target: Target, trial: Trial) -> None:
    """Send malformed codes"""
    caller, phone = target.owner("a"), target.phone()
    verification_id = caller.send(phone)
    odd: list[Any] = [
        None, 123456, 123456.0, True, [], ["123456"], {"$ne": ""}, {"$regex": ".*"}, "", "%", "______", "123456\n",
        " 123", "12 3", "\uff11\uff12\uff13", "\u0661" * 3, "\u00b2" * 6, "123456\0",
        "1e5555", "-12345", "+12345", "12345678901", "123", "1" * 5000, "123456;--", "' OR '1'='1",
    ]  # fmt: skip
    for code in odd:
        answer = caller.post("/calls/verify", {"phone": phone, "code": code})
        trial.see_answer(answer, 400, what="" if code_of(answer) == "invalid_request" else f"{code!r}")
    both = {"phone": phone, "verification_id": verification_id, "code": "123456"}
    bodies: tuple[Any, ...] = ({"code": "123456"}, both, {}, [])
    for body in bodies:
        trial.see_answer(caller.post("/calls/verify", body), 400)
    left = caller.get(f"/calls/{verification_id}").json().get("attempts_remaining")
    trial.see(f"{left} attempts left", holds=left == ATTEMPTS)


@attack("no new attempts")
def start_over(target: Target, trial: Trial) -> None:
    """Cancel, replay and request a new code after five wrong codes"""
    caller, phone = target.owner("a"), target.phone()
    verification_id = caller.send(phone)
    for _ in range(ATTEMPTS):
        guess(caller, {"phone": phone})
    trial.see_answer(caller.post("/calls/replay", {"phone": phone}), 410, what="replay")
    trial.see_answer(caller.post(f"/calls/{verification_id}/cancel"), 409, what="cancel")
    for written in spelled(phone):
        trial.see_answer(caller.post("/calls/otp", {"phone": written}), 429, what="ask again")
    answer = guess(caller, {"verification_id": verification_id})
    trial.see(answer, holds=answer == "attempts_exceeded")


@attack("429 too_many_failures after 10 in an hour")
def outlast(target: Target, trial: Trial) -> None:
    """Continue to guess with each new code (waits for time limits)"""
    if not target.thorough:
        raise CannotRun("only with --thorough: it waits for over a minute")
    caller, phone, answers = target.owner("a"), target.phone(), []
    for _ in range(3):
        sent = caller.post("/calls/otp", {"phone": phone})
        trial.see_answer(sent, 202, 429, what="ask again")
        answers += [guess(caller, {"phone": phone}) for _ in range(ATTEMPTS + 1)]
        time.sleep(AFTER_COOL_DOWN_SECONDS)
    trial.see(f"{judged(answers)} judged", holds=judged(answers) <= FAILURES)
    trial.see(answers[-1], holds=answers[-1] == "too_many_failures")


def spelled(phone: str) -> list[str]:
    """Other ways to write an American number."""
    digits = phone[2:]
    area, middle, last = digits[:3], digits[3:6], digits[6:]
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in phone[1:])
    return [
        f"+1 ({area}) {middle}-{last}", f"+1.{area}.{middle}.{last}", f"+1 1 {digits}", f"\uff0b{wide}",
        f"++1{digits}", f"+1\u00a0{area}\u2011{middle}\u2011{last}", f"+1/{digits}",
    ]  # fmt: skip


ATTACKS: tuple[Attack, ...] = (guess_at_once, guess_widely, guess_by_spelling, guess_oddly, start_over, outlast)
