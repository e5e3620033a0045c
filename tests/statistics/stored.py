"""Verifications with their calls, stored as they are once they are over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import insert

from letstalk.calls.repository import calls
from letstalk.core.ids import new_id
from letstalk.db.database import Database
from letstalk.verifications.repository import verifications

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
_numbers = count()


@dataclass(frozen=True, slots=True)
class Stored:
    """One verification: what became of it, and of its only call (`call_status` None: it has none)."""

    at: datetime
    status: str = "approved"
    call_status: str | None = "completed"
    owner_id: str = "acme"
    token_id: str | None = None
    country: str | None = "UG"
    ring_seconds: float | None = 2.0
    is_answered: bool = True
    is_heard: bool = True
    approval_seconds: float = 20.0
    is_test: bool = False


def approved(at: datetime, **values: Any) -> Stored:
    return Stored(at, **values)


def unanswered(at: datetime, **values: Any) -> Stored:
    given: dict[str, Any] = {"status": "expired", "call_status": "no_answer", "is_answered": False, "is_heard": False}
    return Stored(at, **(given | values))


def waiting(at: datetime, **values: Any) -> Stored:
    return unanswered(at, **({"status": "pending", "call_status": "queued", "ring_seconds": None} | values))


def not_entered(at: datetime, **values: Any) -> Stored:
    return Stored(at, status="expired", **values)


def store(db: Database, *everything: Stored) -> list[str]:
    """Store them. Returns their ids."""
    rows = [(_verification(one), one) for one in everything]
    with db.write() as connection:
        connection.execute(insert(verifications), [verification for verification, _ in rows])
        called = [_call(verification, one) for verification, one in rows if one.call_status is not None]
        if called:
            connection.execute(insert(calls), called)
    return [verification["verification_id"] for verification, _ in rows]


def store_call(db: Database, verification_id: str, one: Stored, *, after_seconds: float = 60.0) -> None:
    """Store one more call of a verification, as a replay places it."""
    verification = _verification(one) | {"verification_id": verification_id}
    later = replace(one, at=one.at + timedelta(seconds=after_seconds))
    with db.write() as connection:
        connection.execute(insert(calls), _call(verification | {"created_at": later.at}, later))


def _verification(one: Stored) -> dict[str, Any]:
    is_approved = one.status == "approved"
    return {
        "verification_id": new_id(one.at),
        "owner_id": one.owner_id,
        "phone": f"+25670{next(_numbers):07d}",
        "status": one.status,
        "created_at": one.at,
        "expires_at": one.at + timedelta(minutes=5),
        "last_spoken_for_at": one.at,
        "attempts_used": 0,
        "replays_used": 0,
        "code_digest": "0" * 64,
        "digest_key_id": "key",
        "speech_sealed": None,
        "approved_at": one.at + timedelta(seconds=one.approval_seconds) if is_approved else None,
        "token_id": one.token_id,
        "country": one.country,
        "is_test": one.is_test,
    }


def _call(verification: dict[str, Any], one: Stored) -> dict[str, Any]:
    rang_at = None if one.ring_seconds is None else one.at + timedelta(seconds=one.ring_seconds)
    is_over = one.call_status not in ("queued", "dialing", "ringing", "answered", "speaking")
    return {
        "call_id": new_id(one.at),
        "subject_id": verification["verification_id"],
        "owner_id": one.owner_id,
        "phone": verification["phone"],
        "speak_before": verification["expires_at"],
        "status": one.call_status,
        "created_at": verification["created_at"],
        "not_before": one.at,
        "turn": 0,
        "holds_channel": not is_over and one.call_status != "queued",
        "rang_at": rang_at,
        "answered_at": rang_at if one.is_answered else None,
        "heard_at": rang_at if one.is_heard else None,
        "ended_at": one.at + timedelta(minutes=1) if is_over else None,
    }
