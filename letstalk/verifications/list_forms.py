"""The filters of the list of verifications, as they are written in its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from letstalk.core.errors import InvalidPhone
from letstalk.core.ids import canonical_id
from letstalk.core.pagination import decode_cursor, encode_cursor
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.verifications.listing import Place, Wanted
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.outcomes import Reason

SPANS = {
    "hour": ("The last hour", timedelta(hours=1)),
    "day": ("The last 24 hours", timedelta(days=1)),
    "week": ("The last 7 days", timedelta(days=7)),
    "month": ("The last 30 days", timedelta(days=30)),
}
MAX_CHARACTERS = 200
UNKNOWN_CHOICE = "Choose one of the list."


@dataclass(frozen=True, slots=True)
class ListForm:
    """The filters as they were typed; what is not given is empty. Times are in UTC, as `datetime-local` writes them."""

    phone: str = ""
    status: str = ""
    reason: str = ""
    country: str = ""
    token: str = ""
    owner: str = ""
    span: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ListForm:
        texts = {name: query.get(name, "").strip()[:MAX_CHARACTERS] for name in cls.names()}
        return cls(**texts)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(each.name for each in fields(cls))

    def given(self) -> dict[str, str]:
        """The filters that are set, for an address."""
        return {name: getattr(self, name) for name in self.names() if getattr(self, name)}

    @property
    def has_rare_filters(self) -> bool:
        return bool(self.since or self.until or self.owner or self.country or self.token)

    def to_wanted(self, now: datetime, default_region: str | None) -> tuple[Wanted | None, dict[str, str]]:
        """What to list, None where a filter can't be read, and what is wrong with each."""
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name, read in (
            ("phone", lambda text: parse_phone(text, default_region).canonical),
            ("status", VerificationStatus),
            ("reason", Reason),
            ("country", _read_country),
            ("token", _read_id),
            ("since", _read_moment),
            ("until", _read_moment),
        ):
            text = getattr(self, name)
            try:
                values[name] = read(text) if text else None
            except InvalidPhone as error:
                errors[name] = error.message
            except ValueError as error:
                errors[name] = str(error) if name in ("country", "token", "since", "until") else UNKNOWN_CHOICE
        if self.span and self.span not in SPANS:
            errors["span"] = UNKNOWN_CHOICE
        if errors:
            return None, errors
        if self.span:
            _, span = SPANS[self.span]
            values["since"] = max(filter(None, (values["since"], now - span)))
        values["token_id"] = values.pop("token")
        owner_ids = frozenset({self.owner}) if self.owner else None
        return Wanted(owner_ids=owner_ids, **values), {}


def read_place(query: Mapping[str, str]) -> Place | None:
    """Where the page begins, by `before` or `after`. Raises InvalidRequest."""
    for name, is_newer in (("before", False), ("after", True)):
        text = query.get(name)
        if text:
            return Place(*decode_cursor(text), is_newer)
    return None


def place_in_query(place: Place) -> dict[str, str]:
    """`place` as `read_place` reads it."""
    return {"after" if place.is_newer else "before": encode_cursor(place.at, place.row_id)}


def _read_country(text: str) -> str:
    if len(text) in (2, 3) and text.isascii() and text.isalnum():
        return text.upper()
    raise ValueError("Write the two letters of the country, such as DE.")


def _read_id(text: str) -> str:
    known = canonical_id(text)
    if known is None:
        raise ValueError(UNKNOWN_CHOICE)
    return known


def _read_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("Write a date and a time, such as 2026-11-20T17:30.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
