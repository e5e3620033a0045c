"""Phone numbers: read leniently, kept as E.164, refused where nobody should be called."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
)

from letstalk.core.errors import DestinationBlocked, Detail, InvalidPhone

MAX_PHONE_CHARACTERS = 40

# Never called, whatever the settings say: the called party earns from the call, so a stranger's request must not
# be able to start one (International Revenue Share Fraud).
COSTLY_TYPES = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})

# Most numbers are written so, and need not be looked at character by character.
_USUAL = re.compile(r"[+()\-./ 0-9]*")
# As programs write them. A country code does not begin with 0.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_COUNTRY_CODE = 3
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


def region_of(e164: str) -> str:
    """The `region` of a number that `parse_phone` has passed before, without asking again of which kind it is."""
    number = _read_e164(e164)
    return parse_phone(e164).region if number is None else _region_of(number)


def as_e164(text: str, default_region: str | None = None) -> str:
    """`text` itself where it is written as E.164, be it a number or not; else what `parse_phone` makes of it.

    For what is only looked up: what was stored is a number, and what is not found can still be refused.
    """
    return text if _E164.fullmatch(text) else parse_phone(text, default_region).e164


# Whoever sends a code to a number soon names it again, to verify what was heard.
@lru_cache(maxsize=1024)
def _parse(text: str, default_region: str | None) -> Phone:
    number = _read_e164(text)
    e164 = text
    if number is None:
        number = _read(text, default_region)
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:  # of no valid number
        raise _invalid()
    return Phone(e164, _region_of(number), is_costly=kind in COSTLY_TYPES)


def _region_of(number: PhoneNumber) -> str:
    return phonenumbers.region_code_for_number(number) or "001"


def _read(text: str, default_region: str | None) -> PhoneNumber:
    """Raises InvalidPhone for what is no number, or has an extension."""
    try:
        number = phonenumbers.parse(text, default_region)
    except NumberParseException:
        raise _invalid() from None
    if number.extension:
        raise _invalid()
    return number


def _read_e164(text: str) -> PhoneNumber | None:
    """What `phonenumbers.parse` makes of E.164, at a tenth of the cost; None for what it must read itself.

    That is all that is not E.164 by shape, and what may have a national prefix behind its country code.
    """
    if not _E164.fullmatch(text):
        return None
    for end in range(2, _LONGEST_COUNTRY_CODE + 2):
        plan = _plan_of(text[1:end])
        if plan is not None:
            country_code, prefix = plan
            national = text[end:]
            if prefix.match(national):
                return None
            return PhoneNumber(country_code=country_code, national_number=int(national))
    return None


@lru_cache(maxsize=1024)  # there are not as many
def _plan_of(code: str) -> tuple[int, re.Pattern[str]] | None:
    """The country code that `code` is, and what national prefixes begin with behind it; None when it is none.

    A zero counts among them: where it belongs to the number, as in Italy, the parser has to count it.
    """
    country_code = int(code)
    regions = COUNTRY_CODE_TO_REGION_CODE.get(country_code)
    if regions is None:
        return None
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(country_code, regions[0])
    prefix = metadata and metadata.national_prefix_for_parsing
    return country_code, re.compile(f"0|{prefix}" if prefix else "0")


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
