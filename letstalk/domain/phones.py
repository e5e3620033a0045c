"""Phone numbers: read leniently, kept as E.164, refused where nobody should be called."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from letstalk.domain.errors import DestinationBlocked, Detail, InvalidPhone

MAX_PHONE_CHARACTERS = 40

# Never called, whatever the settings say: the called party earns from the call, so a stranger's request must not
# be able to start one (International Revenue Share Fraud).
COSTLY_TYPES = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})

# Most numbers are written so, and need not be looked at character by character.
_USUAL = re.compile(r"[+()\-./ 0-9]*")
# As people write the others, the typographic spaces, hyphens and the full-width plus of other keyboards included.
_PUNCTUATION = frozenset("+()[]-./ \uff0b\u00a0\u2007\u202f\u2010\u2011\u2012\u2013\u2014\u2212\u3000\u2060")


@dataclass(frozen=True, slots=True)
class Phone:
    """`e164` is `+` and digits; `region` is the ISO 3166 code of its country, or `001` for a global network."""

    e164: str
    region: str
    is_costly: bool


def parse_phone(text: str, default_region: str | None = None) -> Phone:
    """The number that a person wrote as `text`.

    National form is understood only with `default_region`. Raises InvalidPhone for what is no dialable number,
    extensions and letters included.
    """
    is_readable = _USUAL.fullmatch(text) or all(_may_stand_in_a_phone(character) for character in text)
    if len(text) > MAX_PHONE_CHARACTERS or not is_readable:
        raise _invalid()
    return _parse(text, default_region)


@lru_cache(maxsize=4096)
def _parse(text: str, default_region: str | None) -> Phone:
    try:
        number = phonenumbers.parse(text, default_region)
    except NumberParseException:
        raise _invalid() from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise _invalid()
    return Phone(
        e164=phonenumbers.format_number(number, PhoneNumberFormat.E164),
        region=phonenumbers.region_code_for_number(number) or "001",
        is_costly=phonenumbers.number_type(number) in COSTLY_TYPES,
    )


def check_destination(phone: Phone, *, allowed: frozenset[str], blocked: frozenset[str]) -> None:
    """Raises DestinationBlocked for a premium or shared-cost number, and for a country that the settings rule out.

    `allowed` empty means every country.
    """
    if phone.is_costly:
        raise DestinationBlocked("Premium-rate and shared-cost numbers are never called.")
    if phone.region in blocked or (allowed and phone.region not in allowed):
        raise DestinationBlocked("Calls to this country are switched off.")


def _may_stand_in_a_phone(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character) == "Nd"


def _invalid() -> InvalidPhone:
    sentence = "This is not a phone number that can be called. Give it in international form, like +256700123456."
    return InvalidPhone(sentence, details=(Detail("phone", sentence),))
