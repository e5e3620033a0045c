"""Phone numbers: lenient parsing, storage as E.164, and destinations that are not called."""

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

# Never called, whatever the settings are: the called party earns money from the call, so a caller could profit from
# requests (International Revenue Share Fraud).
COSTLY_TYPES = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})

# Most numbers match this, which is faster than a check of each character.
_USUAL = re.compile(r"[+()\-./ 0-9]*")
# A country code does not begin with 0.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_COUNTRY_CODE = 3
# What people write between digits, including typographic spaces and hyphens, and the full-width plus sign.
_PUNCTUATION = frozenset("+()[]-./ \uff0b\u00a0\u2007\u202f\u2010\u2011\u2012\u2013\u2014\u2212\u3000\u2060")


@dataclass(frozen=True, slots=True)
class Phone:
    """`e164` is `+` and digits. `region` is the ISO 3166 code of the country, or `001` for a global network."""

    e164: str
    region: str
    is_costly: bool


def parse_phone(text: str, default_region: str | None = None) -> Phone:
    """The phone number in `text`.

    The national form is only accepted with `default_region`. Raises InvalidPhone for text that is not a valid number,
    and for a number with letters or an extension.
    """
    is_readable = _USUAL.fullmatch(text) or all(_is_phone_character(character) for character in text)
    if len(text) > MAX_PHONE_CHARACTERS or not is_readable:
        raise _invalid()
    return _parse(text, default_region)


def region_of(e164: str) -> str:
    """The `region` of a number that `parse_phone` returned. Faster, because the type of number is not determined."""
    number = _read_e164(e164)
    return parse_phone(e164).region if number is None else _region_of(number)


def as_e164(text: str, default_region: str | None = None) -> str:
    """`text` itself if it has the form of E.164, else the result of `parse_phone`.

    Only for look-ups, where the number does not have to be valid: only valid numbers are stored.
    """
    return text if _E164.fullmatch(text) else parse_phone(text, default_region).e164


# A number that a code is sent to is soon requested again, to check the code.
@lru_cache(maxsize=1024)
def _parse(text: str, default_region: str | None) -> Phone:
    number = _read_e164(text)
    e164 = text
    if number is None:
        number = _read(text, default_region)
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:  # the number is not valid
        raise _invalid()
    return Phone(e164, _region_of(number), is_costly=kind in COSTLY_TYPES)


def _region_of(number: PhoneNumber) -> str:
    return phonenumbers.region_code_for_number(number) or "001"


def _read(text: str, default_region: str | None) -> PhoneNumber:
    """Raises InvalidPhone for text that is not a number, and for a number with an extension."""
    try:
        number = phonenumbers.parse(text, default_region)
    except NumberParseException:
        raise _invalid() from None
    if number.extension:
        raise _invalid()
    return number


def _read_e164(text: str) -> PhoneNumber | None:
    """The same as `phonenumbers.parse` for E.164, in a tenth of the time. None if `phonenumbers.parse` must be used.

    That is necessary for text that does not have the form of E.164, and for a number that may have a national prefix
    after its country code.
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


@lru_cache(maxsize=1024)  # there are fewer codes than that
def _plan_of(code: str) -> tuple[int, re.Pattern[str]] | None:
    """`code` as a country code, and a pattern for the start of its national prefixes. None if it is no country code.

    The pattern includes a zero, because the parser has to handle a zero that belongs to the number, as in Italy.
    """
    country_code = int(code)
    regions = COUNTRY_CODE_TO_REGION_CODE.get(country_code)
    if regions is None:
        return None
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(country_code, regions[0])
    prefix = metadata and metadata.national_prefix_for_parsing
    return country_code, re.compile(f"0|{prefix}" if prefix else "0")


def ensure_destination_allowed(phone: Phone, *, allowed: frozenset[str], blocked: frozenset[str]) -> None:
    """Raises DestinationBlocked for a premium-rate or shared-cost number, and for a country that is not permitted.

    An empty `allowed` permits every country.
    """
    if phone.is_costly:
        raise DestinationBlocked("Premium-rate and shared-cost numbers are never called.")
    if phone.region in blocked or (allowed and phone.region not in allowed):
        raise DestinationBlocked("Calls to this country are not permitted.")


def _is_phone_character(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character) == "Nd"


def _invalid() -> InvalidPhone:
    sentence = "This is not a phone number that can be called. Give it in international form, like +256700123456."
    return InvalidPhone(sentence, details=(Detail("phone", sentence),))
