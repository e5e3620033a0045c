"""Costs: calls to expensive numbers, more calls than are allowed, and repeated calls."""

from __future__ import annotations

import secrets
from functools import partial

import httpx

from tools.attacks.codes import spelled
from tools.attacks.targets import Target, at_once
from tools.attacks.trials import Attack, Trial, attack, code_of

# Premium-rate, shared-cost and service numbers; satellites and other global networks, personal numbers and pagers. None
# is called if the rules hold.
COSTLY = ("+19005550199", "+449098765432", "+448441234567", "+448712345678", "+3531580123456", "+33899123456",
          "+4990012345678", "+979123456789", "+80812345678", "+61190012345", "+393899123456789",
          "+870773111632", "+881612345678", "+883510012345", "+878101234567890", "+80012345678", "+447012345678",
          "+447640123456", "+15002345678", "+18002345678")  # fmt: skip
NO_PHONES = ("911", "+1911", "+44999", "+44112", "112", "*#06#", "+1202555010\u0661\u0661", "+1 202 555 0100 x5",
             "+12025550100;ext=5", "tel:12025550100;x", "+1-800-FLOWERS", "sip:a@b.example", "+", "+0", "")  # fmt: skip
PER_PHONE = 10  # accepted calls in ten minutes over all owners, unless RATE_LIMIT_PHONE_ALL says otherwise


@attack("403 or 400; nothing is dialed")
def call_costly(target: Target, trial: Trial) -> None:
    """Call premium, shared-cost, emergency and malformed numbers"""
    caller = target.owner("a")
    for phone in COSTLY:
        for written in (phone, f"{phone[:3]} {phone[3:]}", phone.replace("+", "\uff0b")):
            trial.see_answer(caller.post("/calls/otp", {"phone": written}), 400, 403)
    for phone in NO_PHONES:
        trial.see_answer(caller.post("/calls/otp", {"phone": phone}), 400)


@attack("1 is accepted, the rest 429 resend_too_soon")
def call_at_once(target: Target, trial: Trial) -> None:
    """Call one phone many times at once, in many notations"""
    caller, phone = target.owner("a"), target.phone()
    spellings = [phone, *spelled(phone)]
    tasks = [partial(caller.post, "/calls/otp", {"phone": spellings[number % 8]}) for number in range(16)]
    statuses = [answer.status_code for answer in at_once(tasks)]
    trial.see(f"{statuses.count(202)} accepted", holds=statuses.count(202) == 1)
    trial.see(f"{statuses.count(429)} told to wait", holds=statuses.count(429) == len(statuses) - 1)
    # After a cancel too.
    found = caller.get("/calls", phone=phone).json()["verifications"]
    caller.post(f"/calls/{found[0]['verification_id']}/cancel")
    trial.see_answer(caller.post("/calls/otp", {"phone": phone}), 429, what="after a cancel:")


@attack(f"at most {PER_PHONE} in 10 minutes, then 429 phone_limit")
def call_by_many(target: Target, trial: Trial) -> None:
    """Call one phone as many owners"""
    phone = target.phone()
    callers = [target.issue(f"many-{number}", ["write"]) for number in range(PER_PHONE + 3)]
    answers = at_once([partial(caller.post, "/calls/otp", {"phone": phone}) for caller in callers])
    accepted = sum(answer.status_code == 202 for answer in answers)
    trial.see(f"{accepted} accepted", holds=accepted <= PER_PHONE)
    refused = {code_of(answer) for answer in answers if answer.status_code != 202}
    trial.see(f"the rest: {', '.join(sorted(refused))}", holds=refused <= {"phone_limit", "queue_full"})


@attack("409, 410 or 429: a replay is a call too")
def replay_much(target: Target, trial: Trial) -> None:
    """Request many replays at once"""
    caller, phone = target.owner("a"), target.phone()
    verification_id = caller.send(phone)
    aims = [{"phone": phone}, {"verification_id": verification_id}]
    for answer in at_once([partial(caller.post, "/calls/replay", aims[number % 2]) for number in range(12)]):
        trial.see_answer(answer, 429)


@attack("one call, and its first response again")
def repeat(target: Target, trial: Trial) -> None:
    """Send twelve times at once with one Idempotency-Key"""
    caller, phone, key = target.owner("a"), target.phone(), secrets.token_hex(8)
    answers = at_once([partial(caller.post, "/calls/otp", {"phone": phone}, Idempotency_Key=key) for _ in range(12)])
    for answer in answers:
        trial.see_answer(answer, 202, 409)
    calls = {answer.json()["call_id"] for answer in answers if answer.status_code == 202}
    trial.see(f"{len(calls)} call", holds=len(calls) == 1)


@attack("422 for another body; no effect on other owners and paths; 400 for an invalid key")
def confuse(target: Target, trial: Trial) -> None:
    """Use an Idempotency-Key with another body, path or owner, or one of invalid bytes"""
    caller, other, key = target.owner("a"), target.owner("b"), secrets.token_hex(8)
    phone, other_phone = target.phone(), target.phone()
    first = caller.post("/calls/otp", {"phone": phone}, Idempotency_Key=key)
    trial.see_answer(first, 202, what="first")
    for body in ({"phone": other_phone}, {"phone": f" {phone}"}, {"phone": phone, "code_length": 8}):
        trial.see_answer(caller.post("/calls/otp", body, Idempotency_Key=key), 422, what="another body")
    trial.see_answer(caller.post("/calls/replay", {"phone": phone}, Idempotency_Key=key), 429, what="another path")
    theirs = other.post("/calls/otp", {"phone": phone}, Idempotency_Key=key)
    is_own = theirs.status_code == 202 and theirs.json().get("call_id") != first.json().get("call_id")
    trial.see(f"another owner: {'their own call' if is_own else theirs.status_code}", holds=is_own)
    for odd in (b"", b"k" * 256, b"\xff", "é".encode(), b"a\tb"):
        trial.see_answer(_keyed(caller.http, target.phone(), odd), 400, what="odd key")


def _keyed(http: httpx.Client, phone: str, key: bytes) -> httpx.Response:
    return http.post("/calls/otp", json={"phone": phone}, headers=[(b"Idempotency-Key", key)])


ATTACKS: tuple[Attack, ...] = (call_costly, call_at_once, call_by_many, replay_much, repeat, confuse)
