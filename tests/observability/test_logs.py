"""What a log line contains, and what none ever contains."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import clear_contextvars
from structlog.typing import FilteringBoundLogger

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.observability.logs import StandardLogHandler, bound_contextvars, configure_logs, get_logger
from letstalk.observability.redaction import mask_phone
from letstalk.observability.request_log import RequestLog
from letstalk.tokens.models import generate_token
from tests.support.apps import ROOT, ServerProcess, code_of, issue_token, make_app
from tests.support.commands import eventually
from tests.support.fixtures.logs import LogOutput

PHONE, MASKED = "+256700123456", "+2567…56"
TOKEN = f"lt_{'a1' * 6}_{'b2' * 18}"
KEY = "k3yUwDZq0mLhA9d1rNf5sXvQpT7bGcYeJ2oKiM8WzR4="
SEALED = Vault((make_encryption_key(),)).encrypt(b"048213")
CALL_ID = "48bf2213-3736-4c69-96d3-123456789012"


@dataclass
class Log:
    stream: LogOutput

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def entry(self) -> dict[str, Any]:
        (entry,) = self.entries
        return entry


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """What is logged in production, at every level."""
    yield from _configured(monkeypatch, as_json=True)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The same as a developer sees it."""
    yield from _configured(monkeypatch, as_json=False)


def _configured(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> Iterator[Log]:
    stream, root = LogOutput(), logging.getLogger()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(root, "handlers", root.handlers)
    level, letstalk_level = root.level, logging.getLogger("letstalk").level
    configure_logs(as_json=as_json, level="DEBUG")
    clear_contextvars()  # another test in this thread may have left the id of its request
    yield Log(stream)
    clear_contextvars()
    logging.captureWarnings(False)
    root.setLevel(level)
    logging.getLogger("letstalk").setLevel(letstalk_level)


def a_logger() -> FilteringBoundLogger:
    """One that has not been used before, so that it takes the configuration of this test."""
    return get_logger("letstalk.tests")


def test_a_line_is_one_json_object_with_its_time_level_and_source(log: Log) -> None:
    a_logger().info("call_ended", call_id=CALL_ID, status="busy", seconds=1.5, reason="a\nline\u2028break", none=None)
    entry = log.entry
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "call_ended",
        "level": "info",
        "logger": "letstalk.tests",
        "call_id": CALL_ID,
        "status": "busy",
        "seconds": 1.5,
        "reason": "a\nline\u2028break",
        "none": None,
    }


@pytest.mark.parametrize(
    "field",
    [
        "code", "codes", "token", "access_token", "secret", "client_secret", "password", "Authorization", "payload",
        "ssml", "api_key", "ENCRYPTION_KEYS", "speech_sealed", "digits", "cookie", "message", "body", "speech",
    ],
)  # fmt: skip
def test_a_field_that_is_named_as_a_secret_is_blotted_out_whatever_it_holds(log: Log, field: str) -> None:
    for value in ("048213", 48213.0, ["048213"], {"is": "048213"}, b"048213", object()):
        a_logger().info("event", **{field: value})
    assert [entry[field] for entry in log.entries] == ["[redacted]"] * 6
    assert "48213" not in log.text


def test_counts_and_the_names_of_errors_stay_readable(log: Log) -> None:
    a_logger().info("event", tokens=3, digest_keys=2, waiting_codes=0, reason="invalid_token", vendor_codes=["90018"])
    a_logger().info("event", token=None, token_id=CALL_ID, has_code=True, status_code=401)
    first, second = log.entries
    assert (first["tokens"], first["digest_keys"], first["waiting_codes"]) == (3, 2, 0)
    assert (first["reason"], first["vendor_codes"]) == ("invalid_token", ["90018"])
    assert (second["token"], second["token_id"], second["has_code"], second["status_code"]) == (
        None,
        CALL_ID,
        True,
        401,
    )


SECRETS = {
    TOKEN: "lt_[redacted]",
    "https://calls.example.com/reset-password#token=ltl_"
    + 24 * "a7": "https://calls.example.com/reset-password#token=[redacted]",
    f"Bearer {TOKEN[3:]}": "Bearer [redacted]",
    "postgresql://letstalk:pa55word@db/letstalk": "postgresql://[redacted]@db/letstalk",
    "rediss://:pa55word@cache:6379/0": "rediss://[redacted]@cache:6379/0",
    SEALED: "[redacted]",
    KEY: "[redacted]",
    "KEY0189C4B5D2E1F6A7B8C9D0E1F2A3B4C5_xYzAbC123": "[redacted]",
    "0 4 8 2 1 3": "[redacted]",
    "0, 4, 8, 2, 1, 3": "[redacted]",
    '0<break time="400ms"/> 4<break time="400ms"/> 8 2 1 3': "[redacted]",
    PHONE: MASKED,
    "+256 700 123-456": "+256 …56",
    "%2B256700123456": "%2B25…56",
    "256700123456": "25670…56",
}


