"""FAST_PATH changes no response: the same requests, odd ones included, to one application with it and one without."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request_started
from sqlalchemy import text
from werkzeug.test import TestResponse

from tests.support.apps import code_of, issue_token, make_app, services_of

KEY = "k3yUwDZq0mLhA9d1rNf5sXvQpT7bGcYeJ2oKiM8WzR4="
SEND, CHECK = "/calls/otp", "/calls/verify"
JSON = "application/json"
ORIGIN = "https://app.example.com"
PHONE, OTHER_PHONE = "+256700123456", "+256700123999"
EMOJI = "📞👩🏽‍💻"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
WAIT = re.compile(r"Wait \d+ s")
SECONDS_LEFT = re.compile(r"t=\d+")


@dataclass
class TurnedClock:
    """Stands still until it is moved."""

    now: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Asked:
    """A request. In `body` and `headers`, CODE stands for the code that its application has made for PHONE."""

    path: str
    body: Any = b""
    token: str | None = "writer"
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    environ: dict[str, Any] = field(default_factory=dict)
    kind: str | None = JSON


@dataclass
class Pair:
    """The two applications, which began with the same rows and the same clock."""

    fast: Flask
    ordinary: Flask
    folders: tuple[Path, Path]
    clock: TurnedClock
    tokens: dict[str, str]
    verification_id: str

    def ask_both(self, asked: Asked) -> tuple[TestResponse, TestResponse]:
        """Both responses, which are compared."""
        fast, ordinary = (
            self._ask(app, folder, asked) for app, folder in zip((self.fast, self.ordinary), self.folders, strict=True)
        )
        assert comparable(fast) == comparable(ordinary), asked
        return fast, ordinary

    def _ask(self, app: Flask, folder: Path, asked: Asked) -> TestResponse:
        headers = dict(asked.headers)
        if asked.token is not None:
            headers["Authorization"] = f"Bearer {self.tokens[asked.token]}"
        if asked.kind is not None:
            headers["Content-Type"] = asked.kind
        raw = asked.body if isinstance(asked.body, bytes) else json.dumps(asked.body).encode()
        raw = raw.replace(b"VERIFICATION_ID", self.verification_id.encode())
        if b"CODE" in raw:
            raw = raw.replace(b"CODE", code_of(folder, KEY, self.newest_verification(app)).encode())
        return app.test_client().open(
            asked.path, method=asked.method, data=raw, headers=headers, environ_overrides=asked.environ
        )

    def newest_verification(self, app: Flask) -> str:
        statement = "SELECT verification_id FROM verifications WHERE phone = :phone ORDER BY rowid DESC LIMIT 1"
        with app.extensions["letstalk_db"].read() as connection:
            return str(connection.execute(text(statement), {"phone": PHONE}).scalar_one())


def comparable(response: TestResponse) -> tuple[int, list[tuple[str, str]], str]:
    """Status, headers and body, but for ids made at random and for what depends on the time of day."""
    headers = [(name, value) for name, value in response.headers if name not in ("X-Request-Id", "Date")]
    headers = [(name, SECONDS_LEFT.sub("t=?", value) if name == "RateLimit" else value) for name, value in headers]
    headers = [(name, "?" if name == "Retry-After" else value) for name, value in headers]
    body = WAIT.sub("Wait ? s", UUID.sub("an id", response.text))
    body = re.sub(r'"retry_after": ?\d+', '"retry_after":?', body)
    return response.status_code, sorted(headers), body


def make_pair(folder: Path, **settings: str) -> Pair:
    clock = TurnedClock()
    given = {
        "ENCRYPTION_KEYS": KEY,
        "TRUSTED_PROXIES": "1",
        "CORS_ORIGINS": ORIGIN,
        "DEFAULT_REGION": "UG",
        "BLOCKED_COUNTRIES": "KE",
        "RATE_LIMIT_TOKEN": "100000 per minute",
        "RATE_LIMIT_ADDRESS": "100000 per minute",
        "RATE_LIMIT_PHONE": "off",
        "RATE_LIMIT_PHONE_ALL": "off",
        **settings,
    }
    folders = folder / "seed", folder / "fast", folder / "ordinary"
    folders[0].mkdir()
    seed = make_app(folders[0], clock, **given)
    tokens = {
        "writer": issue_token(seed),
        "reader": issue_token(seed, "read"),
        "sender": issue_token(seed, "otp:send"),
        "admin": issue_token(seed, "admin"),
        "other owner": issue_token(seed, owner_id="other owner"),
        "slow": issue_token(seed, rate_limit="3 per minute"),
        "elsewhere": issue_token(seed, allowed_ips=["203.0.113.0/24"]),
        "expired": issue_token(seed, expires_in_seconds=60),
        "wrong secret": issue_token(seed)[:-1] + "!",
        "unknown": "lt_abcdefgh_" + "x" * 43,
        "nonsense": "lt_",
        "not ours": "aaaa.bbbb.cccc",
    }
    clock.move(120)
    sent = seed.test_client().post(
        SEND, json={"phone": OTHER_PHONE, "expires_in": 600}, headers={"Authorization": f"Bearer {tokens['writer']}"}
    )
    assert sent.status_code == 202, sent.text
    seed.extensions["letstalk_background_work"].close()
    for each in folders[1:]:
        shutil.copytree(folders[0], each)
    fast = make_app(folders[1], clock, FAST_PATH="on", **given)
    ordinary = make_app(folders[2], clock, FAST_PATH="off", **given)
    return Pair(fast, ordinary, folders[1:], clock, tokens, sent.get_json()["verification_id"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = make_pair(tmp_path_factory.mktemp("pair"))
    yield made
    for app in (made.fast, made.ordinary):
        app.extensions["letstalk_background_work"].close()


BODIES: tuple[Any, ...] = (
    {},
    {"phone": ""},
    {"phone": None},
    {"phone": 256700123456},
    {"phone": ["+256700123456"]},
    {"phone": {"a": 1}},
    {"phone": True},
    {"phone": "12"},
    {"phone": "hello"},
    {"phone": EMOJI},
    {"phone": "+254700123456"},
    {"phone": "+4490901234567"},
    {"phone": f" {PHONE} ", "extra": 1},
    {"phone": PHONE, "expires_in": "300"},
    {"phone": PHONE, "expires_in": 1},
    {"phone": PHONE, "expires_in": 10**30},
    {"phone": PHONE, "expires_in": 300.5},
    {"phone": PHONE, "code_length": 99},
    {"phone": PHONE, "code_length": None},
    {"phone": PHONE, "locale": "xx"},
    {"phone": PHONE, "locale": "\udfff"},
    {"phone": PHONE, "message": "\x07"},
    {"phone": PHONE, "message": "x" * 5000},
    {"phone": PHONE, "message": EMOJI * 100},
    {"phone": PHONE, "__class__": 1},
    {"phone": PHONE, "code": "123456"},
    {"phone": PHONE, "code": 123456},
    {"phone": PHONE, "code": ""},
    {"phone": PHONE, "code": EMOJI},
    {"phone": PHONE, "code": "\uff11\uff12\uff13\uff14\uff15\uff16"},
    {"phone": PHONE, "code": "12 34 56"},
    {"phone": "0700 123 999", "code": "not it"},
    {"phone": OTHER_PHONE, "verification_id": "VERIFICATION_ID", "code": "000000"},
    {"verification_id": "VERIFICATION_ID", "code": None},
    {"verification_id": "x", "code": "123456"},
    {"verification_id": EMOJI, "code": "123456"},
    {"verification_id": "0190a5d0-0000-7000-8000-000000000000", "code": "123456"},
    {"code": "123456"},
    {"phone": OTHER_PHONE, "session": "one"},
    {"phone": OTHER_PHONE, "session": "one", "code": "000000"},
    {"phone": OTHER_PHONE, "session": "two", "code": "000000"},
    {"phone": OTHER_PHONE, "session": "x" * 65, "code": "000000"},
    {"phone": OTHER_PHONE, "session": "\x07"},
    {"phone": OTHER_PHONE, "session": "\udfff", "code": "000000"},
    {"phone": OTHER_PHONE, "session": EMOJI * 20},
    {"phone": OTHER_PHONE, "session": 1},
    {"phone": OTHER_PHONE, "session": None, "code": "000000"},
    {"verification_id": "VERIFICATION_ID", "session": "one", "code": "000000"},
    {f"field{number}": number for number in range(500)},
    {"x" * 60_000: 1},
    b"",
    b" \n\t ",
    b"{",
    b"{}{}",
    b"[1]",
    b"null",
    b"true",
    b"7",
    b'"text"',
    b'{"phone": NaN}',
    b'{"phone": "\xff"}',
    b'{"phone": "\x00"}',
    b'{"phone": "\\u0000"}',
    b'{"phone": "\\ud800"}',
    b'\xef\xbb\xbf{"phone": "12"}',
    b'{"phone": "nonsense", "phone": "12"}',
    json.dumps({"phone": "12"}).encode("utf-16"),
    b"[" * 5000,
    b'{"phone": ' + b"[" * 900 + b"]" * 900 + b"}",
    b" " * 65_536,
    b" " * 65_537,
    b'{"phone": "' + b"1" * 200_000 + b'"}',
)


@pytest.mark.parametrize("path", [SEND, CHECK])
@pytest.mark.parametrize("number", range(len(BODIES)))
def test_a_body(pair: Pair, path: str, number: int) -> None:
    pair.ask_both(Asked(path, BODIES[number], "other owner"))


KINDS = (
    None,
    "",
    "text/plain",
    "application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=latin-1",
    "application/vnd.acme+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
)


@pytest.mark.parametrize("path", [SEND, CHECK])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b'{"phone": "12"}', b"phone=12"])
def test_a_content_type(pair: Pair, path: str, kind: str | None, body: bytes) -> None:
    pair.ask_both(Asked(path, body, kind=kind))


TOKENS = ("reader", "sender", "admin", "elsewhere", "expired", "wrong secret", "unknown", "nonsense", "not ours", None)


@pytest.mark.parametrize("path", [SEND, CHECK])
@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("body", [b"", b"{", b'{"phone": "12", "code": "1"}'])
def test_a_token(pair: Pair, path: str, token: str | None, body: bytes) -> None:
    for _ in range(2):  # the second time it may be remembered
        pair.ask_both(Asked(path, body, token))


@pytest.mark.parametrize("path", [SEND, CHECK])
@pytest.mark.parametrize(
    "start",
    [
        "Bearer",
        "Bearer ",
        "bearer {}",
        "BEARER {}",
        "Bearer  {}",
        "Bearer {} ",
        "Basic {}",
        "{}",
        "Bearer {} {}",
        EMOJI,
    ],
)
def test_an_authorization_header(pair: Pair, path: str, start: str) -> None:
    header = start.replace("{}", pair.tokens["writer"]).encode().decode("latin-1")
    pair.ask_both(Asked(path, {"phone": "12"}, None, {"Authorization": header}))


HEADERS: tuple[dict[str, str], ...] = (
    {"X-User-Id": "acme"},
    {"X-User-Id": "someone else"},
    {"X-User-Id": ""},
    {"X-Forwarded-For": "203.0.113.7"},
    {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"},
    {"X-Forwarded-For": "nonsense"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Host": "evil.example"},
    {"Host": "evil.example"},
    {"Origin": ORIGIN},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Cookie": "session=nonsense"},
    {"Accept": "text/html"},
    {"Accept-Language": "fr"},
    {"X-Request-Id": "mine"},
    {"If-None-Match": "*"},
    {"Range": "bytes=0-5"},
    {"Content-Encoding": "gzip"},
    {"Expect": "100-continue"},
    {"X-HTTP-Method-Override": "GET"},
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "x" * 256},
    {"Idempotency-Key": "tab\there"},
    {"Idempotency-Key": "é"},
)


@pytest.mark.parametrize("path", [SEND, CHECK])
@pytest.mark.parametrize("headers", HEADERS, ids=str)
@pytest.mark.parametrize("token", ["writer", "elsewhere", None])
def test_a_header(pair: Pair, path: str, headers: dict[str, str], token: str | None) -> None:
    pair.ask_both(Asked(path, {"phone": "12", "code": "1"}, token, headers))


def test_a_token_in_the_other_header(pair: Pair) -> None:
    for path in (SEND, CHECK):
        pair.ask_both(Asked(path, {"phone": "12"}, None, {"X-AUTH-TOKEN": pair.tokens["writer"]}))
        pair.ask_both(Asked(path, {"phone": "12"}, "reader", {"X-AUTH-TOKEN": pair.tokens["writer"]}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post"])
@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}], ids=str)
@pytest.mark.parametrize("path", [SEND, CHECK])
def test_a_method(pair: Pair, method: str, headers: dict[str, str], path: str) -> None:
    pair.ask_both(Asked(path, {"phone": "12"}, method=method, headers=headers))


@pytest.mark.parametrize(
    "path",
    [
        "/calls/otp/",
        "/calls/verify/",
        "//calls/otp",
        "/calls//otp",
        "/calls/OTP",
        "/calls/otp?x=1",
        "/calls/verify?phone=%2B256700123456&code=123456",
        "/calls/otp?%00",
        "/calls/otp%00",
        "/calls/otp%20",
        "/calls/./otp",
        "/calls/../calls/otp",
        "/calls/otp;x=1",
        "/calls/%6ftp",
        "/calls",
    ],
)
def test_a_path(pair: Pair, path: str) -> None:
    pair.ask_both(Asked(path, {"phone": "12"}))


@pytest.mark.parametrize(
    "length", ["", "0", "5", "-1", "+5", "abc", "1.5", "٣", "\uff10\uff15", "000005", "65536", "65537", "9" * 40]
)
@pytest.mark.parametrize("path", [SEND, CHECK])
def test_a_content_length(pair: Pair, length: str, path: str) -> None:
    pair.ask_both(Asked(path, {"phone": "12"}, environ={"CONTENT_LENGTH": length}))


@pytest.mark.parametrize(
    "overrides", [{"REMOTE_ADDR": ""}, {"REMOTE_ADDR": "::1"}, {"SCRIPT_NAME": "/prefix"}], ids=str
)
def test_an_unusual_environment(pair: Pair, overrides: dict[str, Any]) -> None:
    pair.ask_both(Asked(SEND, {"phone": "12"}, environ=overrides))


def test_random_bodies(pair: Pair) -> None:
    chance = random.Random(20260501)  # noqa: S311  # the same bodies each time
    names = ("phone", "code", "verification_id", "message", "locale", "code_length", "expires_in", "extra", "")
    values: tuple[Any, ...] = (
        *(None, True, 0, -1, 6, 8, 300, 1e300, "", "12", "+254700123456", "000000", EMOJI, "en", "fr", "x" * 300),
        *([], {}, [1], {"a": {}}, "VERIFICATION_ID", "\u202e", "\ud800"),
    )
    for _ in range(400):
        body = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(5))}
        raw = json.dumps(body).encode()
        if chance.random() < 0.2:
            cut = chance.randrange(len(raw) + 1)
            raw = raw[:cut] + chance.choice((b"", b"\x00", b"}", b'"')) + raw[cut + chance.randrange(3) :]
        pair.ask_both(Asked(chance.choice((SEND, CHECK)), raw, "other owner"))


def test_a_verification_from_the_send_to_after_its_approval(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    keyed = {"Idempotency-Key": "one"}
    told = [
        pair.ask_both(asked)[0].status_code
        for asked in (
            Asked(CHECK, {"phone": PHONE, "code": "000000"}),  # there is none yet
            Asked(SEND, {"phone": "0700 123456", "expires_in": 600, "code_length": 8, "locale": "fr"}, headers=keyed),
            Asked(SEND, {"phone": "0700 123456", "expires_in": 600, "code_length": 8, "locale": "fr"}, headers=keyed),
            Asked(SEND, {"phone": PHONE}, headers=keyed),  # the same key with another body
            Asked(SEND, {"phone": PHONE}),  # too soon
            Asked(CHECK, {"phone": PHONE, "code": "00000000"}),
            Asked(CHECK, {"phone": PHONE, "code": "000"}),
            Asked(CHECK, {"phone": PHONE, "code": "CODE"}, "other owner"),
            Asked(CHECK, {"phone": PHONE, "code": "CODE"}, "sender"),
            Asked(CHECK, {"phone": PHONE, "code": "CODE"}),
            Asked(CHECK, {"phone": PHONE, "code": "00000000"}),  # it is approved
            Asked(CHECK, {"verification_id": "VERIFICATION_ID", "code": "000000"}),
            *[Asked(CHECK, {"phone": OTHER_PHONE, "code": "000000"})] * 6,  # until no attempt is left
        )
    ]
    assert told[:11] == [404, 202, 202, 422, 429, 400, 400, 404, 403, 200, 410]
    assert 410 in told[12:]
    pair.clock.move(3600)
    later = [
        pair.ask_both(asked)[0].status_code
        for asked in (
            Asked(SEND, {"phone": PHONE, "expires_in": 60}),
            Asked(SEND, {"phone": PHONE, "message": "Hello.", "locale": "sw"}, headers={"Idempotency-Key": "two"}),
        )
    ]
    assert later[0] == 202
    pair.clock.move(3600)
    assert pair.ask_both(Asked(CHECK, {"phone": PHONE, "code": "000000"}))[0].status_code in (404, 410)
    assert left_behind(pair.fast) == left_behind(pair.ordinary)


def left_behind(app: Flask) -> list[list[Any]]:
    """What the requests left in the database, but for what is random."""
    services = services_of(app)
    services.usage.flush()
    services.audit.flush()
    questions = (
        "SELECT user_id, phone, status, locale, attempts_used, replays_used FROM verifications ORDER BY rowid",
        "SELECT status, reason FROM calls ORDER BY rowid",
        "SELECT user_id, requests_total FROM tokens ORDER BY rowid",
        "SELECT count(*) FROM wrong_codes",
        "SELECT action, detail, address FROM audit_events",
    )
    with app.extensions["letstalk_db"].read() as connection:
        found = [[tuple(row) for row in connection.execute(text(question))] for question in questions]
    found[-1] = sorted((action, UUID.sub("an id", detail), address) for action, detail, address in found[-1])
    return found


def test_rate_limits(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, RATE_LIMIT_TOKEN="4 per minute", RATE_LIMIT_ADDRESS="4 per minute")
    told = [
        pair.ask_both(Asked((SEND, CHECK)[number % 2], {"phone": "12", "code": "1"}, token))[0].status_code
        for token in ("slow", "writer", "unknown", "reader")
        for number in range(6)
    ]
    assert told.count(429) >= 8
    assert left_behind(pair.fast) == left_behind(pair.ordinary)


def test_limits_of_a_phone(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, RATE_LIMIT_PHONE="2 per 10 minutes", RATE_LIMIT_PHONE_ALL="3 per 10 minutes")
    told = []
    for token in ("writer", "other owner"):
        for _ in range(3):
            pair.clock.move(90)
            told.append(pair.ask_both(Asked(SEND, {"phone": PHONE, "expires_in": 60}, token))[0].status_code)
    assert told.count(202) == 3
    assert told.count(429) == 3


def test_the_setting_decides_whether_flask_takes_part(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    seen: list[Flask] = []

    def note(sender: Flask, **_: Any) -> None:
        seen.append(sender)

    with request_started.connected_to(note, pair.fast), request_started.connected_to(note, pair.ordinary):
        pair.ask_both(Asked(SEND, {"phone": PHONE}))
    assert seen == [pair.ordinary]
