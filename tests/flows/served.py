"""The service in this process, so that its clock can be turned, behind a real HTTP server that Telnyx can reach."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from werkzeug.serving import make_server

from letstalk.db.database import Database
from tests.flows.installations import NO_PHONE_LIMITS, Owner, eventually
from tests.support.apps import NO_AUTHORITIES, TurnableClock, heard_code, issue_token, make_app, working
from tests.support.fake_telnyx import StandaloneTelnyx


@dataclass
class Served:
    """`owner` is an app that uses it. A test that moves `clock` does not have to wait."""

    owner: Owner
    telnyx: StandaloneTelnyx
    clock: TurnableClock
    database: Database

    def payloads(self, phone: str) -> list[list[str]]:
        """What the phone heard in each of its calls, oldest first."""
        return [call["heard"] for call in self.telnyx.state()["calls"] if call["to"] == phone]

    def codes(self, phone: str, calls: list[int]) -> list[str]:
        """The codes that the phone heard, once it has heard as many in each call as `calls` says."""
        eventually(lambda: [len(heard) for heard in self.payloads(phone)] == calls, f"{phone} did not hear {calls}")
        return [heard_code(payload) for heard in self.payloads(phone) for payload in heard]


@contextmanager
def served(folder: Path, database_url: str, **settings: str) -> Iterator[Served]:
    with StandaloneTelnyx(speed=20) as telnyx, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port, clock = listener.getsockname()[1], TurnableClock()
        base = f"http://127.0.0.1:{port}"
        own = {**telnyx.environment, "PUBLIC_URL": base, "DATABASE_URL": database_url}
        app = make_app(folder, clock, **{**NO_PHONE_LIMITS, **own, **settings})
        token = issue_token(app)
        server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            headers = {"Authorization": f"Bearer {token}"}
            with working(app), httpx.Client(base_url=base, headers=headers, verify=NO_AUTHORITIES) as http:
                yield Served(Owner(http, token), telnyx, clock, app.extensions["letstalk_db"])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        assert telnyx.state()["violations"] == []
