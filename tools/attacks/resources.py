"""Resources: large bodies, growing metrics, long responses."""

from __future__ import annotations

import gzip
import json
import secrets
import uuid
import zlib

import httpx

from tools.attacks.targets import Target, patiently
from tools.attacks.trials import Attack, Trial, attack

LIMIT_BYTES = 64 * 1024
NEW_SERIES = 200  # a dozen for each new kind of response; one for each request would be 4,000


@attack("a few new series, none with a path, a method or a name from a request")
def grow_metrics(target: Target, trial: Trial) -> None:
    """Make metrics grow by unusual paths, methods and codes"""
    http, before = target.client(), _series(target)
    mark = secrets.token_hex(6)
    for number in range(300 if target.thorough else 60):
        paths = (
            f"/{mark}{number}",
            f"/calls/{uuid.uuid4()}",
            f"/api/tokens/{uuid.uuid4()}",
            f"/static/{mark}{number}.css",
        )
        for path in paths:
            trial.see("asked", holds=patiently(http, "GET", path).status_code < 500)
        trial.see("asked", holds=http.request(f"{mark.upper()}{number}", "/calls").status_code < 500)
    after = _series(target)
    trial.see(f"{len(after - before)} new series", holds=len(after - before) <= NEW_SERIES)
    trial.see("nothing of ours", holds=not any(mark in name.lower() for name in after))


@attack("they contain no phone, token or owner")
def read_metrics(target: Target, trial: Trial) -> None:
    """Search the metrics for personal data"""
    caller, phone = target.owner("a"), target.phone()
    verification_id = caller.send(phone)
    caller.post("/calls/verify", {"phone": phone, "code": "000000"})
    text = target.metrics()
    secrets_of = {"phone": phone[1:], "token": caller.token[3:15], "owner": caller.owner_id, "id": verification_id}
    for name, value in secrets_of.items():
        trial.see(f"no {name}" if value not in text else name, holds=value not in text)


@attack("413, 415 or 400, never decompressed; responses stay short")
def overfeed(target: Target, trial: Trial) -> None:
    """Send large, compressed and nested bodies, and bodies with many fields"""
    caller = target.owner("a")
    bomb = b'{"phone": "' + b" " * 50_000_000 + b'"}'
    wide = json.dumps({f"field{number}" * 3: number for number in range(2000)}).encode()
    typed = {"Content-Type": "application/json"}
    bodies: dict[str, tuple[bytes, dict[str, str]]] = {
        "just too large": (b'{"phone": "' + b"1" * LIMIT_BYTES + b'"}', typed),
        "1 MB": (b"[" + b"1," * 500_000 + b"1]", typed),
        "gzip": (gzip.compress(bomb), {**typed, "Content-Encoding": "gzip"}),
        "deflate": (zlib.compress(bomb), {**typed, "Content-Encoding": "deflate"}),
        "deep": (b'{"phone":' * 7000 + b"1" + b"}" * 7000, typed),
        "deep lists": (b"[" * 60_000, typed),
        "a long number": (b'{"phone": ' + b"9" * 60_000 + b"}", typed),
        "an endless number": (b'{"expires_in": 1e999999999, "phone": "+1"}', typed),
        "not a number": (b'{"expires_in": NaN, "phone": "+1"}', typed),
        "UTF-16": ('{"phone": "+12025550100"}'.encode("utf-16"), typed),
        "twice the same field": (b'{"phone": "+1", "phone": "+19005550199"}', typed),
        "many fields": (wide, typed),
        "a long field name": (b'{"' + b"x" * 60_000 + b'": 1}', typed),
        "a form": (b"phone=%2B12025550100", {"Content-Type": "application/x-www-form-urlencoded"}),
        "text": (b'{"phone": "+12025550100"}', {"Content-Type": "text/plain"}),
        "another charset": (b'{"phone": "\xe9"}', {"Content-Type": "application/json; charset=latin-1"}),
        "many parts": (b"--x\r\n\r\n" * 5000, {"Content-Type": "multipart/form-data; boundary=x"}),
    }
    for name, (content, headers) in bodies.items():
        answer = _posted(caller.http, content, headers)
        is_short = len(answer.content) < 10_000
        words = f"{name}: {answer.status_code}{'' if is_short else f', {len(answer.content)} bytes'}"
        trial.see(words, holds=answer.status_code in (400, 403, 413, 415) and is_short)


@attack("400 or 401; 431 for more headers than a server reads")
def overlong(target: Target, trial: Trial) -> None:
    """Send long queries, cookies, keys and tokens"""
    caller = target.owner("a")
    for length in (300, 5_000, 20_000):
        long = "x" * length
        trial.see_answer(caller.get("/calls", cursor=long), 400, what="cursor")
        trial.see_answer(caller.get("/calls", phone=long), 400, what="phone")
        trial.see_answer(caller.post("/calls/otp", {"phone": "+1"}, Idempotency_Key=long), 400, what="key")
        answer = patiently(
            target.client(), "GET", "/calls", headers={"Authorization": f"Bearer {long}", "Cookie": f"session={long}"}
        )
        trial.see_answer(answer, 401, 431, what="token")
    trial.see_answer(
        caller.get("/calls", **{f"x{number}": number for number in range(500)}), 400, what="many parameters"
    )


def _posted(http: httpx.Client, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return patiently(http, "POST", "/calls/otp", content=content, headers=headers)


def _series(target: Target) -> set[str]:
    lines = target.metrics().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line and not line.startswith("#")}


ATTACKS: tuple[Attack, ...] = (grow_metrics, read_metrics, overfeed, overlong)
