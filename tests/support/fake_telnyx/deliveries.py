"""Delivers webhooks: signed, and as the test asks repeated, delayed, out of order or lost. Retries them."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letstalk.telephony.simulator.timers import Timers

# What Telnyx does for an event without a retry policy: it retries after about half a second.
_DEFAULT_RETRIES_MS = (500, 500)


@dataclass
class Habits:
    """How reliably webhooks are delivered."""

    repeat: int = 1  # copies sent at the same time, with the same event id
    shuffle_seconds: float = 0.0  # each is delayed by a random time up to this (real time)
    answer_seconds: float = 2.0  # a response that takes longer counts as none
    retry_speed: float = 1.0  # divides the delays of the retry policy
    drops: Counter[str] = field(default_factory=Counter)  # how many more of an event type are never delivered


class Deliveries:
    """Sends events from threads of its own. `log` has one entry for each attempt."""

    def __init__(self, signing_key: Ed25519PrivateKey, habits: Habits) -> None:
        self._signing_key = signing_key
        self._habits = habits
        self._timers = Timers("fake-telnyx-webhooks")
        self._senders = ThreadPoolExecutor(max_workers=16, thread_name_prefix="fake-telnyx-sender")
        self._guard = threading.Lock()
        self._stopped = False
        self.log: list[dict[str, Any]] = []
        self.unanswered: dict[str, str] = {}  # the types of events without a response, by event id

    def send(self, url: str, data: dict[str, Any], retries_ms: Sequence[int] | None) -> None:
        delays_seconds = [delay / 1000 / self._habits.retry_speed for delay in retries_ms or _DEFAULT_RETRIES_MS]
        with self._guard:
            if self._habits.drops[data["event_type"]] > 0:
                self._habits.drops[data["event_type"]] -= 1
                return
            self.unanswered[data["id"]] = data["event_type"]
        for _ in range(self._habits.repeat):
            hold_seconds = random.uniform(0, self._habits.shuffle_seconds)  # noqa: S311  # not a secret
            self._later(hold_seconds, url, data, delays_seconds, 1)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        """The status of the response, or None if none came in time."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=self._habits.answer_seconds)
        try:
            connection.request("POST", parts.path, body, {"Content-Type": "application/json", **headers})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def sign(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """The signature headers for `body`, as of now or of `timestamp` (seconds since the epoch)."""
        signed_at = str(int(time.time()) if timestamp is None else timestamp)
        signature = self._signing_key.sign(signed_at.encode() + b"|" + body)
        return {"telnyx-signature-ed25519": base64.b64encode(signature).decode(), "telnyx-timestamp": signed_at}

    def stop(self) -> None:
        self._stopped = True
        self._timers.stop()
        self._senders.shutdown(wait=True, cancel_futures=True)

    def _later(self, seconds: float, url: str, data: dict[str, Any], delays: list[float], attempt: int) -> None:
        def hand_over() -> None:
            if not self._stopped:
                self._senders.submit(self._attempt, url, data, delays, attempt)

        self._timers.after(seconds, hand_over)

    def _attempt(self, url: str, data: dict[str, Any], delays: list[float], attempt: int) -> None:
        body = json.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": url}}).encode()
        started = time.perf_counter()
        status = self.post(url, body, self.sign(body))
        taken_seconds = time.perf_counter() - started
        answered = status is not None and 200 <= status < 300
        with self._guard:
            self.log.append(
                {
                    "event_type": data["event_type"],
                    "event_id": data["id"],
                    "attempt": attempt,
                    "status": status,
                    "seconds": taken_seconds,
                }
            )
            if answered:
                self.unanswered.pop(data["id"], None)
        if not answered and delays:
            self._later(delays[0], url, data, delays[1:], attempt + 1)
