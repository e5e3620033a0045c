"""What apps are told of tokens, with the token's record: it was created, rotated or revoked, or expires soon."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.events.repository import app_events
from letstalk.tokens.models import Token
from letstalk.tokens.repository import list_expiring, tokens
from letstalk.tokens.schemas import TokenResponse

TOLD_BEFORE = timedelta(days=7)
AT_ONCE = 100  # tokens in a transaction

# By the action of the audit trail.
TYPES = {
    "token.created": AppEventType.TOKEN_CREATED,
    "token.rotated": AppEventType.TOKEN_ROTATED,
    "token.revoked": AppEventType.TOKEN_REVOKED,
}


def record_token_event(connection: sa.Connection, type_: AppEventType, token: Token, now: datetime) -> None:
    """Record an event about `token` as it is now. Its record has no secret."""
    record = TokenResponse.of(token).model_dump()
    record_event(connection, NewEvent(type_, token.owner_id, subject_id=token.token_id, detail=record), now)


class ExpiryNotices:
    """Records an event for each token once when it expires within seven days, however often it runs or is killed.

    One that was given more time is told of again when that ends. A token that was rotated is meant to expire.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def record_expiring(self) -> int:
        """Returns for how many tokens an event was recorded."""
        count = 0
        while self._has_any() and (found := self._record_some()):
            count += found
        return count

    def _has_any(self) -> bool:
        with self._db.read() as connection:
            return bool(_list_untold(connection, self._clock(), limit=1))

    def _record_some(self) -> int:
        with self._db.write() as connection:
            self._db.lock(connection, "expiring tokens")
            now = self._clock()
            found = _list_untold(connection, now, limit=AT_ONCE)
            for token in found:
                record_token_event(connection, AppEventType.TOKEN_EXPIRING, token, now)
            return len(found)


def _list_untold(connection: sa.Connection, now: datetime, *, limit: int) -> list[Token]:
    was_told = sa.exists().where(
        app_events.c.subject_id == tokens.c.token_id,
        app_events.c.type == AppEventType.TOKEN_EXPIRING.value,
        app_events.c.created_at > now - TOLD_BEFORE,
    )
    return list_expiring(connection, None, now, now + TOLD_BEFORE, limit=limit, unless=was_told)