@pytest.mark.parametrize(("secret", "shown"), SECRETS.items(), ids=range(len(SECRETS)))
@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: value,
        lambda value: f"it said: '{value}', and that was all.",
        lambda value: [value, (value, {value})],
        lambda value: {"deep": [{"deeper": value, value: 1}]},
        lambda value: ValueError(value),
        lambda value: {"url": f"/calls/{value}"},
    ],
    ids=["alone", "in a sentence", "in lists", "in mappings", "in an object", "in a path"],
)
def test_what_must_not_be_read_is_taken_out_wherever_it_stands(
    log: Log, wrap: Callable[[Any], Any], secret: str, shown: str
) -> None:
    a_logger().info("event", what=wrap(secret))
    assert secret not in log.text
    assert shown in json.dumps(log.entry["what"], ensure_ascii=False)


def test_the_event_itself_and_the_names_of_fields_are_redacted_too(log: Log) -> None:
    a_logger().info(f"called {PHONE}", **{PHONE: TOKEN})
    assert log.entry["event"] == f"called {MASKED}"
    assert log.entry[MASKED] == "lt_[redacted]"


def test_a_real_token_is_recognised_by_its_shape(log: Log) -> None:
    a_logger().info("event", what=f"presented {generate_token().token}.")
    assert log.entry["what"] == "presented lt_[redacted]."


@pytest.mark.parametrize("value", [PHONE, "256700123456", 256700123456, "0700123456", "12345"])
def test_a_field_for_a_phone_is_masked_however_it_is_written(log: Log, value: object) -> None:
    a_logger().info("event", phone=value, to=[value])
    assert str(value) not in log.text
    assert log.entry["to"] == [log.entry["phone"]]


def test_a_phone_that_is_masked_already_stays_as_it_is(log: Log) -> None:
    a_logger().info("event", phone=mask_phone(PHONE))
    assert log.entry["phone"] == MASKED


@pytest.mark.parametrize(
    "text",
    [
        CALL_ID,
        "sim-listens-1795197600000-150-" + CALL_ID,
        "2026-11-20T10:00:00.123456+00:00",
        "v3:cB2sQwErTyUiOpAsDfGhJkLzXcVbNm",
        "127.0.0.1",
        "2001:db8::1:12",
        "0002",
        "user_busy (SIP 486)",
        "600 per minute",
    ],
)
def test_ids_times_and_addresses_stay_readable(log: Log, text: str) -> None:
    a_logger().info("event", what=text, sentence=f"about {text} it was")
    assert log.entry["what"] == text
    assert log.entry["sentence"] == f"about {text} it was"


def test_an_exception_is_in_its_line_and_redacted_with_all_its_causes(log: Log) -> None:
    try:
        try:
            raise KeyError(f"Key (user_id, phone)=(acme, {PHONE}) already exists")
        except KeyError as cause:
            raise RuntimeError(f"at postgresql://me:pa55word@db/x with {TOKEN}") from cause
    except RuntimeError as error:
        a_logger().error("unexpected_error", exc_info=error)
        a_logger().exception("again")
    for entry in log.entries:
        assert "Traceback" in entry["exception"]
        assert "RuntimeError: at postgresql://[redacted]@db/x with lt_[redacted]" in entry["exception"]
        assert f"(acme, {MASKED})" in entry["exception"]
    assert not any(secret in log.text for secret in (PHONE, TOKEN, "pa55word"))


def test_what_other_libraries_log_is_a_line_like_ours_and_redacted(log: Log) -> None:
    foreign = logging.getLogger("some.library")
    foreign.warning("refused %s for %s", TOKEN, PHONE)
    try:
        raise ValueError(f"no such phone: {PHONE}")
    except ValueError:
        foreign.exception("it failed")
    with bound_contextvars(call_id=CALL_ID):
        foreign.error("within")
    foreign.info("not worth a line")
    first, second, third = log.entries
    assert first["event"] == f"refused lt_[redacted] for {MASKED}"
    assert (first["level"], first["logger"]) == ("warning", "some.library")
    assert f"ValueError: no such phone: {MASKED}" in second["exception"]
    assert third["call_id"] == CALL_ID
    assert "call_id" not in first


