"""The terminal of `make run`: three short lines for a call, and nothing that nobody asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from flask import Flask

from letstalk.config.settings import load_settings
from letstalk.observability.logs import log_stream
from letstalk.telephony.events import HangupCause
from letstalk.telephony.simulator.terminal import Terminal
from letstalk.telephony.speech.scripts import Speech
from tests.flows.installations import eventually
from tests.support.apps import OWNER, Api, environment, issue_token, make_app, services_of, working
from tests.support.fixtures.logs import LogOutput

PHONE = "+12025550142"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

MakeApp = Callable[[str], tuple[Flask, LogOutput]]


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def app_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    """An application in development that logs at a level, and its log."""

    def make(level: str) -> tuple[Flask, LogOutput]:
        app, output = make_app(tmp_path, LOG_LEVEL=level), LogOutput()
        monkeypatch.setattr(log_stream, "stream", output)
        return app, output

    yield make
    make_app(tmp_path)  # the loggers of other tests have the usual level again


def place_a_call(app: Flask) -> None:
    client, api = app.test_client(), Api(app.test_client(), issue_token(app, owner_id=OWNER.owner_id))
    client.get("/static/style.css").close()
    client.get("/sign-in")
    with working(app):
        sent = api.post("/calls/otp", {"phone": PHONE}).get_json()

        def is_over() -> bool:
            history = services_of(app).verifications.get_verification(OWNER, sent["verification_id"])
            return history.calls[-1].call.is_over

        eventually(is_over, "the call did not end")


@pytest.mark.parametrize("level", ["info", "INFO"])
def test_a_call_is_three_short_lines_beside_the_lines_of_requests(
    level: str, app_at: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app, output = app_at(level)
    place_a_call(app)
    log = output.getvalue()
    rings, hears, ends = capsys.readouterr().out.splitlines()
    assert (rings, ends) == (f"  ☎  {PHONE} rings", f"  ☎  {PHONE} hangs up")
    assert re.fullmatch(rf"  ☎  {re.escape(PHONE)} hears  \d{{6}}  \(en-US\)", hears)
    assert re.findall(r"route=(\S+)", log) == ["/sign-in", "/calls/otp"]
    assert UUID.search(log) is None
    assert "/static/" not in log
    assert hears.split()[3] not in log
    assert PHONE not in log


def test_ids_events_and_static_files_are_there_for_who_asks_for_them(app_at: MakeApp) -> None:
    app, output = app_at("debug")
    place_a_call(app)
    log = output.getvalue()
    assert "/static/" in log
    assert UUID.search(log) is not None
    assert len(log.splitlines()) > 5


@pytest.mark.parametrize(("given", "level"), [("debug", "DEBUG"), ("Warning", "WARNING"), ("INFO", "INFO")])
def test_a_level_may_be_written_in_lower_case(given: str, level: str, tmp_path: Path) -> None:
    assert load_settings(environment(tmp_path, LOG_LEVEL=given), None, root=tmp_path).log_level == level


def test_the_code_stands_out_on_a_screen_and_is_plain_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, str] = {}
    for name, stream in {"screen": Screen(), "file": StringIO()}.items():
        monkeypatch.setattr(sys, "stdout", stream)
        Terminal().hears(PHONE, Speech(ssml="", language="en-US", text="Your code is: 0 4 8", code="048213"))
        Terminal().ends(PHONE, HangupCause.BUSY)
        shown[name] = stream.getvalue()
    hears = f"  ☎  {PHONE} hears  "
    assert shown["screen"].startswith(f"{hears}\x1b[1m\x1b[7m048213\x1b[0m  (en-US)\n")
    assert shown["file"] == f"{hears}048213  (en-US)\n  ☎  {PHONE} is busy\n"
