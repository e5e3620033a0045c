"""SIGTERM to a server under load: every request that it has accepted gets its response."""

from __future__ import annotations

import http.client
import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.flows.installations import NO_PHONE_LIMITS
from tests.support.apps import ServerProcess

KEEPING_CLIENTS = 10  # each sends all its requests over one connection
NEW_CLIENTS = 6  # each opens a connection for each request
TIMEOUT_SECONDS = 20


@dataclass
class Load:
    """What the clients were told, by phone. `cut_off` are requests whose connection was lost before the response."""

    port: int
    token: str
    statuses: dict[str, int] = field(default_factory=dict)
    cut_off: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    closed: int = 0

    def send(self, connection: http.client.HTTPConnection, phone: str) -> http.client.HTTPResponse | None:
        """The response, read to its end; None if there was none."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/calls/otp", json.dumps({"phone": phone}), headers)
            response = connection.getresponse()
            assert json.loads(response.read())["phone"] == phone
        except (OSError, http.client.HTTPException) as error:
            self.cut_off[phone] = repr(error)
            return None
        self.statuses[phone] = response.status
        return response

    def keep(self, phones: Iterator[str]) -> None:
        connection = self.connect()
        while connection is not None and (response := self.send(connection, next(phones))) is not None:
            if response.getheader("Connection") == "close":
                self.closed += 1
                return

    def open_each(self, phones: Iterator[str]) -> None:
        while (connection := self.connect()) is not None:
            self.send(connection, next(phones))
            connection.close()

    def connect(self) -> http.client.HTTPConnection | None:
        """A connection; None when it is refused, as it must be once the server stops."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
        except ConnectionRefusedError:
            self.refused += 1
            return None
        return connection


def phones_of(client: int) -> Iterator[str]:
    return (f"+25670{client:02}{number:05}" for number in itertools.count())


NEW_PHONES = tuple(f"+25670{client:02}" for client in range(KEEPING_CLIENTS, KEEPING_CLIENTS + NEW_CLIENTS))


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_no_request_that_was_accepted_is_reset_by_sigterm(tmp_path: Path, fast_path: str) -> None:
    settings = {"MAX_CONCURRENT_CALLS": "50", "SIMULATOR_SPEED": "1000", "FAST_PATH": fast_path, **NO_PHONE_LIMITS}
    with ServerProcess(tmp_path, **settings) as server:
        load = Load(server.port, server.issue_token())
        work = [load.keep] * KEEPING_CLIENTS + [load.open_each] * NEW_CLIENTS
        clients = [
            threading.Thread(target=use, args=(phones_of(number),), daemon=True) for number, use in enumerate(work)
        ]
        for client in clients:
            client.start()
        deadline = time.monotonic() + 30
        while len(load.statuses) < 15 * len(work):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 10
        for client in clients:
            client.join(TIMEOUT_SECONDS)
            assert not client.is_alive()
    with sqlite3.connect(tmp_path / "letstalk.db") as connection:
        accepted = {phone for (phone,) in connection.execute("SELECT phone FROM verifications")}
    # A connection that the system completes between the server's last look and the end of its socket is reset, but
    # nothing accepted it. One that was accepted before is never lost, whether it was kept or new.
    assert not load.cut_off.keys() & accepted
    assert all(phone.startswith(NEW_PHONES) for phone in load.cut_off), load.cut_off
    assert set(load.statuses.values()) == {202}
    assert set(load.statuses) == accepted, "what was done was told, and what was told was done"
    assert (load.closed, load.refused) == (KEEPING_CLIENTS, NEW_CLIENTS)
