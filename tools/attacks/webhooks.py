"""Webhooks: forged, old, replayed, or about another call."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.attacks.targets import Caller, CannotRun, Target, patiently
from tools.attacks.trials import Attack, Trial, attack, code_of

PATH = "/api/webhooks/telnyx"
TOLERANCE_SECONDS = 300
ORDER_OF_THE_CURVE = 2**252 + 27742317777372353535851937790883648493


def event(event_type: str = "call.hangup", **payload: Any) -> bytes:
    """The body of an event as Telnyx writes it, of an unknown call unless `payload` names one."""
    named = {"call_control_id": f"v3:{secrets.token_hex(8)}", "hangup_cause": "user_busy", **payload}
    data = {"event_type": event_type, "id": str(uuid.uuid4()), "occurred_at": "2026-11-20T10:00:00Z", "payload": named}
    return json.dumps({"data": data}).encode()


def signed(key: Ed25519PrivateKey, body: bytes, *, age_seconds: int = 0, moment: str | None = None) -> dict[str, str]:
    moment = moment or str(int(time.time()) - age_seconds)
    signature = base64.b64encode(key.sign(moment.encode() + b"|" + body)).decode()
    return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": moment}


def tell(target: Target, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """The response to one event. Forged events are limited per address, so this waits if the service says so."""
    return patiently(target.admin.http, "POST", PATH, content=body, headers={"Authorization": "", **headers})


@attack("403 invalid_signature")
def forge(target: Target, trial: Trial) -> None:
    """Send events without a signature, with another key's, or with an invalid one"""
    caller, phone = target.owner("a"), target.phone()
    call_id = _call_of(caller, caller.send(phone))
    stranger = Ed25519PrivateKey.generate()
    state = base64.b64encode(secrets.token_bytes(16) + json.dumps([call_id, 0]).encode()).decode()
    for event_type in ("call.answered", "call.gather.ended", "call.hangup"):
        body = event(event_type, client_state=state, status="valid", digits="1")
        good = signed(stranger, body)
        zeros = base64.b64encode(bytes(64)).decode()
        identity = base64.b64encode(b"\x01" + bytes(63)).decode()  # a point with which lax checks accept any text
        tries = [
            {},
            good,
            *({**good, "telnyx-timestamp": moment} for moment in ("0", "-1", "nan", "")),
            *({**good, "telnyx-signature-ed25519": text} for text in (zeros, identity, "", "null", "A" * 10_000)),
            {"telnyx-timestamp": good["telnyx-timestamp"]},
            signed(stranger, b""),
            signed(stranger, body, age_seconds=400),
            {"telnyx-signature": "t=1,h=" + zeros},
            {"Authorization": f"Bearer {caller.token}"},
        ]
        for headers in tries:
            answer = tell(target, body, headers)
            trial.see(f"{answer.status_code} {code_of(answer)}", holds=code_of(answer) == "invalid_signature")
    for body in (b"", b"[" * 20_000, b"\xff\xfe", b"{}"):
        trial.see_answer(tell(target, body, signed(stranger, body)), 403, what="odd body")


@attack("403 if changed or old; a copy has no effect")
def replay(target: Target, trial: Trial) -> None:
    """Send a real webhook again: unchanged, later, changed, and with an invalid signature"""
    key = _telnyx(target)
    body = event("call.answered")
    good = signed(key, body)
    for _ in range(5):
        trial.see_answer(tell(target, body, good), 200, what="a copy")
    raw = base64.b64decode(good["telnyx-signature-ed25519"])
    scalar = int.from_bytes(raw[32:], "little") + ORDER_OF_THE_CURVE
    twin = base64.b64encode(raw[:32] + scalar.to_bytes(32, "little")).decode()
    moment = int(good["telnyx-timestamp"])
    changed = [
        (body, {**good, "telnyx-signature-ed25519": twin}),
        (body, {**good, "telnyx-timestamp": str(moment + 1)}),
        (body, {**good, "telnyx-timestamp": f"0{moment}"}),
        (body, {**good, "telnyx-timestamp": f"{moment}.0"}),
        (body, signed(key, body, age_seconds=TOLERANCE_SECONDS + 1)),
        (body, signed(key, body, age_seconds=-TOLERANCE_SECONDS - 2)),
        (body, signed(key, body, moment="9" * 40)),
        (body + b" ", good),
        (body.replace(b"answered", b"hangup"), good),
        (event("call.answered"), good),
    ]
    for altered, headers in changed:
        trial.see_answer(tell(target, altered, headers), 403, what="changed")


@attack("the call is not affected")
def substitute(target: Target, trial: Trial) -> None:
    """Send signed events whose client_state names another call or is invalid"""
    key, caller = _telnyx(target), target.owner("a")
    verification_id = caller.send(target.phone())
    call_id = _call_of(caller, verification_id)
    named = json.dumps([call_id, 0]).encode()
    for state in (named, secrets.token_bytes(16) + named, bytes(16) + named, call_id.encode(), b"", b"\xff" * 2000):
        body = event("call.hangup", client_state=base64.b64encode(state).decode())
        trial.see_answer(tell(target, body, signed(key, body)), 200)
    odd_states: tuple[Any, ...] = (None, 1, [], "\u00e9", "=" * 100)
    for odd in odd_states:
        body = event("call.hangup", client_state=odd)
        trial.see_answer(tell(target, body, signed(key, body)), 200)
    time.sleep(0.5)
    status = caller.get(f"/calls/{verification_id}").json()["calls"][0]["status"]
    trial.see(f"the call is {status}", holds=status not in ("busy", "unknown"))


@attack("200, 400 or 403")
def overfill(target: Target, trial: Trial) -> None:
    """Send signed events with invalid and very long fields"""
    key = _telnyx(target)
    long, odd = "x" * 250, ["\0", "\ud800", "'; DROP TABLE calls; --", 10**400, -1, True, {"a": 1}, None, "\u202e"]
    for value in (long, long * 20, *odd):
        for field in ("call_control_id", "digits", "status", "hangup_cause", "sip_hangup_cause", "result"):
            for event_type in ("call.hangup", "call.gather.ended"):
                body = event(event_type, **{field: value})
                trial.see_answer(tell(target, body, signed(key, body)), 200, 400)
        for field in ("id", "occurred_at", "event_type", "payload"):
            altered = json.loads(event())
            altered["data"][field] = value
            body = json.dumps(altered).encode()
            trial.see_answer(tell(target, body, signed(key, body)), 200, 400, what=field)


def _telnyx(target: Target) -> Ed25519PrivateKey:
    if target.webhook_seed is None:
        raise CannotRun("needs --webhook-seed, the key of a stand-in for Telnyx")
    return Ed25519PrivateKey.from_private_bytes(target.webhook_seed)


def _call_of(caller: Caller, verification_id: str) -> str:
    return str(caller.get(f"/calls/{verification_id}").json()["calls"][0]["call_id"])


ATTACKS: tuple[Attack, ...] = (forge, replay, substitute, overfill)
