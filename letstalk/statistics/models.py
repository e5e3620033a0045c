"""What is counted of verifications, and how counts are added up and stored. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Any, Self

from letstalk.calls.models import CallStatus
from letstalk.statistics.histograms import range_of
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import Reason, reason_of

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEPS = ("sent", "rung", "answered", "heard", "approved")
UNKNOWN_COUNTRY = ""  # of rows that were stored before their country was

_SENT, _RUNG, _ANSWERED, _HEARD, _APPROVED = range(len(STEPS))
# Calls that rang although no time of it is stored: those of before it was.
_HAS_RUNG = frozenset({CallStatus.NO_ANSWER, CallStatus.REJECTED, CallStatus.MACHINE, CallStatus.COMPLETED})


@dataclass(slots=True)
class Seen:
    """What became of one verification. Times are aware, in UTC; of several calls the first that came so far counts."""

    owner_id: str
    token_id: str
    country: str
    created_at: datetime
    is_test: bool
    status: VerificationStatus
    approved_at: datetime | None
    last_call: CallStatus | None = None
    rang_at: datetime | None = None
    is_rung: bool = False
    is_answered: bool = False
    is_heard: bool = False

    def add_call(
        self, status: CallStatus, rang_at: datetime | None, answered_at: datetime | None, heard_at: datetime | None
    ) -> None:
        """Take in one of its calls, in the order in which they were made."""
        self.last_call = status
        is_old = rang_at is None and status is CallStatus.COMPLETED  # of before these times were stored
        self.is_heard = self.is_heard or heard_at is not None or is_old
        self.is_answered = self.is_answered or answered_at is not None
        if status is not CallStatus.BUSY:  # the provider had it too, but no phone rang
            self.rang_at = self.rang_at or rang_at
            self.is_rung = self.is_rung or rang_at is not None or status in _HAS_RUNG

    @property
    def last_step(self) -> int:
        """The number of the last of the `STEPS` that it reached. The earlier steps were reached too."""
        if self.status is VerificationStatus.APPROVED:
            return _APPROVED
        if self.is_heard:
            return _HEARD
        if self.is_answered:
            return _ANSWERED
        return _RUNG if self.is_rung else _SENT


@dataclass(slots=True)
class Funnel:
    """How many verifications reached each step, from `sent` to `approved`."""

    counts: list[int] = field(default_factory=lambda: [0] * len(STEPS))

    def add_one(self, last_step: int) -> None:
        for step in range(last_step + 1):
            self.counts[step] += 1

    def add(self, other: Funnel) -> None:
        self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]

    def as_dict(self) -> dict[str, int]:
        return dict(zip(STEPS, self.counts, strict=True))

    @property
    def sent(self) -> int:
        return self.counts[_SENT]

    @property
    def approved(self) -> int:
        return self.counts[_APPROVED]

    @property
    def approved_share(self) -> float | None:
        """Of those that were sent, 0 to 1; None without any."""
        return self.approved / self.sent if self.sent else None


@dataclass(slots=True)
class Figures:
    """Counts of some verifications. Those of test numbers (`tests`) are in no other count.

    `waiting` are those by country that still wait for their code: none of them is approved, or lost, yet. `to_ring` and
    `to_approval` are histograms of the time from the request.
    """

    funnel: Funnel = field(default_factory=Funnel)
    tests: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    countries: dict[str, Funnel] = field(default_factory=dict)
    waiting: Counter[str] = field(default_factory=Counter)
    to_ring: Counter[int] = field(default_factory=Counter)
    to_approval: Counter[int] = field(default_factory=Counter)

    def add_one(self, seen: Seen) -> None:
        if seen.is_test:
            self.tests += 1
            return
        self.funnel.add_one(seen.last_step)
        self.countries.setdefault(seen.country, Funnel()).add_one(seen.last_step)
        reason = reason_of(seen.status, seen.last_call)
        self.reasons[reason.value] += 1
        if reason is Reason.PENDING:
            self.waiting[seen.country] += 1
        if seen.rang_at is not None:
            self.to_ring[range_of((seen.rang_at - seen.created_at).total_seconds())] += 1
        if seen.approved_at is not None:
            self.to_approval[range_of((seen.approved_at - seen.created_at).total_seconds())] += 1

    def add(self, other: Figures) -> None:
        self.funnel.add(other.funnel)
        self.tests += other.tests
        self.reasons.update(other.reasons)
        for country, funnel in other.countries.items():
            self.countries.setdefault(country, Funnel()).add(funnel)
        self.waiting.update(other.waiting)
        self.to_ring.update(other.to_ring)
        self.to_approval.update(other.to_approval)

    @property
    def pending(self) -> int:
        return self.reasons[Reason.PENDING.value]

    @property
    def finished(self) -> int:
        """How many of those that were sent do not wait for their code any more."""
        return self.funnel.sent - self.pending

    def to_json(self) -> str:
        """As it is stored. There is a row for each owner, token and hour, so the names are short."""
        stored: dict[str, Any] = {
            "f": self.funnel.counts,
            "t": self.tests,
            "r": self.reasons,
            "c": {country: funnel.counts for country, funnel in self.countries.items()},
            "w": self.waiting,
            "g": self.to_ring,
            "a": self.to_approval,
        }
        return json.dumps({name: value for name, value in stored.items() if value}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        stored = json.loads(text)
        return cls(
            funnel=Funnel(stored["f"]),
            tests=stored.get("t", 0),
            reasons=Counter(stored.get("r", {})),
            countries={country: Funnel(counts) for country, counts in stored.get("c", {}).items()},
            waiting=Counter(stored.get("w", {})),
            to_ring=_histogram(stored.get("g", {})),
            to_approval=_histogram(stored.get("a", {})),
        )


def _histogram(stored: dict[str, int]) -> Counter[int]:
    return Counter({int(number): count for number, count in stored.items()})


# Whose figures they are: the owner and the token, both empty for those of all.
Holder = tuple[str, str]
ALL: Holder = ("", "")


def count_by_holder(everything: Iterable[Seen]) -> dict[Holder, Figures]:
    """The figures of each owner and token, and of all (`ALL`), which is there also when nothing was seen."""
    found = {ALL: Figures()}
    for seen in everything:
        for holder in (ALL, (seen.owner_id, seen.token_id)):
            found.setdefault(holder, Figures()).add_one(seen)
    return found


def add_up(parts: Iterable[Figures]) -> Figures:
    total = Figures()
    for part in parts:
        total.add(part)
    return total


def add_up_stored(texts: str) -> Figures:
    """The sum of stored figures, with commas between them: as `add_up` of each, in a fifth of the time."""
    funnel, tests = [0] * len(STEPS), 0
    countries: dict[str, list[int]] = {}
    sums: dict[str, dict[str, int]] = {"r": {}, "w": {}, "g": {}, "a": {}}
    for stored in json.loads(f"[{texts}]"):
        funnel = [own + more for own, more in zip(funnel, stored["f"], strict=True)]
        tests += stored.get("t", 0)
        for country, counts in stored.get("c", {}).items():
            known = countries.get(country)
            countries[country] = counts if known is None else list(map(add, known, counts))
        for name, counted in sums.items():
            for key, count in stored.get(name, {}).items():
                counted[key] = counted.get(key, 0) + count
    return Figures(
        funnel=Funnel(funnel),
        tests=tests,
        reasons=Counter(sums["r"]),
        countries={country: Funnel(counts) for country, counts in countries.items()},
        waiting=Counter(sums["w"]),
        to_ring=_histogram(sums["g"]),
        to_approval=_histogram(sums["a"]),
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Whose verifications: of these owners (None: of all), and if `token_id` is set only those sent with it."""

    owner_ids: frozenset[str] | None
    token_id: str | None = None

    def includes(self, holder: Holder) -> bool:
        if self.owner_ids is None and self.token_id is None:
            return holder == ALL
        owner_id, token_id = holder
        is_owner = owner_id != "" and (self.owner_ids is None or owner_id in self.owner_ids)
        return is_owner and self.token_id in (None, token_id)


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def start_of_day(moment: datetime) -> datetime:
    return start_of_hour(moment).replace(hour=0)


def end_of_hour(moment: datetime) -> datetime:
    """The first full hour that is not before `moment`."""
    start = start_of_hour(moment)
    return start if start == moment else start + HOUR


def end_of_day(moment: datetime) -> datetime:
    start = start_of_day(moment)
    return start if start == moment else start + DAY
