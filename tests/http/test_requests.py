"""Bodies, queries and headers as hostile clients write them: refused clearly, never with a 5xx."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from flask import Flask

from letstalk.http.production_server import ProductionServer
from tests.support.apps import PHONE, Api, issue_token, make_app

PHONE_JSON = json.dumps(PHONE).encode()

# What a body is, and the status that it gets at /calls/otp: 400 is `invalid_request` or `invalid_phone`.
BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "white space": (b" \n\t ", 400),
    "broken": (b'{"phone": ', 400),
    "trailing comma": (b'{"phone": "+256700123456",}', 400),
    "single quotes": (b"{'phone': '+256700123456'}", 400),
    "two values": (b"{}{}", 400),
    "array": (b"[]", 400),
    "array of the right": (b'[{"phone": "+256700123456"}]', 400),
    "text": (b'"+256700123456"', 400),
    "text of the right": (b'"{\\"phone\\": \\"+256700123456\\"}"', 400),
    "number": (b"7", 400),
    "null": (b"null", 400),
    "true": (b"true", 400),
    "NaN": (b'{"phone": NaN}', 400),
    "Infinity": (b'{"phone": -Infinity}', 400),
    "NaN for a number": (b'{"phone": "+256700123456", "code_length": NaN}', 400),
    "huge integer": (b'{"phone": "+256700123456", "code_length": ' + b"9" * 4000 + b"}", 400),
    "integer too long to read": (b'{"phone": "+256700123456", "code_length": ' + b"9" * 40_000 + b"}", 400),
    "huge exponent": (b'{"phone": "+256700123456", "expires_in": 1e999}', 400),
    "minus zero": (b'{"phone": "+256700123456", "expires_in": -0}', 400),
    "float for an integer": (b'{"phone": "+256700123456", "expires_in": 300.5}', 400),
    "huge float for an integer": (b'{"phone": "+256700123456", "expires_in": 1e300}', 400),
    "NUL": (b'{"phone": "\\u0000"}', 400),
    "raw NUL": (b'{"phone": "\x00"}', 400),
    "NUL in the message": (b'{"phone": "+256700123456", "message": "a\\u0000b"}', 400),
    "NUL in a name": (b'{"phone": "+256700123456", "\\u0000": 1}', 400),
    "lone surrogate": (b'{"phone": "\\ud800"}', 400),
    "lone surrogate in the message": (b'{"phone": "+256700123456", "message": "\\udfff"}', 400),
    "lone surrogate in the locale": (b'{"phone": "+256700123456", "locale": "\\ud800"}', 400),
    "lone surrogate in a name": (b'{"phone": "+256700123456", "\\ud800": 1}', 400),
    "emoji for a phone": ('{"phone": "📞"}'.encode(), 400),
    "invalid UTF-8": (b'{"phone": "\xff\xfe"}', 400),
    "Latin-1": ('{"phone": "é"}'.encode("latin-1"), 400),
    "UTF-16": (json.dumps({"phone": PHONE}).encode("utf-16"), 400),
    "UTF-32": (json.dumps({"phone": PHONE}).encode("utf-32"), 400),
    "gzip": (gzip.compress(b'{"phone": "+256700123456"}'), 400),
    "10,000 arrays": (b'{"phone": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
    "10,000 objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
    "10,000 open arrays": (b"[" * 10_000, 400),
    "900 arrays": (b'{"phone": ' + b"[" * 900 + b"]" * 900 + b"}", 400),
    "object for a phone": (b'{"phone": {"a": 1}}', 400),
    "null for a phone": (b'{"phone": null}', 400),
    "number for a phone": (b'{"phone": 256700123456}', 400),
    "3,000 unknown fields": (json.dumps({f"field{n}": n for n in range(3000)}).encode(), 400),
    "a long unknown field": (json.dumps({"x" * 60_000: 1}).encode(), 400),
    "a magic name": (b'{"phone": "+256700123456", "__class__": 1, "constructor": {}}', 400),
    "64 KiB and more": (b'{"phone": "' + b"1" * 65_536 + b'"}', 413),
    "10 MB": (b'{"phone": "' + b"1" * 10_000_000 + b'"}', 413),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("requests"), RATE_LIMIT_PHONE="off", RATE_LIMIT_PHONE_ALL="off")


@pytest.fixture
def token(app: Flask) -> str:
    """Of an owner of its own: no cool-down of another test is in the way."""
    return issue_token(app, "admin", owner_id=f"owner {next(_OWNERS)}")


_OWNERS = iter(range(1_000_000))


@pytest.fixture(scope="module")
def base(app: Flask) -> Iterator[str]:
    """The address of the application behind Waitress, as production serves it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = ProductionServer(app, listener, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    thread.join()


def post(app: Flask, token: str, data: bytes, kind: str | None = "application/json", path: str = "/calls/otp") -> Any:
    return app.test_client().post(path, data=data, content_type=kind, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_in_the_one_shape(name: str, app: Flask, token: str) -> None:
    data, status = BODIES[name]
    answer = post(app, token, data)
    body = answer.get_json()
    assert answer.status_code == status
    assert body["code"] in ({"invalid_request", "invalid_phone"} if status == 400 else {"too_large"})
    assert {"error", "code", "request_id"} <= set(body)
    assert len(answer.data) < 5_000


@pytest.mark.parametrize(
    "path", ["/calls/verify", "/calls/replay", "/api/tokens", f"/api/tokens/{'0' * 8}-0000-4000-8000-{'0' * 12}"]
)
@pytest.mark.parametrize("name", [name for name in BODIES if name not in ("empty", "white space")])
def test_no_endpoint_breaks_on_a_hostile_body(path: str, name: str, app: Flask, token: str) -> None:
    method = "PATCH" if path.count("/") == 3 else "POST"
    answer = app.test_client().open(
        path,
        method=method,
        data=BODIES[name][0],
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == BODIES[name][1]


def test_no_call_came_of_any_of_them(app: Flask, token: str) -> None:
    for data, _ in BODIES.values():
        post(app, token, data)
    assert Api(app.test_client(), token).get("/calls").get_json()["verifications"] == []


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "nonsense",
        "application/json\x00",
    ],
)
def test_another_content_type_is_415(kind: str | None, app: Flask, token: str) -> None:
    answer = post(app, token, b'{"phone": ' + PHONE_JSON + b"}", kind)
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.acme+json"]
)
def test_json_by_any_of_its_names_is_read(kind: str, app: Flask, token: str) -> None:
    assert post(app, token, b'{"phone": ' + PHONE_JSON + b"}", kind).status_code == 202