def test_a_line_that_cannot_be_written_is_not_quoted_by_logging_itself(log: Log) -> None:
    (ours,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, StandardLogHandler)]
    ours.handle(logging.LogRecord("some.library", logging.WARNING, "there.py", 7, "%d %s", ("none", PHONE), None))
    assert (log.entry["event"], log.entry["logger"]) == ("log_line_lost", "some.library")
    assert PHONE not in log.text


def test_every_character_arrives_and_the_line_itself_is_ascii(log: Log) -> None:
    text = 'grüße \\ "…" \u2028\u2029\x85 店 📞\U0010ffff \x00\x7f'
    a_logger().info("event", what=text, schlüssel=1)
    assert (log.entry["what"], log.entry["schlüssel"]) == (text, 1)
    assert log.text.isascii()


def test_whatever_is_logged_makes_valid_json(log: Log) -> None:
    class Unfriendly:
        def __repr__(self) -> str:
            return f"<of {PHONE}>"

    endless: list[Any] = []
    endless.append(endless)
    values = [float("nan"), float("inf"), Unfriendly(), {1: 2, None: 3}, endless, {PHONE}, b"\xff", "\udcff", range(3)]
    for value in values:
        a_logger().info("event", what=value)
    lines = [json.loads(line, parse_constant=pytest.fail) for line in log.text.splitlines()]
    assert len(lines) == len(values)
    assert lines[2]["what"] == f"<of {MASKED}>"
    assert PHONE not in log.text


def test_ids_that_are_bound_stand_in_every_line_until_the_end_of_the_block(log: Log) -> None:
    with bound_contextvars(call_id=CALL_ID, verification_id="a verification"):
        a_logger().info("within")
        with bound_contextvars(call_id="another"):
            a_logger().info("deeper")
        a_logger().info("back")
    a_logger().info("after")
    assert [entry.get("call_id") for entry in log.entries] == [CALL_ID, "another", CALL_ID, None]
    assert [entry.get("verification_id") for entry in log.entries] == ["a verification"] * 3 + [None]


def test_ids_of_one_thread_are_not_in_the_lines_of_another(log: Log) -> None:
    with bound_contextvars(call_id=CALL_ID):
        thread = threading.Thread(target=lambda: a_logger().info("elsewhere"))
        thread.start()
        thread.join()
    assert "call_id" not in log.entry


def test_the_terminal_of_a_developer_is_redacted_as_well(terminal: Log) -> None:
    a_logger().warning("called", phone=PHONE, code="048213", nested={"token": TOKEN, "text": PHONE})
    try:
        raise ValueError(PHONE)
    except ValueError:
        a_logger().exception("failed")
    assert "called" in terminal.text
    assert MASKED in terminal.text
    assert not any(secret in terminal.text for secret in (PHONE, TOKEN, "048213"))


