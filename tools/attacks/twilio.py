"""Twilio's Verify API: another owner's ids, guesses at once, decisions without the right, limits passed at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx

from tools.attacks.targets import Caller, CannotRun, Target, at_once
from tools.attacks.trials import Attack, Trial, attack, code_of

SERVICES = "/twilio/v2/Services"
ATTEMPTS = 5  # wrong codes per verification
NO_SCOPE, NOT_FOUND, INVALID = "70051", "20404", "60200"


def make_service(caller: Caller, **fields: str) -> str:
    """The path of a new service."""
    answer = caller.ask("POST", SERVICES, data={"FriendlyName": "Attack", **fields})
    if answer.status_code != 201:
        raise CannotRun(f"no service was made: {answer.status_code}")
    return f"{SERVICES}/{answer.json()['sid']}"


def start(caller: Caller, service: str, phone: str, **fields: str) -> httpx.Response:
    return caller.ask("POST", f"{service}/Verifications", data={"To": phone, "Channel": "call", **fields})


@attack("404, and the verification is unchanged")
def reach_across(target: Target, trial: Trial) -> None:
    """Read, check, cancel, approve and delete by the ids of another owner"""
    one, other = target.owner("a"), target.issue("b", ["read", "write", "otp:speak"])
    service, own, phone = make_service(one), make_service(other), target.phone()
    sent = start(one, service, phone).json()
    sid, attempt = sent["sid"], sent["send_code_attempts"][0]["attempt_sid"]
    for path in (service, own):
        for aim in (sid, phone):
            verification = f"{path}/Verifications/{aim}"
            trial.see_answer(other.get(verification), 404, what="fetch")
            for status in ("canceled", "approved"):
                trial.see_answer(other.ask("POST", verification, data={"Status": status}), 404, what=status)
        guess = {"VerificationSid": sid, "Code": "000000"}
        trial.see_answer(other.ask("POST", f"{path}/VerificationCheck", data=guess), 404, what="check")
    trial.see_answer(other.get(f"/twilio/v2/Attempts/{attempt}"), 404, what="attempt")
    trial.see_answer(other.ask("DELETE", service), 404, what="delete")
    listed = other.get("/twilio/v2/Attempts", **{"ChannelData.To": phone}).json().get("attempts")
    trial.see(f"listed: {len(listed or [])}", holds=listed == [])
    left = one.get(f"{service}/Verifications/{sid}").json().get("status")
    trial.see(f"left {left}", holds=left == "pending")


@attack("5 are judged")
def guess_at_once(target: Target, trial: Trial) -> None:
    """Guess in parallel, by phone and by id, and go on when there were too many"""
    caller, phone = target.owner("a"), target.phone()
    service = make_service(caller)
    sid = start(caller, service, phone).json()["sid"]
    aims = ({"To": phone}, {"VerificationSid": sid})
    check = partial(caller.ask, "POST", f"{service}/VerificationCheck")
    answers = at_once([partial(check, data={**aims[number % 2], "Code": "000000"}) for number in range(16)])
    judged = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        what = answer.json().get("status") if answer.status_code == 200 else code_of(answer)
        trial.see(str(what), holds=what in ("pending", "60202"))
    trial.see(f"{len(judged)} judged", holds=len(judged) <= ATTEMPTS)


@attack("403, and nobody is called or approved")
def decide_without_the_right(target: Target, trial: Trial) -> None:
    """Approve a phone, or have a code of one's own spoken, without the scope for it"""
    caller = target.owner("a")
    service = make_service(caller, CustomCodeEnabled="true")
    sid = start(caller, service, target.phone()).json()["sid"]
    approved = caller.ask("POST", f"{service}/Verifications/{sid}", data={"Status": "approved"})
    spoken = start(caller, service, target.phone(), CustomCode="4711")
    for what, answer in (("approve", approved), ("speak", spoken)):
        trial.see_answer(answer, 403, what=what)
        trial.see(code_of(answer), holds=code_of(answer) == NO_SCOPE)
    left = caller.get(f"{service}/Verifications/{sid}").json().get("status")
    trial.see(f"left {left}", holds=left == "pending")


@attack("2 of 8 are called")
def pass_a_rate_limit(target: Target, trial: Trial) -> None:
    """Request in parallel what a rate limit of the service allows twice"""
    caller = target.owner("a")
    service = make_service(caller)
    caller.ask("POST", f"{service}/RateLimits", data={"UniqueName": "ip"})
    caller.ask("POST", f"{service}/RateLimits/ip/Buckets", data={"Max": "2", "Interval": "60"})
    limited = {"RateLimits": '{"ip": "192.0.2.1"}'}
    answers = at_once([partial(start, caller, service, target.phone(), **limited) for _ in range(8)])
    called = sum(answer.status_code == 201 for answer in answers)
    trial.see(f"{called} called", holds=called == 2)


@attack("400 or 404 in Twilio's shape")
def send_oddly(target: Target, trial: Trial) -> None:
    """Send malformed ids, parameters and bodies"""
    caller = target.owner("a")
    service = make_service(caller)
    odd = ("", "\0", "%00", "' OR 1=1 --", "\u260e", "../..", "VA" + "g" * 32, "VE" + "0" * 32, "1" * 5000, "{{7*7}}")
    for text in odd:
        asked: tuple[tuple[str, dict[str, Any]], ...] = (
            (f"{service}/Verifications", {"To": text, "Channel": "call"}),
            (f"{service}/VerificationCheck", {"VerificationSid": text, "Code": text}),
            (f"{service}/RateLimits/ip/Buckets", {"Max": text, "Interval": text}),
            (service, {"CodeLength": text or "x"}),
        )
        for path, form in asked:
            answer = caller.ask("POST", path, data=form)
            trial.see(f"{answer.status_code} {code_of(answer)}", holds=code_of(answer) in (INVALID, NOT_FOUND))
    raw = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"\xff\xfe=\x00", b"=&=&=", b"To=" + b"%" * 1000, b"&" * 60_000):
        answer = caller.ask("POST", f"{service}/Verifications", content=body, headers=raw)
        trial.see_answer(answer, 400)


ATTACKS: tuple[Attack, ...] = (reach_across, guess_at_once, decide_without_the_right, pass_a_rate_limit, send_oddly)
