"""Idempotency keys: the first answer again for the same request, a refusal for another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.core.errors import IdempotencyKeyReused, InvalidRequest
from letstalk.db.database import Database
from letstalk.http import idempotency_repository as storage

KEPT_FOR = timedelta(hours=24)
MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes two requests the same: `path`, the client's `key`, and a digest of the body as parsed JSON."""

    path: str
    key: str
    body_hash: str


def read_idempotency_key(path: str, key: str | None, body: Mapping[str, Any]) -> IdempotencyKey | None:
    """The key of a request, None when it carries none.

    Raises InvalidRequest for one that is not 1 to 255 printable ASCII characters.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not all(" " <= character <= "~" for character in key):
        raise InvalidRequest.in_field(
            "Idempotency-Key", "The Idempotency-Key must be 1 to 255 printable ASCII characters."
        )
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(path, key, hashlib.sha256(canonical.encode()).hexdigest())


def find_first_answer(
    db: Database, connection: Connection, user_id: str, wanted: IdempotencyKey | None, now: datetime
) -> dict[str, Any] | None:
    """The answer that this request got the first time, None the first time.

    Until the transaction ends, no other request with the same key gets further than this. Raises
    IdempotencyKeyReused when the body is another one.
    """
    if wanted is None:
        return None
    db.lock(connection, "idempotency", f"{user_id}\0{wanted.path}\0{wanted.key}")
    first = storage.find_first_answer(connection, user_id, wanted.path, wanted.key, now - KEPT_FOR)
    if first is None:
        return None
    if first.body_hash != wanted.body_hash:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body.")
    answer: dict[str, Any] = json.loads(first.answer)
    return answer


def keep_first_answer(
    connection: Connection, user_id: str, wanted: IdempotencyKey, answer: Mapping[str, Any], now: datetime
) -> None:
    first = storage.FirstAnswer(wanted.body_hash, json.dumps(answer))
    storage.insert_first_answer(connection, user_id, wanted.path, wanted.key, first, now)