def test_a_thread_that_dies_and_a_warning_are_lines_too() -> None:
    program = """
import threading, warnings
from letstalk.observability.logs import configure_logs
configure_logs(as_json=True)
def die(): raise ValueError("of +256700123456")
thread = threading.Thread(target=die, name="doomed"); thread.start(); thread.join()
warnings.warn("about +256700123456")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    died, warned = map(json.loads, done.stderr.splitlines())
    assert (died["event"], died["thread"]) == ("thread_died", "doomed")
    assert f"ValueError: of {MASKED}" in died["exception"]
    assert f"UserWarning: about {MASKED}" in warned["event"]


def test_every_line_of_a_server_in_production_is_json_and_leads_through_a_calls_life(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        token = server.issue_token()
        with server.client(token) as client:
            sent = client.post("/calls/otp", json={"phone": PHONE})
            ids = sent.json()
            client.post("/calls/verify", json={"phone": PHONE, "code": "0000000000"})
            client.get("/calls", params={"phone": PHONE}, headers={"Authorization": f"Bearer {token}x"})
            client.get(f"/calls/{PHONE[1:]}")
            eventually(lambda: '"call_ended"' in server.log(), "the call did not end")
    entries = [json.loads(line) for line in server.log().splitlines()]
    assert all({"event", "level", "logger", "timestamp"} <= entry.keys() for entry in entries)
    assert (entries[0]["event"], entries[0]["url"]) == ("server_listening", server.base)
    assert entries[-1]["event"] == "server_stopped"
    of_call = {entry["event"]: entry for entry in entries if entry.get("call_id") == ids["call_id"]}
    assert {"verification_started", "call_placed", "event_applied", "call_ended"} <= of_call.keys()
    assert {entry["verification_id"] for entry in of_call.values()} == {ids["verification_id"]}
    assert of_call["verification_started"]["request_id"] == sent.headers["X-Request-Id"]
    (wrong,) = [entry for entry in entries if entry["event"] == "wrong_code"]
    assert (wrong["verification_id"], wrong["attempts_remaining"]) == (ids["verification_id"], 4)
    assert [entry["reason"] for entry in entries if entry["event"] == "refused"] == ["invalid_token"]
    assert not any(secret in server.log() for secret in (PHONE, PHONE[1:], token))


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_the_line_of_a_request_names_the_verification_that_it_approved_and_no_later_line_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_path: str
) -> None:
    app = make_app(tmp_path, ENCRYPTION_KEYS=KEY, FAST_PATH=fast_path)
    for log in _configured(monkeypatch, as_json=True):
        client, bearer = app.test_client(), {"Authorization": f"Bearer {issue_token(app)}"}
        verification_id = client.post("/calls/otp", json={"phone": PHONE}, headers=bearer).get_json()["verification_id"]
        guess = {"phone": PHONE, "code": code_of(tmp_path, KEY, verification_id)}
        approved, used = (client.post("/calls/verify", json=guess, headers=bearer) for _ in range(2))
        of_right, of_used = (entry for entry in log.entries if entry.get("route") == "/calls/verify")
    assert (of_right["event"], of_right["status"]) == ("request", 200)
    assert (of_right["verification_id"], of_right["ended_as"]) == (verification_id, "approved")
    assert of_right["request_id"] == approved.headers["X-Request-Id"]
    assert of_used["status"] == used.status_code == 410
    assert not {"verification_id", "ended_as"} & of_used.keys()


def test_what_cannot_be_rendered_is_said_to_be_lost_and_breaks_nothing(log: Log) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError(PHONE)

    a_logger().info("event", what=Broken())
    assert (log.entry["event"], log.entry["logger"]) == ("log_line_lost", "letstalk.tests")
    assert PHONE not in log.text


def test_a_logger_that_was_used_follows_a_second_configuration(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = a_logger()
    logger.info("before")
    elsewhere = LogOutput()
    monkeypatch.setattr(sys, "stderr", elsewhere)
    configure_logs(as_json=True, level="DEBUG")
    logger.bind(call_id=CALL_ID).info("after", level="of its own", bound=1)
    assert [entry["event"] for entry in log.entries] == ["before"]
    (entry,) = map(json.loads, elsewhere.getvalue().splitlines())
    assert (entry["event"], entry["call_id"], entry["level"], entry["bound"]) == ("after", CALL_ID, "info", 1)


def test_below_its_level_nothing_is_logged(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", log.stream)
    configure_logs(as_json=True, level="WARNING")
    get_logger("letstalk.tests.quiet").info("unheard")
    get_logger("letstalk.tests.quiet").warning("heard")
    assert log.entry["event"] == "heard"


def test_a_requests_id_is_a_new_uuid_that_begins_with_the_time_in_its_lines_and_in_those_of_no_other(log: Log) -> None:
    def answer(_environ: dict[str, Any], start: Any) -> list[bytes]:
        a_logger().info("within")
        start("204 No Content", [])
        return []

    ids = []
    with bound_contextvars(call_id="of what came before"):
        for _ in range(200):
            environ = {"REQUEST_METHOD": "BREW"}
            list(RequestLog(answer)(environ, lambda _status, headers, _info=None: ids.append(dict(headers))))
    request_ids = [headers["X-Request-Id"] for headers in ids]
    parsed = [uuid.UUID(text) for text in request_ids]
    assert {(each.version, each.variant) for each in parsed} == {(7, uuid.RFC_4122)}
    assert [str(each) for each in parsed] == request_ids
    assert len(set(request_ids)) == 200
    assert [each.int >> 80 for each in parsed] == sorted(each.int >> 80 for each in parsed)
    assert {each.hex[16] for each in parsed} == set("89ab")
    within, counted = log.entries[0::2], log.entries[1::2]
    assert [entry["request_id"] for entry in within] == [entry["request_id"] for entry in counted] == request_ids
    assert (counted[0]["event"], counted[0]["method"], counted[0]["status"]) == ("request", "other", 204)
    assert "call_id" not in within[0]
