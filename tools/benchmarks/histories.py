"""A past to measure with: verifications that are over, their calls, and other owners' tokens."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Table, insert

from letstalk.calls.models import CallStatus, Spoken
from letstalk.calls.repository import call_events, calls
from letstalk.core.clock import utc_now
from letstalk.core.ids import new_id
from letstalk.db.crypto import Vault
from letstalk.tokens.models import generate_token
from letstalk.tokens.repository import tokens
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import verifications
from tools.benchmarks.installations import USER_ID, Installation, Row

ROWS_AT_ONCE = 10_000
CACHE_KIB = 512 * 1024
OWNERS = 1_000
OWN_SHARE = 0.2  # of the owner who asks
VERIFICATIONS_PER_PHONE = 4
EVENTS = ("initiated", "answered", "human", "completed")
CALL_SECONDS = 0.02  # at the speed of the simulator that is measured: the length of the queue goes by it
# Older than what the limits look at, younger than what is deleted.
YOUNGEST_DAYS, OLDEST_DAYS = 2.0, 80.0


def store_history(installation: Installation, numbers: Iterator[str], rows: int, token_rows: int) -> None:
    """`rows` verifications of the past days with a call each, and `token_rows` tokens."""
    chance = random.Random(4)  # noqa: S311  # the same past each time
    now = utc_now()
    others = (_token(installation.vault, now, number) for number in range(token_rows))
    while some := list(islice(others, ROWS_AT_ONCE)):
        _insert(installation, tokens, some)
    past = _verifications(numbers, now, chance)
    for stored in range(0, rows, ROWS_AT_ONCE):
        some = list(islice(past, min(ROWS_AT_ONCE, rows - stored)))
        placed = [_call(one) for one in some]
        _insert(installation, verifications, some)
        _insert(installation, calls, placed)
        _insert(installation, call_events, (event for one in placed for event in _events(one)))


def _insert(installation: Installation, table: Table, rows: Iterable[Row]) -> None:
    with installation.db.write() as connection:
        if installation.db.is_sqlite:
            # Keys are random: without room for the indexes, each row would be a page to read and write.
            connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(insert(table), list(rows))


def _verifications(numbers: Iterator[str], now: datetime, chance: random.Random) -> Iterator[Row]:
    for phone in numbers:
        owner = USER_ID if chance.random() < OWN_SHARE else f"owner-{chance.randrange(OWNERS)}"
        for _ in range(VERIFICATIONS_PER_PHONE):
            begun = now - timedelta(days=chance.uniform(YOUNGEST_DAYS, OLDEST_DAYS))
            approved = chance.random() < 0.8
            yield {
                "verification_id": new_id(begun),
                "user_id": owner,
                "phone": phone,
                "status": (VerificationStatus.APPROVED if approved else VerificationStatus.EXPIRED).value,
                "created_at": begun,
                "expires_at": begun + timedelta(minutes=5),
                "last_spoken_for_at": begun,
                "attempts_used": int(approved),
                "replays_used": 0,
                "code_digest": f"{chance.getrandbits(256):064x}",
                "digest_key_id": "of a key of the past",
                "approved_at": begun + timedelta(seconds=20) if approved else None,
            }


def _call(verification: Row) -> Row:
    begun = verification["created_at"]
    shared = {name: verification[name] for name in ("verification_id", "user_id", "phone", "created_at")}
    counts = ("turn", "dial_round", "dial_attempts", "repeats", "command_seq", "command_attempts")
    return {
        **shared,
        **dict.fromkeys(counts, 1),
        "call_id": new_id(begun),
        "status": CallStatus.COMPLETED.value,
        "reason": "The code was read.",
        "not_before": begun,
        "started_at": begun,
        "first_dial_at": begun,
        "answered_at": begun,
        "ended_at": begun + timedelta(seconds=CALL_SECONDS),
        "duration_seconds": CALL_SECONDS,
        "holds_channel": False,
        "is_uncertain": False,
        "spoken": Spoken.CODE.value,
        "provider_call_id": str(uuid.uuid4()),
    }


def _events(call: Row) -> Iterator[Row]:
    for seconds, type_ in enumerate(EVENTS):
        yield {"call_id": call["call_id"], "at": call["created_at"] + timedelta(seconds=seconds), "type": type_}


def _token(vault: Vault, now: datetime, number: int) -> Row:
    secret = generate_token()
    return {
        "token_id": str(uuid.uuid4()),
        "lookup_id": secret.lookup_id,
        "secret_hash_encrypted": vault.encrypt(secret.secret_hash),
        "user_id": f"owner-{number % OWNERS}",
        "name": f"token {number}",
        "scopes": json.dumps(["read", "write"]),
        "allowed_ips": "[]",
        "created_at": now - timedelta(days=OLDEST_DAYS),
    }
