"""A few people who each request a code, hear it, and send it back."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.fake_telnyx import StandaloneTelnyx
from tools.reliability.heard_codes import HeardCodes
from tools.reliability.verdicts import TERMINAL, Promise

ANSWER_SECONDS = 20.0
# The least length of a call in which nothing is said. The 90 s of tests/flows are longer than the waits here.
LEAST_LIMIT_SECONDS = 30.0


@dataclass
class Callee:
    """One person. `http` sends requests as an owner; `asked_at` and `heard_at` are seconds of the monotonic clock."""

    http: httpx.Client
    phone: str
    verification_id: str = ""
    asked_at: float = 0.0
    heard_at: float = 0.0

    def send(self, **fields: Any) -> httpx.Response:
        self.asked_at = time.monotonic()
        answer = self.http.post("/calls/otp", json={"phone": self.phone, **fields})
        if answer.status_code == 202:
            self.verification_id = answer.json()["verification_id"]
        return answer

    def verify(self, code: str) -> httpx.Response:
        return self.http.post("/calls/verify", json={"verification_id": self.verification_id, "code": code})

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/calls/{self.verification_id}").json()
        return found


@dataclass
class Callees:
    """The people of one run. Whatever they find wrong is added to `promise`."""

    telnyx: StandaloneTelnyx
    promise: Promise
    channels: int
    people: list[Callee] = field(default_factory=list)

    def ask(self, clients: list[httpx.Client], count: int, **fields: Any) -> list[Callee]:
        """`count` more people request a code at the same time. Each request must be accepted."""
        first = len(self.people)
        new = [Callee(clients[n % len(clients)], f"+25670010{first + n:04}") for n in range(count)]
        with ThreadPoolExecutor(count) as pool:
            for answer in pool.map(lambda person: person.send(**fields), new):
                if answer.status_code != 202:
                    self.promise.breaches.append(f"a send was answered {answer.status_code} {answer.text[:200]}")
        self.people += new
        return [person for person in new if person.verification_id]

    def listen_and_type(self, people: list[Callee], seconds: float = 60.0) -> None:
        """Each hears a code within `seconds`, and the code is accepted exactly once."""
        heard_codes = HeardCodes(self.telnyx)
        heard_codes.start()
        deadline = time.monotonic() + seconds

        def hear(person: Callee) -> str | None:
            code = heard_codes.next_code(person.phone, 0, max(0.1, deadline - time.monotonic()))
            person.heard_at = time.monotonic()
            return code

        with ThreadPoolExecutor(len(people) or 1) as pool:
            codes = list(pool.map(hear, people))
        heard_codes.stop()
        for person, code in zip(people, codes, strict=True):
            if code is None:
                self.promise.breaches.append(f"{person.phone} heard no code: {person.look()['calls'][-1]}")
                continue
            statuses = [person.verify(code).status_code for _ in range(2)]
            if statuses != [200, 410]:
                self.promise.breaches.append(f"the right code, typed twice, was answered {statuses}")

    def wait_until_ended(self, seconds: float = 60.0) -> None:
        """Wait until every call has ended. None was placed twice, and at most `channels` were live."""
        deadline = time.monotonic() + seconds
        for person in self.people:
            if not person.verification_id:
                continue
            while any(call["status"] not in TERMINAL for call in person.look()["calls"]):
                if time.monotonic() > deadline:
                    self.promise.breaches.append(f"{person.phone} has not ended: {person.look()['calls'][-1]}")
                    break
                time.sleep(0.1)
        state = self.telnyx.state()
        for phone, count in Counter(call["to"] for call in state["calls"]).items():
            if count > 1:
                self.promise.breaches.append(f"{phone} was called {count} times")
        if state["max_live"] > self.channels or state["max_live_per_phone"] > 1:
            self.promise.breaches.append(f"{state['max_live']} were live, {state['max_live_per_phone']} to one phone")
        self.promise.breaches += state["violations"]

    def waits(self) -> str:
        """How long it took from the request to the code, as text."""
        seconds = [person.heard_at - person.asked_at for person in self.people if person.heard_at]
        if not seconds:
            return "no code was heard"
        return f"{len(seconds)} codes heard, {min(seconds):.1f} to {max(seconds):.1f} s after the request"
