"""The service as a process in production, the Telnyx that it calls phones through, and the owners who use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import update

from letstalk.config.settings import load_settings
from letstalk.db.database import Database
from letstalk.verifications.repository import verifications
from letstalk.wiring import create_app
from tests.support.apps import NO_AUTHORITIES, ServerProcess, heard_code, issue_token
from tests.support.fake_telnyx import StandaloneTelnyx

Found = TypeVar("Found")

PATIENCE_SECONDS = 30.0  # for what takes a second or two, on a machine that has other things to do
LEAST_LIMIT_SECONDS = 90.0  # of a call, however fast it runs: a busy machine may need half a minute for a restart
NO_DESTINATION_LIMITS = ("RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK", "BLOCK_BREAKER")
NO_PHONE_LIMITS = dict.fromkeys(("RATE_LIMIT_PHONE", "RATE_LIMIT_PHONE_ALL", *NO_DESTINATION_LIMITS), "off")


def eventually(find: Callable[[], Found], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """The first thing found that is true. Fails after `seconds`, with `what` and what was found last."""
    deadline = time.monotonic() + seconds
    pause_seconds = 0.02
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what}: {found!r} after {seconds} s"
        time.sleep(pause_seconds)
        # To look costs the service as much as a request, which is what most of a long wait would go into.
        pause_seconds = min(0.1, pause_seconds * 1.3)
    return found


@dataclass
class Owner:
    """An app that has phones called with a token of its own. `answers` keeps every answer that it got."""

    http: httpx.Client
    token: str
    answers: list[httpx.Response] = field(default_factory=list)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._kept(self.http.post(path, json=body, headers=named))

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return self._kept(self.http.get(path, params=query))

    def send(self, phone: str, **fields: Any) -> str:
        """The id of a verification whose call is accepted."""
        answer = self.post("/calls/otp", {"phone": phone, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["verification_id"])

    def verify(self, phone: str, code: str) -> httpx.Response:
        return self.post("/calls/verify", {"phone": phone, "code": code})

    def replay(self, phone: str) -> httpx.Response:
        return self.post("/calls/replay", {"phone": phone})

    def cancel(self, verification_id: str) -> httpx.Response:
        return self.post(f"/calls/{verification_id}/cancel", {})

    def verification(self, verification_id: str) -> dict[str, Any]:
        answer = self.get(f"/calls/{verification_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def last_call(self, verification_id: str) -> dict[str, Any]:
        call: dict[str, Any] = self.verification(verification_id)["calls"][-1]
        return call

    def ended_call(self, verification_id: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The verification's last call, once it is over."""

        def find() -> dict[str, Any] | None:
            call = self.last_call(verification_id)
            return call if call["ended_at"] else None

        found = eventually(find, f"the call of {verification_id} did not end", seconds)
        assert found is not None
        return found

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        self.answers.append(answer)
        return answer


@dataclass
class Installation:
    """`server` may be killed and started again; `telnyx` lives on."""

    server: ServerProcess
    telnyx: StandaloneTelnyx
    folder: Path
    _owners: dict[str, Owner] = field(default_factory=dict)
    _clients: list[httpx.Client] = field(default_factory=list)

    def owner(self, owner_id: str = "acme") -> Owner:
        """An app with a `read`, `write` token; the same one each time."""
        if owner_id not in self._owners:
            answer = self.admin().post("/api/tokens", {"user_id": owner_id})
            assert answer.status_code == 201, answer.text
            self._owners[owner_id] = self.user_of(answer.json()["token"])
        return self._owners[owner_id]

    def admin(self) -> Owner:
        if "admin" not in self._owners:
            self._owners["admin"] = self.user_of(self._issue_admin_token())
        return self._owners["admin"]

    def _issue_admin_token(self) -> str:
        """What `flask tokens create` prints, without the second and a half that a process of its own takes."""
        app = create_app(load_settings(self.server.environment, None, root=self.folder))
        try:
            return issue_token(app, "admin", owner_id="admin")
        finally:
            app.extensions["letstalk_background_work"].close()

    def user_of(self, token: str) -> Owner:
        """A client that holds `token`."""
        http = self.server.client(token)
        self._clients.append(http)
        return Owner(http, token)

    def payloads(self, phone: str) -> list[str]:
        """What the phone has heard, over all its calls, oldest first."""
        return [payload for call in self.telnyx.state()["calls"] if call["to"] == phone for payload in call["heard"]]

    def code(self, phone: str, nth: int = 1, seconds: float = PATIENCE_SECONDS) -> str:
        """The code that the phone heard when something was spoken to it for the `nth` time."""
        heard = eventually(
            lambda: [*self.payloads(phone), *[""] * nth][nth - 1], f"{phone} did not hear payload {nth}", seconds
        )
        return heard_code(heard)

    def close(self) -> None:
        for http in self._clients:
            http.close()
        self.database.close()

    def let_pass(self, seconds: int) -> None:
        """Let it seem to every verification that it was made, and last spoken for, that much earlier."""
        passed = timedelta(seconds=seconds)
        with self.database.write() as connection:
            for row in connection.execute(verifications.select()).all():
                earlier = {"created_at": row.created_at - passed, "last_spoken_for_at": row.last_spoken_for_at - passed}
                this_one = verifications.c.verification_id == row.verification_id
                connection.execute(update(verifications).where(this_one).values(earlier))

    @cached_property
    def stranger(self) -> httpx.Client:
        """A client without a token."""
        http = httpx.Client(base_url=self.server.base, verify=NO_AUTHORITIES, timeout=30)
        self._clients.append(http)
        return http

    def metric(self, name: str) -> float:
        lines = self.stranger.get("/metrics").text.splitlines()
        return float(next(line.split()[1] for line in lines if line.split()[0] == name))

    @cached_property
    def database(self) -> Database:
        """The server's, looked into beside it."""
        return Database(self.server.environment["DATABASE_URL"])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the database. A `%` wants to be doubled."""
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]


@contextmanager
def installed(
    folder: Path, *, database_url: str | None = None, telnyx: dict[str, Any] | None = None, **settings: str
) -> Iterator[Installation]:
    """The service and a Telnyx of its own, both running. Whatever it did, Telnyx must have understood it all.

    Without `database_url` it has an SQLite file in `folder`, as one process has by default.
    """
    database = {} if database_url is None else {"DATABASE_URL": database_url}
    with StandaloneTelnyx(**{"speed": 20, **(telnyx or {})}) as stand_in:
        stand_in.configure(least_limit_seconds=LEAST_LIMIT_SECONDS)
        server = ServerProcess(folder, **{**NO_PHONE_LIMITS, **stand_in.environment, **database, **settings})
        server.environment["PUBLIC_URL"] = server.base
        installation = Installation(server, stand_in, folder)
        with server, closing(installation):
            yield installation
        assert stand_in.state()["violations"] == []
