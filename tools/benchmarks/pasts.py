"""Verifications that are over, with their calls, as an installation has them after a while: of several countries, in
different hands, and ended in every way. `rows.py` stores them.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, chain, count, islice, repeat
from typing import Any

from letstalk.core.ids import new_id

OWN_SHARE = 0.5  # of the past belongs to the owner who sends the requests
VERIFICATIONS_PER_PHONE = 4
TOKENS_PER_OWNER = 3
LIFETIME = timedelta(minutes=5)
# At the simulator's speed here; the service estimates the length of its queue from it.
CALL_SECONDS = 0.02

# What the numbers of a country begin with; six digits follow. The first has the most phones, those of the end have few.
COUNTRIES: tuple[tuple[str, str], ...] = (
    ("UG", "+256770"),
    ("DE", "+4915123"),
    ("GB", "+447400"),
    ("FR", "+33612"),
    ("IN", "+918123"),
    ("KE", "+254712"),
    ("ES", "+34612"),
    ("IT", "+393123"),
    ("NL", "+31612"),
    ("BE", "+32450"),
    ("AT", "+43664"),
    ("CH", "+41781"),
    ("SE", "+46701"),
    ("NO", "+4740"),
    ("FI", "+358412"),
    ("PL", "+48512"),
    ("PT", "+351912"),
    ("IE", "+353850"),
    ("CZ", "+420601"),
    ("GR", "+306912"),
    ("RO", "+40712"),
    ("HU", "+36201"),
    ("ZA", "+27711"),
    ("NG", "+2348021"),
    ("GH", "+233231"),
    ("TZ", "+255621"),
    ("RW", "+250720"),
    ("BR", "+5511961"),
    ("MX", "+522221"),
    ("AU", "+61412"),
)
RARE_COUNTRIES = ("BR", "MX", "AU")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """A way to end, with its share: the statuses, and how far the call came."""

    share: float
    status: str
    call_status: str
    rings: bool = True
    is_answered: bool = False
    is_heard: bool = False
    attempts: int = 0


ENDINGS = (
    Ending(0.78, "approved", "completed", is_answered=True, is_heard=True, attempts=1),
    Ending(0.05, "expired", "completed", is_answered=True, is_heard=True),
    Ending(0.06, "expired", "no_answer"),
    Ending(0.03, "expired", "machine", is_answered=True),
    Ending(0.02, "expired", "busy", rings=False),
    Ending(0.02, "expired", "rejected"),
    Ending(0.015, "failed", "failed", rings=False),
    Ending(0.01, "canceled", "canceled"),
    Ending(0.01, "superseded", "completed", is_answered=True, is_heard=True),
    Ending(0.005, "attempts_exceeded", "completed", is_answered=True, is_heard=True, attempts=5),
    Ending(0.0005, "expired", "unknown"),
)


@dataclass(frozen=True, slots=True)
class Past:
    """Whose verifications they are, and from when: between `oldest_days` and `youngest_days` before `now`.

    `tokens` has the ids of the tokens of each owner. `own` is the owner who has `OWN_SHARE` of them.
    """

    own: str
    owners: Sequence[str]
    tokens: Mapping[str, Sequence[str]]
    now: datetime
    youngest_days: float
    oldest_days: float

    def make(self, phones: Iterator[str], verifications: int) -> Iterator[tuple[Row, Row]]:
        """So many verifications, each with its call, oldest first: the same each time."""
        chance = random.Random(4)  # noqa: S311  # the same history each time
        shares = [ending.share for ending in ENDINGS]
        sizes = _shares_by_rank(len(self.owners))
        called = [
            (phone, self.own if chance.random() < OWN_SHARE else chance.choices(self.owners, cum_weights=sizes)[0])
            for phone in islice(phones, -(-verifications // VERIFICATIONS_PER_PHONE))
        ]
        days = self.oldest_days - self.youngest_days
        for number in range(verifications):
            age_days = self.oldest_days - days * (number + chance.random()) / verifications
            (ending,) = chance.choices(ENDINGS, shares)
            phone, owner = called[number % len(called)]
            yield self._make_one(owner, phone, self.now - timedelta(days=age_days), ending, chance)

    def _make_one(
        self, owner: str, phone: str, begun: datetime, ending: Ending, chance: random.Random
    ) -> tuple[Row, Row]:
        tokens = self.tokens.get(owner, ())
        rang_at = begun + timedelta(seconds=chance.lognormvariate(1.0, 0.5))
        answered_at = rang_at + timedelta(seconds=chance.lognormvariate(2.0, 0.4))
        heard_at = answered_at + timedelta(seconds=9)
        approved_at = heard_at + timedelta(seconds=chance.lognormvariate(1.5, 0.7))
        is_approved = ending.status == "approved"
        verification = {
            "verification_id": new_id(begun),
            "user_id": owner,
            "phone": phone,
            "status": ending.status,
            "created_at": begun,
            "expires_at": begun + LIFETIME,
            "last_spoken_for_at": begun,
            "attempts_used": ending.attempts,
            "replays_used": 0,
            "code_digest": f"{chance.getrandbits(256):064x}",
            "digest_key_id": "an older key",
            "approved_at": approved_at if is_approved else None,
            "ended_at": approved_at if is_approved else begun + LIFETIME,
            "token_id": chance.choice(tokens) if tokens else None,
            "country": country_of(phone),
            "is_test": False,
        }
        call = {
            **call_of(verification),
            "script_sealed": None,
            "status": ending.call_status,
            "reason": "The code was read." if ending.is_heard else "The call ended before the code was read.",
            "spoken": "code" if ending.is_heard else "nothing",
            "dial_round": 1,
            "dial_attempts": 1,
            "command_seq": 1,
            "started_at": begun,
            "first_dial_at": begun,
            "rang_at": rang_at if ending.rings else None,
            "answered_at": answered_at if ending.is_answered else None,
            "heard_at": heard_at if ending.is_heard else None,
            "ended_at": begun + timedelta(seconds=CALL_SECONDS),
            "duration_seconds": CALL_SECONDS,
            "provider_call_id": str(uuid.uuid4()),
        }
        return verification, call


def phones_of_countries() -> Iterator[str]:
    """Valid numbers of all `COUNTRIES`, all different, none of those that the simulator treats specially."""
    chance = random.Random(5)  # noqa: S311  # the same numbers each time
    sizes = _shares_by_rank(len(COUNTRIES))
    numbers = [(number for number in count() if number % 10**4 // 100 != 99) for _ in COUNTRIES]
    for place in chain(range(len(COUNTRIES)), repeat(None)):
        (chosen,) = chance.choices(range(len(COUNTRIES)), cum_weights=sizes) if place is None else (place,)
        yield f"{COUNTRIES[chosen][1]}{next(numbers[chosen]):06d}"


def _shares_by_rank(many: int) -> list[float]:
    """The sizes, added up one by one: the second has half of what the first one has, the third a third."""
    return list(accumulate(1 / rank for rank in range(1, many + 1)))


def country_of(phone: str) -> str | None:
    return next((country for country, prefix in COUNTRIES if phone.startswith(prefix)), None)


def call_of(verification: Row) -> Row:
    """The call of a verification, not placed yet."""
    begun = verification["created_at"]
    shared = {name: verification[name] for name in ("verification_id", "user_id", "phone", "created_at")}
    counts = ("turn", "dial_round", "dial_attempts", "repeats", "command_seq", "command_attempts")
    return {
        **shared,
        **dict.fromkeys(counts, 0),
        "subject_id": verification["verification_id"],
        "script_sealed": verification.get("speech_sealed"),
        "speak_before": verification["expires_at"],
        "call_id": new_id(begun),
        "not_before": begun,
        "holds_channel": False,
        "is_uncertain": False,
    }
