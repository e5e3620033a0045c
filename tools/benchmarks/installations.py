"""An installation of ours to measure: its settings, its database, what is stored in it before the server starts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, update

from letstalk.calls.models import CallStatus, Spoken
from letstalk.calls.repository import calls
from letstalk.config.settings import load_settings
from letstalk.core.clock import utc_now
from letstalk.core.ids import new_id
from letstalk.db.crypto import Vault, generate_key
from letstalk.db.database import Database
from letstalk.verifications.codes import digest_code
from letstalk.verifications.models import MAX_TTL_SECONDS, VerificationStatus
from letstalk.verifications.repository import verifications
from letstalk.wiring import create_app
from tests.support.apps import issue_token, services_of

USER_ID = "acme"
# Raised, not switched off: every request is still counted against them.
OUT_OF_REACH = "100000000 per minute"
ROWS_AT_ONCE = 2_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verification that awaits its code, and the code."""

    verification_id: str
    phone: str
    code: str


@dataclass
class Installation:
    """Build one, prepare what it should hold, then start servers with `environment`. Everything is switched on."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            "FLASK_ENV": "production",
            "SECRET_KEY": "a secret key for this measurement only",
            "DASHBOARD_PASSWORD": "correct horse battery staple",
            "ENCRYPTION_KEYS": generate_key(),
            "DATABASE_URL": f"sqlite:///{self.folder}/letstalk.db",
            "SQLITE_SYNCHRONOUS": "NORMAL",
            "TELEPHONY_PROVIDER": "simulator",
            "SIMULATOR_SPEED": "1000",
            "MAX_CONCURRENT_CALLS": "1",
            "RATE_LIMIT_TOKEN": OUT_OF_REACH,
            "RATE_LIMIT_ADDRESS": OUT_OF_REACH,
            "HOST": "127.0.0.1",
            **self.settings,
        }
        # With the settings of the server, so that what it stores is what the server would have stored.
        read = {"PUBLIC_URL": "http://127.0.0.1:1", **self.environment}
        self._app: Flask = create_app(load_settings(read, None, root=self.folder))
        self.db: Database = self._app.extensions["letstalk_db"]
        self.vault = Vault((self.environment["ENCRYPTION_KEYS"],))
        self.token = issue_token(self._app, user_id=USER_ID)

    @property
    def authorization(self) -> str:
        """The header's line."""
        return f"Authorization: Bearer {self.token}\r\n"

    def await_codes(self, phones: Iterator[str], count: int) -> list[Prepared]:
        """Store `count` verifications whose calls have read their codes to somebody."""
        return self._store(phones, count, _read_call)

    def queue_calls(self, phones: Iterator[str], count: int) -> list[Prepared]:
        """Store `count` verifications whose calls wait to be placed."""
        return self._store(phones, count, _waiting_call)

    def end_everything(self) -> None:
        """Leave nothing pending or waiting, for the next measurement on the same database."""
        with self.db.write() as connection:
            over = {"status": VerificationStatus.CANCELED.value, "speech_sealed": None}
            pending = verifications.c.status == VerificationStatus.PENDING.value
            connection.execute(update(verifications).where(pending).values(over))
            ended = {"status": CallStatus.CANCELED.value, "ended_at": utc_now(), "holds_channel": False}
            connection.execute(update(calls).where(calls.c.ended_at.is_(None)).values(ended))

    def close(self) -> None:
        self.db.close()

    def _store(self, phones: Iterator[str], count: int, call_of: Callable[[Row], Row]) -> list[Prepared]:
        key_id, key = services_of(self._app).keys.current()
        now = utc_now()
        made: list[Prepared] = []
        while len(made) < count:
            some = list(islice(phones, min(ROWS_AT_ONCE, count - len(made))))
            prepared = [Prepared(new_id(now), phone, _code(len(made) + n)) for n, phone in enumerate(some)]
            rows = [self._verification(one, key_id, key, now) for one in prepared]
            queued = [call_of({**_call(row), "turn": len(made) + n}) for n, row in enumerate(rows)]
            with self.db.write() as connection:
                connection.execute(insert(verifications), rows)
                connection.execute(insert(calls), queued)
            made += prepared
        return made

    def _verification(self, one: Prepared, key_id: str, key: bytes, now: datetime) -> Row:
        return {
            "verification_id": one.verification_id,
            "user_id": USER_ID,
            "phone": one.phone,
            "status": VerificationStatus.PENDING.value,
            "created_at": now,
            "expires_at": now + timedelta(seconds=MAX_TTL_SECONDS),
            "last_spoken_for_at": now,
            "attempts_used": 0,
            "replays_used": 0,
            "code_digest": digest_code(key, one.verification_id, one.code),
            "digest_key_id": key_id,
            "speech_sealed": self.vault.encrypt(json.dumps({"code": one.code, "message": None}).encode()),
        }


def _code(number: int) -> str:
    return f"{number * 7919 % 10**6:06d}"


def _call(verification: Row) -> Row:
    shared = {name: verification[name] for name in ("verification_id", "user_id", "phone", "created_at")}
    counts = ("dial_round", "dial_attempts", "repeats", "command_seq", "command_attempts")
    return {
        **shared,
        **dict.fromkeys(counts, 0),
        "call_id": new_id(verification["created_at"]),
        "not_before": verification["created_at"],
        "holds_channel": False,
        "is_uncertain": False,
    }


def _waiting_call(call: Row) -> Row:
    return {**call, "status": CallStatus.QUEUED.value, "spoken": Spoken.NOTHING.value}


def _read_call(call: Row) -> Row:
    moment = call["created_at"]
    return {
        **call,
        "status": CallStatus.COMPLETED.value,
        "started_at": moment,
        "answered_at": moment,
        "ended_at": moment,
        "spoken": Spoken.CODE.value,
        "provider_call_id": str(uuid.uuid4()),
        "duration_seconds": 0.02,
    }


def phones(prefix: str) -> Iterator[str]:
    """Numbers that can be called, no two alike, none of those that the simulator treats in a special way.

    `prefix` is 70, 75, 77 or 78.
    """
    for number in range(10**7):
        if number % 10**4 // 100 != 99:
            yield f"+256{prefix}{number:07d}"
