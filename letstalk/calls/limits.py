"""How many calls are accepted: to one phone, by one owner, and as many as can be heard in time.

Whatever has a phone called passes here, in the transaction that accepts the call, so that two requests at once can't
both pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from letstalk.calls import repository as calls
from letstalk.calls.queue import MeanCall, QueueLength
from letstalk.calls.scheduling import ASSUMED_CALL_SECONDS, estimate_wait_seconds, is_queue_full, most_ahead
from letstalk.core.actors import Actor
from letstalk.core.errors import TooManyRequests, Unavailable
from letstalk.core.rates import Rate


class CallCounter(Protocol):
    """Counts accepted calls by where they go."""

    def count_call(
        self,
        connection: Connection,
        actor: Actor,
        phone: str,
        country: str,
        now: datetime,
        *,
        is_send: bool,
        is_proven: bool = False,
    ) -> None:
        """Count one call to a canonical number. `is_send`: its code is new. Raises TooManyRequests for one too many."""


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """The settings about how often a phone may be called. `simulator_speed` is 1 for real calls."""

    owner_rates: tuple[Rate, ...]
    phone_rates: tuple[Rate, ...]
    channels: int
    simulator_speed: float = 1.0


class CallLimits:
    def __init__(self, policy: LimitPolicy, counter: CallCounter | None = None) -> None:
        """Without a `counter`, calls are not counted by where they go."""
        self._policy = policy
        self._counter = counter
        rates = (*policy.owner_rates, *policy.phone_rates)
        self.longest_window = timedelta(seconds=max((rate.window_seconds for rate in rates), default=0))
        # With fewer calls than the lowest limit, no limit can be reached.
        self.fewest_to_look_at = min((rate.amount for rate in rates), default=1)
        self._queue_length = QueueLength()
        self._mean_call = MeanCall(assumed_seconds=ASSUMED_CALL_SECONDS / policy.simulator_speed)

    def ensure_phone_rates(
        self, connection: Connection, owner_id: str, phone: str, now: datetime, *, is_proven: bool = False
    ) -> None:
        """Raises TooManyRequests `phone_limit` where the phone was called too often by the owner, or by all owners.

        With `is_proven`, the phone was proven to the owner: calls by other owners do not count.
        """
        accepted = calls.list_accepted(connection, phone, now - self.longest_window)
        if not is_proven:
            ensure_phone_rates(self._policy.phone_rates, [accepted_at for accepted_at, _ in accepted], now)
        own = [accepted_at for accepted_at, owner in accepted if owner == owner_id]
        ensure_phone_rates(self._policy.owner_rates, own, now)

    def ensure_not_full(self, connection: Connection, turn: int, ttl_seconds: int) -> None:
        """Raises Unavailable `queue_full` when a call with this turn would be heard too late."""
        channels = self._policy.channels
        mean_seconds = self._mean_call.measure_seconds(connection)
        ahead = self._queue_length.count(connection, turn, most_ahead(channels, mean_seconds, ttl_seconds))
        if is_queue_full(ahead, channels, mean_seconds, ttl_seconds):
            wait_seconds = estimate_wait_seconds(ahead, channels, mean_seconds)
            raise Unavailable(
                "Too many calls wait: the code would expire before it is heard.",
                code="queue_full",
                retry_after_seconds=max(1, min(60, int(wait_seconds))),
            )

    def count_call(
        self,
        connection: Connection,
        actor: Actor,
        phone: str,
        country: str,
        now: datetime,
        *,
        is_send: bool,
        is_proven: bool = False,
    ) -> None:
        """Count an accepted call, last in its transaction: on PostgreSQL the owner's other calls wait for its commit.

        Raises TooManyRequests `destination_limit`.
        """
        if self._counter is not None:
            self._counter.count_call(connection, actor, phone, country, now, is_send=is_send, is_proven=is_proven)


def ensure_phone_rates(
    rates: tuple[Rate, ...],
    accepted_at: list[datetime],
    now: datetime,
    sentence: str = "This phone was called too often. Wait before asking again.",
) -> None:
    """Raises TooManyRequests `phone_limit` when one more call would exceed one of `rates`.

    `accepted_at`: when the calls that count were accepted, newest first. The text is the same for an owner's own limit
    and for the limit over all owners: a response must not show that somebody else calls this phone.
    """
    for rate in rates:
        window = timedelta(seconds=rate.window_seconds)
        recent = [at for at in accepted_at if at > now - window]
        if len(recent) >= rate.amount:
            wait = recent[rate.amount - 1] + window - now
            wait_seconds = max(1, math.ceil(wait.total_seconds()))
            raise TooManyRequests(sentence, code="phone_limit", retry_after_seconds=wait_seconds)
