"""The service in this process behind a real HTTP server, for Twilio's SDKs; its phones are the simulator's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from flask import Flask
from werkzeug.serving import make_server

from tests.support.apps import NO_AUTHORITIES, TurnableClock, issue_token, make_app, working
from tests.twilio.specification import PREFIX, Answered

ACCOUNT = "AC" + "0" * 32  # as it stands in a program that was written for Twilio
HEARD_WITHIN_SECONDS = 20
SCOPES = ("read", "write", "otp:speak")


@dataclass
class ServedVerify:
    """`answered` are all requests to Twilio's API, with what they got. A test that moves `clock` need not wait."""

    app: Flask
    base: str
    clock: TurnableClock
    token: str
    answered: list[Answered] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(100))

    def phone(self) -> str:
        """A phone that no other test calls."""
        return f"+1202555{next(self.numbers):04d}"

    def heard(self, attempt_sid: str) -> str:
        """The code that the simulator's phone heard in a call."""
        return str(self.call(attempt_sid)["code"])

    def call(self, attempt_sid: str) -> dict[str, Any]:
        """What the simulator tells of a call once it is over."""
        call_id = UUID(attempt_sid.removeprefix("VL"))
        deadline = time.monotonic() + HEARD_WITHIN_SECONDS
        with httpx.Client(verify=NO_AUTHORITIES) as http:
            while time.monotonic() < deadline:
                call: dict[str, Any] = http.get(f"{self.base}/simulator/calls/{call_id}").json()
                if call.get("state") == "ended" and call["code"]:
                    return call
                time.sleep(0.02)
        raise AssertionError(f"nobody heard a code: {call}")


class _Recorder:
    """Middleware that keeps what Twilio's API answers."""

    def __init__(self, app: Flask, answered: list[Answered]) -> None:
        self._app = app
        self._answered = answered

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            return start_response(status, headers, exc_info)

        body = b"".join(self._app(environ, start))
        if environ["PATH_INFO"].startswith(PREFIX):
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            self._answered.append(Answered(method, path, int(statuses[0][:3]), body))
        return [body]


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[ServedVerify]:
    clock = TurnableClock()
    app = make_app(folder, clock, RATE_LIMIT_PHONE="off", RATE_LIMIT_PHONE_ALL="off", **settings)
    answered: list[Answered] = []
    server = make_server("127.0.0.1", 0, _Recorder(app, answered), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with working(app):
            token = issue_token(app, *SCOPES)
            yield ServedVerify(app, f"http://127.0.0.1:{server.port}", clock, token, answered)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
