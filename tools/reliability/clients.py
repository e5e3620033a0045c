"""A good client: it repeats what it got no answer to, with the same Idempotency-Key, and asks another server next."""

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
    """What came at last. `was_uncertain` when an earlier try may have been carried out without our hearing of it."""

    status: int
    body: dict[str, Any]
    was_uncertain: bool
    at: float

    @property
    def code(self) -> str:
        return str(self.body.get("code", ""))


@dataclass(frozen=True)
class Broken:
    """A try that ended without an answer: which server, between which moments (since the epoch), and how."""

    server: int
    since: float
    until: float
    error: str


@dataclass
class Record:
    """Every answer of every client, counted, and whatever no client should ever see."""

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
    """Asks any of several servers, as one owner. Threads may share it."""

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
        """The answer to a request, tried until one comes that is not "later"; None after `RETRY_SECONDS`.

        `server` is the one to ask first, by its number; -1 for any.
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
                # What a database was doing when it went away is known to nobody: it may have been done.
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
        """One try at one server; None when the connection broke."""
        started = time.time()
        headers = {} if key is None else {"Idempotency-Key": key}
        what = f"{method} {path}" if path in KNOWN_PATHS else f"{method} {path[: path.index('/', 1)]}/…"
        try:
            answer = self._http.request(method, self._bases[number] + path, json=body, headers=headers)
        except httpx.TransportError as error:
            self._record.note_broken(Broken(number, started, time.time(), f"{what}: {type(error).__name__}"))
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
