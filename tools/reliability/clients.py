"""A client that retries as it should: at the next server, with the same Idempotency-Key, until it gets a response."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

ANSWER_SECONDS = 15.0
RETRY_SECONDS = 90.0
DESCRIBED_503 = ("not_ready", "queue_full")


@dataclass(frozen=True)
class Answer:
    """The last response. `was_uncertain` if an earlier try may have been carried out although its response was lost."""

    status: int
    body: dict[str, Any]
    was_uncertain: bool
    at: float

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


@dataclass(frozen=True)
class Broken:
    """A try without a response: at which server, between which moments (seconds since the epoch), and the error.

    `was_connected` says whether the connection had been made, so that the server may have accepted the request.
    """

    server: int
    since: float
    until: float
    error: str
    was_connected: bool = True


@dataclass
class Record:
    """Of all clients: the number of each response, the tries without one, and responses that are not documented."""

    answers: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    undescribed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def note_answer(self, what: str, answer: httpx.Response, body: dict[str, Any]) -> None:
        code = str(body.get("code", ""))
        with self._guard:
            self.answers[what, answer.status_code, code] += 1
            self.seconds.append(answer.elapsed.total_seconds())
            is_described = answer.status_code < 500 or (answer.status_code == 503 and code in DESCRIBED_503)
            if not is_described or (answer.status_code == 503 and "Retry-After" not in answer.headers):
                self.undescribed.append(f"{what}: {answer.status_code} {answer.text[:200].strip()}")

    def note_broken(self, broken: Broken) -> None:
        with self._guard:
            self.broken.append(broken)


class Client:
    """Sends requests to several servers as one owner. Threads may share it."""

    def __init__(self, bases: list[str], token: str, record: Record) -> None:
        self._bases = bases
        self._record = record
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=ANSWER_SECONDS, limits=limits, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None, server: int = -1
    ) -> Answer | None:
        """The first response that does not say "try again later"; None after `RETRY_SECONDS`.

        `server` is the number of the first server to try; -1 for any.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        number = random.randrange(len(self._bases)) if server < 0 else server
        was_uncertain = False
        while time.monotonic() < deadline:
            answer = self.try_once(number, method, path, body, key=key)
            if answer is None:
                was_uncertain = True
                pause_seconds = 0.1
            elif answer.status == 503 or answer.code == "idempotency_in_flight":
                # When a database goes down, nobody knows whether its last transaction was committed.
                was_uncertain = was_uncertain or answer.code == "not_ready"
                pause_seconds = 0.5
            else:
                return Answer(answer.status, answer.body, was_uncertain, answer.at)
            time.sleep(pause_seconds * random.uniform(1.0, 2.0))
            number = (number + 1) % len(self._bases)
        return None

    def try_once(
        self, number: int, method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None
    ) -> Answer | None:
        """The response of one try at one server; None if there was none."""
        started = time.time()
        headers = {} if key is None else {"Idempotency-Key": key}
        what = f"{method} {path}" if path in KNOWN_PATHS else f"{method} {path[: path.index('/', 1)]}/…"
        try:
            answer = self._http.request(method, self._bases[number] + path, json=body, headers=headers)
        except httpx.TransportError as error:
            was_connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            words = f"{what}: {type(error).__name__}"
            self._record.note_broken(Broken(number, started, time.time(), words, was_connected))
            return None
        parsed = _parsed(answer)
        self._record.note_answer(what, answer, parsed)
        return Answer(answer.status_code, parsed, False, time.time())


KNOWN_PATHS = frozenset(
    {"/calls", "/calls/otp", "/calls/verify", "/calls/replay", "/api/tokens", "/api/tokens/current"}
)


def _parsed(answer: httpx.Response) -> dict[str, Any]:
    try:
        parsed = answer.json()
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