def test_a_byte_order_mark_is_read_over(app: Flask, token: str) -> None:
    assert post(app, token, b'\xef\xbb\xbf{"phone": ' + PHONE_JSON + b"}").status_code == 202


def test_a_whole_number_may_be_written_as_a_float(app: Flask, token: str) -> None:
    answer = post(app, token, b'{"phone": ' + PHONE_JSON + b', "expires_in": 120.0, "code_length": 8e0}')
    assert (answer.status_code, answer.get_json()["expires_in"]) == (202, 120)


def test_of_two_values_for_one_name_the_last_counts(app: Flask, token: str) -> None:
    answer = post(app, token, b'{"phone": "nonsense", "phone": ' + PHONE_JSON + b"}")
    assert (answer.status_code, answer.get_json()["phone"]) == (202, PHONE)


def test_emoji_and_every_script_may_stand_in_a_name(app: Flask, token: str) -> None:
    for name in ("📞 shop 👩🏽‍💻", "Laden für Grüße", "متجر", "दुकान", "店"):
        answer = post(app, token, json.dumps({"name": name}).encode(), path="/api/tokens")
        assert (answer.status_code, answer.get_json()["name"]) == (201, name)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=1e2",
        "limit=",
        "limit=%00",
        "limit=" + "9" * 5000,
        "limit=٣",
        "cursor=nonsense",
        "cursor=%00",
        "cursor=" + "x" * 201,
        "cursor=%ff%fe",
        "phone=%00",
        "phone=",
        "phone=hello",
        "phone=%ed%a0%80",
        "status=nonsense",
        "status=",
        "status=PENDING",
        "unknown=1",
        "limit=1&unknown",
        "%00=1",
    ],
)
def test_a_wrong_query_is_refused_in_the_one_shape(query: str, app: Flask, token: str) -> None:
    answer = app.test_client().get(f"/calls?{query}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["code"] in ("invalid_request", "invalid_phone")


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "tab\there", "é", "emoji 📞".encode().decode("latin-1"), "\x7f", "\x00"]
)
def test_a_wrong_idempotency_key_is_refused(key: str, app: Flask, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    answer = app.test_client().post("/calls/otp", json={"phone": PHONE}, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert answer.get_json()["details"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["x", "~" * 255, 'a "quoted" key', "   inside   spaces"])
def test_any_printable_idempotency_key_is_taken(key: str, app: Flask, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    answers = [app.test_client().post("/calls/otp", json={"phone": PHONE}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].get_json() == answers[1].get_json()
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]


def test_over_a_real_wire_a_chunked_body_is_a_body(base: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    chunks = [b'{"phone": ', PHONE_JSON, b"}"]
    answer = httpx.post(f"{base}/calls/otp", content=iter(chunks), headers=headers)
    assert (answer.status_code, answer.json()["phone"]) == (202, PHONE)


def test_over_a_real_wire_a_large_body_is_413(base: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    large = BODIES["10 MB"][0]
    chunks = [large[start : start + 50_000] for start in range(0, 1_000_000, 50_000)]
    for content in (large, iter(chunks)):
        answer = httpx.post(f"{base}/calls/otp", content=content, headers=headers, timeout=20)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("name", ["gzip", "UTF-16", "10,000 arrays", "NUL", "lone surrogate", "empty"])
def test_over_a_real_wire_a_hostile_body_is_400(name: str, base: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers |= {"Content-Encoding": "gzip"} if name == "gzip" else {}
    answer = httpx.post(f"{base}/calls/otp", content=BODIES[name][0], headers=headers)
    assert (answer.status_code, answer.json()["code"] in ("invalid_request", "invalid_phone")) == (400, True)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /calls/%ff%fe HTTP/1.1",
        b"GET /calls?phone=%ff HTTP/1.1",
        b"GET /\x01 HTTP/1.1",
        b"GET //evil.example/%2e%2e HTTP/1.1",
        b"GET http://evil.example/calls HTTP/1.1",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1",
        b"BREW /calls HTTP/1.1",
        b"POST /calls/otp HTTP/1.1\r\nContent-Length: -5",
        b"POST /calls/otp HTTP/1.1\r\nContent-Length: five",
        b"POST /calls/otp HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        b"POST /calls/otp HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"GET /calls HTTP/1.1\r\nAuthorization: Bearer \xff\xfe",
        b"GET /calls HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b",
    ],
)
def test_over_a_real_wire_no_request_line_or_header_gives_a_500(request_line: bytes, base: str) -> None:
    host, port = base.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as wire:
        wire.sendall(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while more := wire.recv(65_536):
            received += more
    status = int(received.split(b" ", 2)[1])
    # 501: Waitress's own answer to a transfer encoding that it does not know.
    assert 200 <= status < 500 or status == 501, received
