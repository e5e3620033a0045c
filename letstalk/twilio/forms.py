"""Reading the parameters of Twilio's requests: forms and queries, in which everything is text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from letstalk.core.errors import InvalidRequest
from letstalk.twilio.models import MAX_LIMITS_OF_REQUEST, MAX_VALUE_CHARACTERS

_FLAGS = {"true": True, "false": False}
MAX_DIGITS = 12


class Parameters:
    """The parameters of a request. Those that are not asked for are ignored, as Twilio ignores them.

    An empty text is as good as none. Each method raises InvalidRequest, which names the parameter.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def text(self, name: str, longest: int) -> str | None:
        value = self._given.get(name, "").strip()
        if len(value) > longest:
            raise _invalid(name, f"It has more than {longest} characters.")
        if any(unicodedata.category(each) in ("Cc", "Cs") for each in value):
            raise _invalid(name, "It has control characters.")
        return value or None

    def needed(self, name: str, longest: int) -> str:
        value = self.text(name, longest)
        if value is None:
            raise _invalid(name, "It is missing.")
        return value

    def number(self, name: str) -> int | None:
        value = self.text(name, MAX_DIGITS)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()):
            raise _invalid(name, "It must be a whole number.")
        return int(value)

    def needed_number(self, name: str) -> int:
        value = self.number(name)
        if value is None:
            raise _invalid(name, "It is missing.")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.text(name, 5)
        if value is None:
            return None
        if value.lower() not in _FLAGS:
            raise _invalid(name, "It must be true or false.")
        return _FLAGS[value.lower()]

    def moment(self, name: str) -> datetime | None:
        """A time as ISO 8601 writes it, in UTC where it names no other zone."""
        value = self.text(name, 40)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise _invalid(name, "It must be a time such as 2026-11-20T10:00:00Z.") from None

    def values_by_name(self, name: str) -> dict[str, str]:
        """A JSON object of texts and numbers, such as `{"ip": "192.0.2.1"}`."""
        value = self.text(name, MAX_LIMITS_OF_REQUEST * 2 * MAX_VALUE_CHARACTERS)
        if value is None:
            return {}
        try:
            content = orjson.loads(value)
        except ValueError:
            raise _invalid(name, "It must be a JSON object.") from None
        if not isinstance(content, dict) or len(content) > MAX_LIMITS_OF_REQUEST:
            raise _invalid(name, f"It must be a JSON object of {MAX_LIMITS_OF_REQUEST} entries at most.")
        if any(isinstance(each, bool) or not isinstance(each, str | int) for each in content.values()):
            raise _invalid(name, "Each value must be text or a whole number.")
        texts = {key: str(each) for key, each in content.items()}
        if any(not 1 <= len(text) <= MAX_VALUE_CHARACTERS for text in texts.values()):
            raise _invalid(name, f"Each value must have 1 to {MAX_VALUE_CHARACTERS} characters.")
        return texts


def _invalid(name: str, sentence: str) -> InvalidRequest:
    return InvalidRequest.in_field(name, sentence)
