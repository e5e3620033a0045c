"""Injection of SQL, SSML, markup, terminal escapes and invalid bytes, through every field."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from tools.attacks.targets import Caller, Target, patiently
from tools.attacks.trials import Attack, Trial, attack

Found = TypeVar("Found")

SLOW_SECONDS = 2.0  # an injected statement that sleeps would take longer
SQL = (
    "'", '"', "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE verifications; --", "\\'; SELECT pg_sleep(4); --",
    "' || (SELECT pg_sleep(4)) || '", "' UNION SELECT * FROM tokens --", "1) OR (1=1", "%", "_", "%' OR 'a' LIKE '%",
    "' AND randomblob(900000000) AND '", "${7*7}", "{{7*7}}", "{code.__class__}", "{0}", "%s%n", "$(sleep 4)",
    "`sleep 4`",
)  # fmt: skip
BREAKING = (
    "\0", "a\0b", "\ud800", "\udfff\ud800", "\x1b[2J\x1b[31m", "line\r\nSet-Cookie: a=b", "\u2028", "\u202e\u2066",
    "\ufeff", "\uffff", "\x85", "\x7f", "e\u0301" * 50, "\U0001f600" * 50, "\u0130" * 20, "x" * 5_000,
    "../../etc/passwd", " ", "",
)  # fmt: skip
OTHER_TYPES: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, 1e308, [], [[]], {}, {"a": {"b": []}}, ["x"] * 100)
SSML = (
    '<speak>{code}</speak>', '</s><break time="10s"/>{code}', "<audio src='http://evil.example/a.mp3'/>",
    "{code}<!--", '<say-as interpret-as="digits">1</say-as>', "<![CDATA[{code}]]>", "<?xml?>{code}", "<", ">",
    "a > b {code}", "{code}{code}{code}", "{code}\n{code}", "\x00{code}", "x" * 301, "", "{{code}}",
    "{Code} { code}", "%s",
)  # fmt: skip
SPOKEN_AS_TEXT = ("&lt;break time='10s'/&gt; {code}", "&#60;speak&#62;", "Tom & Jerry {code}")
MARKUP = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea><b>",
    "{{7*191}}",
)


POISONS: tuple[Any, ...] = (*SQL, *BREAKING, *OTHER_TYPES, *SSML[:3], *MARKUP)
TEXTS = tuple(text for text in POISONS if isinstance(text, str) and not re.search("[\ud800-\udfff]", text))


def some(target: Target, poisons: Sequence[Found], turn: int) -> Sequence[Found]:
    """All of them if there is time, else every third, starting with another one each time."""
    return poisons if target.thorough else poisons[turn % 3 :: 3]


@attack("4xx, or taken as plain text; never 5xx, never slow")
def inject_bodies(target: Target, trial: Trial) -> None:
    """Put SQL, invalid bytes and wrong types into every field of every body"""
    caller = target.issue("a", ["read", "write", "tokens:read", "tokens:write"], rate_limit="100000 per minute")
    other = target.issue("a", ["read"])
    phone = target.phone()
    bodies: dict[str, dict[str, Any]] = {
        "/calls/otp": {"phone": phone, "message": "{code}", "locale": "en-US", "code_length": 6, "expires_in": 300},
        "/calls/verify": {"phone": phone, "verification_id": None, "code": "123456"},
        "/calls/replay": {"phone": phone, "verification_id": None},
        "/api/tokens": {"user_id": caller.owner_id, "scopes": ["read"], "name": "n", "expires_in": 60,
                        "allowed_ips": ["127.0.0.1"], "rate_limit": "1 per minute"},
        f"/api/tokens/{caller.token_id}/rotate": {"grace_seconds": 0},
    }  # fmt: skip
    for path, body in bodies.items():
        for turn, field in enumerate(body):
            for poison in some(target, POISONS, turn):
                poisoned = {name: value for name, value in body.items() if value is not None} | {field: poison}
                _watch(trial, caller, "POST", path, json=poisoned, what=field)
        _watch(trial, caller, "POST", path, json={**body, "__proto__": 1, "' OR 1=1": 2}, what="an unknown field")
    for turn, field in enumerate(("name", "scopes", "expires_in", "allowed_ips", "rate_limit")):
        for poison in some(target, POISONS, turn):
            _watch(trial, caller, "PATCH", f"/api/tokens/{other.token_id}", json={field: poison}, what=field)


@attack("4xx, or a response without data of others; never 5xx, never slow")
def inject_addresses(target: Target, trial: Trial) -> None:
    """Put SQL and invalid bytes into queries, paths and headers"""
    caller, one = target.issue("c", ["read", "write", "tokens:read"]), target.owner("a")
    one.send(target.phone())
    queries = tuple(
        itertools.product(("/calls", "/api/tokens"), ("phone", "status", "limit", "cursor", "user_id", "x"))
    )
    paths = ("/calls/%s", "/calls/%s/cancel", "/api/tokens/%s", "/static/%s", "/docs/assets/%s", "/%s")
    headers = (b"User-Agent", b"Idempotency-Key", b"Accept", b"Accept-Language", b"Cookie", b"Range", b"If-None-Match")
    for turn, poison in enumerate(TEXTS):
        for path, name in some(target, queries, turn):
            answer = _watch(trial, caller, "GET", path, params={name: poison}, what=f"?{name}")
            is_own = one.owner_id not in answer.text and '"verification_id"' not in answer.text
            trial.see("nothing of others" if is_own else f"?{name} shows others' things", holds=is_own)
        for path, method in itertools.product(some(target, paths, turn), ("GET", "POST", "DELETE")):
            _watch(trial, caller, method, path % quote(poison, safe=""), what=path)
        safe = bytes(byte for byte in poison.encode() if byte >= 0x20 and byte != 0x7F).strip()
        for header in some(target, headers, turn):
            named = [(header, safe)]
            _watch(trial, caller, "POST", "/calls/replay", json={"phone": "+1"}, headers=named, what=header.decode())
            _watch(trial, caller, "GET", "/static/style.css", headers=named, what=header.decode())


@attack("400 for markup and control characters; entities are spoken as text")
def inject_speech(target: Target, trial: Trial) -> None:
    """Put SSML and other markup into the spoken message"""
    caller = target.owner("a")
    for message in SSML:
        answer = caller.post("/calls/otp", {"phone": target.phone(), "message": message})
        trial.see_answer(answer, 400, what="" if answer.status_code == 400 else message)
    for message in SPOKEN_AS_TEXT:
        trial.see_answer(caller.post("/calls/otp", {"phone": target.phone(), "message": message}), 202, what="as text:")
    for locale in ("en-US'><x", "en_US", "../en", "<speak>", "e" * 36, "en-US\n", "{code}"):
        trial.see_answer(
            caller.post("/calls/otp", {"phone": target.phone(), "locale": locale}), 202, 400, what="locale:"
        )


@attack("stored unchanged, found only under their exact name")
def inject_names(target: Target, trial: Trial) -> None:
    """Store SQL, wildcards and markup in names and owners, and search for them"""
    for text in (*SQL[:8], "%", "_", *MARKUP):
        owner_id = f"{target.owner_id('x')}-{text}"[:128]
        made = target.admin.post(
            "/api/tokens", {"user_id": owner_id, "name": text, "scopes": ["read"], "expires_in": 60}
        )
        trial.see(f"{made.status_code}", holds=made.status_code == 201 and made.json()["user_id"] == owner_id)
        found = target.admin.get("/api/tokens", user_id=owner_id).json().get("tokens", [])
        trial.see(f"{len(found)} found", holds=[item["name"] for item in found] == [text])
        target.admin.ask("DELETE", f"/api/tokens/{made.json()['token_id']}")
    everyone = target.admin.get("/api/tokens", user_id="%").json().get("tokens", [])
    trial.see(f"{len(everyone)} for %", holds=everyone == [])


def _watch(trial: Trial, caller: Caller, method: str, path: str, *, what: str, **options: Any) -> httpx.Response:
    """Send a request. The promise holds if the response came in time and was no 5xx (503 is documented)."""
    started = time.monotonic()
    answer = patiently(caller.http, method, path, **_as_sent(options))
    slow = time.monotonic() - started > SLOW_SECONDS
    fine = answer.status_code < 500 or answer.status_code == 503
    words = f"{what}: {answer.status_code}{' slow' if slow else ''}"
    trial.see(words if slow or not fine else str(answer.status_code), holds=fine and not slow)
    return answer


def _as_sent(options: dict[str, Any]) -> dict[str, Any]:
    if "json" not in options:
        return options
    # JSON can carry lone surrogates only as escapes.
    content = json.dumps(options.pop("json")).encode("ascii")
    headers = [*options.pop("headers", []), (b"Content-Type", b"application/json")]
    return {**options, "content": content, "headers": headers}


ATTACKS: tuple[Attack, ...] = (inject_bodies, inject_addresses, inject_speech, inject_names)
