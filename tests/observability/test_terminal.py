"""No text of others reaches a terminal as an escape sequence, or turns the words around it."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask

from letstalk.http.json_bodies import to_body
from letstalk.mail.models import Mail
from letstalk.mail.transports import TerminalTransport
from letstalk.observability.logs import get_logger
from letstalk.observability.terminal import escape_controls, escape_json, has_controls
from letstalk.telephony.simulator.terminal import Terminal
from letstalk.telephony.speech.scripts import Speech
from tests.observability.test_logs import Log, log, terminal
from tests.tokens.test_cli import app, run

__all__ = ["app", "log", "terminal"]  # fixtures

CONTROLS = [
    *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)), "\u2028", "\u2029", "\u200e", "\u200f", "\u061c", "\ud800",
]  # fmt: skip
NASTY = "/a\x1b[31mred\x9b2J\x7f\u202edesrever\u2066\u2028line\rover"


def is_harmless(shown: str) -> bool:
    """Whether all of it is printable, but for line breaks."""
    return shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_is_shown_as_its_escape(control: str) -> None:
    assert has_controls(f"a{control}b")
    shown = escape_controls(f"a{control}b")
    assert shown.startswith("a\\")
    assert is_harmless(shown)
    assert control not in shown


def test_escapes_are_those_that_developers_know() -> None:
    assert escape_controls("\x1b[2J\x9b\x7f\u202e\n") == r"\x1b[2J\x9b\x7f\u202e\n"
    assert escape_controls("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize("text", ["Ünïcode", "क्‍ष", "👩‍🚀", "שלום", "a\u00a0b"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text
    assert not has_controls(text)


def test_json_stays_the_same_json() -> None:
    document = json.dumps({"name": NASTY, "ünï": "क"}, indent=2, ensure_ascii=False)
    assert is_harmless(escape_json(document))
    assert json.loads(escape_json(document)) == {"name": NASTY, "ünï": "क"}


def test_a_developer_s_log_shows_paths_names_and_errors_without_control_characters(terminal: Log) -> None:
    logger = get_logger("letstalk.tests.terminal")
    logger.info("refused", path=NASTY, **{f"field{NASTY}": 1}, nested={"name": NASTY}, several=[NASTY])
    logger.info(NASTY)
    logging.getLogger("another.library").error("path %s", NASTY)
    try:
        raise ValueError(NASTY)
    except ValueError:
        logger.exception("failed")
    assert is_harmless(terminal.text)
    assert r"\x1b[31mred\x9b2J\x7f\u202e" in terminal.text
    assert r"\\x1b" not in terminal.text
    assert "ValueError" in terminal.text


def test_no_line_of_the_log_is_forged_by_a_line_break_in_a_path(terminal: Log) -> None:
    get_logger("letstalk.tests.terminal").info("refused\n2026-11-29 forged", path="/\n2026-11-29 forged")
    assert terminal.text.count("\n") == 1


def test_the_log_of_production_has_none_either(log: Log) -> None:
    get_logger("letstalk.tests.terminal").info("refused", path=NASTY)
    assert is_harmless(log.text)
    assert log.entry["path"] == NASTY


def test_the_simulator_and_the_terminal_mail_show_none(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().hears("+256700123456", Speech(ssml="", language="en-US", text=NASTY))
    TerminalTransport().send(Mail(f"{NASTY}@example.org", NASTY, f"First line\n{NASTY}\nlast line"), "an-id")
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert shown.count(r"\x1b[31mred") == 4
    assert "First line\n" in shown


def test_the_tables_of_the_command_line_show_none(app: Flask) -> None:
    created = run(app, "create", "--user-id", "shop", "--name", "till\u202e\u2066")
    assert created.exit_code == 0
    listed = run(app, "list")
    assert r"till\u202e\u2066  read,write" in listed.output
    assert is_harmless(listed.output)
    header, row = listed.output.splitlines()
    assert header.index("SCOPES") == row.index("read,write")
    refused = run(app, "create", "--scopes", "read,\x1b[31m")
    assert refused.exit_code == 1
    assert is_harmless(refused.output)


def test_a_response_shown_by_curl_has_none(app: Flask) -> None:
    body = to_body({"field": NASTY})
    assert is_harmless(body.decode())
    assert json.loads(body) == {"field": NASTY}
    response = app.test_client().post("/api/auth/login", json={"odd\x9b2J\u202e": 1})
    assert response.status_code == 400
    assert "odd\x9b2J\u202e" in [detail["field"] for detail in response.get_json()["details"]]
    assert is_harmless(response.text)


def test_a_path_that_was_refused_is_shown_with_escapes(app: Flask, terminal: Log) -> None:
    path = "/api/accounts/roles/x%1b%5b31m%c2%9b"
    response = app.test_client().patch(path, json={}, headers={"Authorization": "Bearer lt_no"})
    assert response.status_code == 401
    assert r"/api/accounts/roles/x\x1b[31m\x9b" in terminal.text
    assert is_harmless(terminal.text)
