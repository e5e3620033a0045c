"""The service as a process in production, the Telnyx that it calls phones through, and the owners who use it."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.apps import ServerProcess, code_in
from tests.fake_telnyx import StandaloneTelnyx

Found = TypeVar("Found")

PATIENCE_SECONDS = 30.0  # for what takes a second or two, on a machine that has other things to do
NO_PHONE_LIMITS = dict.fromkeys(("RATE_LIMIT_PHONE", "RATE_LIMIT_PHONE_ALL"), "off")


def eventually(find: Callable[[], Found], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """The first thing found that is true. Fails after `seconds`, with `what` and what was found last."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what}: {found!r} after {seconds} s"
        time.sleep(0.02)
    return found


def heard_code(payload: str) -> str:
    """The code in a payload as a listener hears it: its digits, without the tags between them."""
    return code_in(re.sub(r"<[^>]*>", "", payload))


def holds_code(payload: str) -> bool:
    return re.search(r"\d", re.sub(r"<[^>]*>", "", payload)) is not None


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

    def owner(self, user_id: str = "acme") -> Owner:
        """An app with a `read`, `write` token; the same one each time."""
        if user_id not in self._owners:
            answer = self.admin().post("/api/tokens", {"user_id": user_id})
            assert answer.status_code == 201, answer.text
            self._owners[user_id] = self.user_of(answer.json()["token"])
        return self._owners[user_id]

    def admin(self) -> Owner:
        if "admin" not in self._owners:
            self._owners["admin"] = self.user_of(self.server.issue_token("admin", user_id="admin"))
        return self._owners["admin"]

    def user_of(self, token: str) -> Owner:
        """Whoever holds `token`."""
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

    def let_pass(self, seconds: int) -> None:
        """Let it seem to every verification that it was made, and last spoken for, that much earlier."""
        for column in ("created_at", "last_spoken_for_at"):
            earlier = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{seconds} seconds')"
            self.query(f"UPDATE verifications SET {column} = {earlier}")  # noqa: S608  # our own words

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.server.base}/metrics", timeout=10).text.splitlines()
        return float(next(line.split()[1] for line in lines if line.split()[0] == name))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the SQLite file, read beside the server."""
        connection = sqlite3.connect(self.folder / "letstalk.db", timeout=10)
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()


@contextmanager
def installed(folder: Path, *, telnyx: dict[str, Any] | None = None, **settings: str) -> Iterator[Installation]:
    """The service and a Telnyx of its own, both running. Whatever it did, Telnyx must have understood it all."""
    with StandaloneTelnyx(**{"speed": 20, **(telnyx or {})}) as stand_in:
        server = ServerProcess(folder, **{**NO_PHONE_LIMITS, **stand_in.environment, **settings})
        server.environment["PUBLIC_URL"] = server.base
        installation = Installation(server, stand_in, folder)
        with server, closing(installation):
            yield installation
        assert stand_in.state()["violations"] == []
