"""What needs attention among tokens, limits and the queue. Other features add their own: see `wiring_http`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from letstalk.core.actors import Actor
from letstalk.core.attention import Attention
from letstalk.core.clock import Clock
from letstalk.db.database import Database
from letstalk.http.timestamps import day_and_time, in_words, wait_in_words
from letstalk.statistics.repository import read_queue
from letstalk.tokens.models import Standing
from letstalk.tokens.repository import list_expiring, list_suspended
from letstalk.verifications.destinations import EVERYWHERE, DestinationLimits

EXPIRES_SOON = timedelta(days=14)
LONG_WAIT_SECONDS = 30
MOST_OF_A_KIND = 4
TOKENS_PATH = "/api/tokens/dashboard"


class OwnAttention:
    def __init__(self, db: Database, clock: Clock, destinations: DestinationLimits) -> None:
        self._db = db
        self._clock = clock
        self._destinations = destinations

    def list_all(self, actor: Actor) -> Sequence[Attention]:
        owner_ids = actor.visible_owners
        now = self._clock()
        with self._db.read() as connection:
            waiting = self._describe_queue(connection, owner_ids, now)
            suspended = self._describe_suspended(connection, owner_ids, now)
            tokens = self._describe_tokens(connection, owner_ids, now)
        return [*waiting, *self._describe_limits(owner_ids), *suspended, *tokens]

    def _describe_queue(
        self, connection: sa.Connection, owner_ids: frozenset[str] | None, now: datetime
    ) -> list[Attention]:
        queue = read_queue(connection, owner_ids)
        seconds = 0 if queue.waits_since is None else int((now - queue.waits_since).total_seconds())
        if seconds < LONG_WAIT_SECONDS:
            return []
        calls = "1 call waits" if queue.waiting == 1 else f"{queue.waiting:,} calls wait"
        return [
            Attention(
                f"{calls}, the first one for {wait_in_words(seconds)}.",
                "More calls at once (MAX_CONCURRENT_CALLS, and the provider's limit) shorten the wait.",
                "Verifications",
                "/dashboard/verifications",
                is_urgent=True,
            )
        ]

    def _describe_limits(self, owner_ids: frozenset[str] | None) -> list[Attention]:
        reached = self._destinations.list_reached(owner_ids)
        found = [
            Attention(
                f"New calls of {limit.owner_id} to {_in_words(limit.destination)} are refused until "
                f"{day_and_time(limit.until)}: {limit.limit}.",
                "Look at who asks for these calls. If they are real, raise the limit.",
                "Verifications",
                f"/dashboard/verifications?owner={limit.owner_id}",
                is_urgent=True,
            )
            for limit in reached[:MOST_OF_A_KIND]
        ]
        return found + _and_more(len(reached), "limits of calls are reached", "Tokens", TOKENS_PATH)

    def _describe_suspended(
        self, connection: sa.Connection, owner_ids: frozenset[str] | None, now: datetime
    ) -> list[Attention]:
        tokens = list_suspended(connection, owner_ids, now, limit=MOST_OF_A_KIND + 1)
        found = [
            Attention(
                f"The token {token.name or token.prefix} of {token.owner_id} is suspended: the account of "
                f"{token.maker_name} is disabled.",
                "If an app uses it, rotate it, or have the account enabled. Else revoke it.",
                "the token",
                f"/dashboard/tokens/{token.token_id}",
            )
            for token in tokens[:MOST_OF_A_KIND]
        ]
        path = f"{TOKENS_PATH}?standing={Standing.SUSPENDED.value}"
        return found + _and_more(len(tokens), "tokens are suspended", "Tokens", path)

    def _describe_tokens(
        self, connection: sa.Connection, owner_ids: frozenset[str] | None, now: datetime
    ) -> list[Attention]:
        tokens = list_expiring(connection, owner_ids, now, now + EXPIRES_SOON, limit=MOST_OF_A_KIND + 1)
        found = []
        for token in tokens[:MOST_OF_A_KIND]:
            left = in_words(int(((token.expires_at or now) - now).total_seconds()))
            found.append(
                Attention(
                    f"The token {token.name or token.prefix} of {token.owner_id} expires in {left}.",
                    "Create a new one and put it into your app, or give this one more time.",
                    "the token",
                    f"/dashboard/tokens/{token.token_id}",
                )
            )
        path = f"{TOKENS_PATH}?standing={Standing.EXPIRING.value}"
        return found + _and_more(len(tokens), "tokens expire within 14 days", "Tokens", path)


def _and_more(count: int, what: str, page: str, path: str) -> list[Attention]:
    if count <= MOST_OF_A_KIND:
        return []
    return [Attention(f"More {what}.", "Look at all of them.", page, path)]


def _in_words(destination: str) -> str:
    if destination == EVERYWHERE:
        return "any number"
    return f"{destination}…" if destination.startswith("+") else f"numbers in {destination}"
