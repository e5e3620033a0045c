"""Phone numbers: lenient parsing, storage as E.164, and destinations that are not called."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers

from letstalk.core.errors import DestinationBlocked, Detail, InvalidPhone
from letstalk.core.numbering import CALLABLE_TYPES, DEFAULT_TYPES, GLOBAL_REGION, NON_GEOGRAPHIC, canonical_e164

MAX_PHONE_CHARACTERS = 40
INVALID_PHONE = "This is not a phone number that can be called. Give it in international form, like +12025550142."

# Never called, whatever the settings are: the called party earns money from the call, so a caller could profit from
# requests (International Revenue Share Fraud).
COSTLY_TYPES = frozenset({phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST})
_TYPES = {getattr(phonenumbers.PhoneNumberType, name.upper()): name for name in CALLABLE_TYPES - {NON_GEOGRAPHIC}}

# Most numbers match this, which is faster than a check of each character.
_USUAL = re.compile(r"[+()\-./ 0-9]*")
# A country code does not begin with 0.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_COUNTRY_CODE = 3
# What people write between digits, besides spaces (Zs), hyphens (Pd) and the plus signs.
_PUNCTUATION = frozenset("+()[]./·•‧∙~\uff0b\u2212")
_QUOTES = "\"'`<>«»\u2018\u2019\u201a\u201c\u201d\u201e"
_MEXICO = 52


@dataclass(frozen=True, slots=True)
class Phone:
    """`e164` is `+` and digits. `region` is the ISO 3166 code of the country, or `001` for a global network.

    `types` are those of CALLABLE_TYPES that it may be. It is empty for a costly number.
    """

    e164: str
    region: str
    is_costly: bool
    types: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def canonical(self) -> str:
        return canonical_e164(self.e164)


def parse_phone(text: str, default_region: str | None = None) -> Phone:
    """The phone number in `text`, typed or pasted. The national form is only accepted with `default_region`.

    Raises InvalidPhone for text that is not a valid number, for a number with letters or an extension, and for one that
    can be read in two ways.
    """
    if len(text) > MAX_PHONE_CHARACTERS:
        raise _invalid()
    try:
        return _parse(text if _USUAL.fullmatch(text) else _clean(text), default_region)
    except InvalidPhone:
        if text.startswith(" ") and _is_number(f"+{text.strip()}"):
            raise _invalid("The + is missing. In the query of a URL, where + means a space, write it as %2B.") from None
        raise


def _is_number(text: str) -> bool:
    try:
        return bool(_parse(text, None))
    except InvalidPhone:
        return False


def _clean(text: str) -> str:
    """`text` without what a paste adds: invisible marks, quotes, the scheme of RFC 3966. Raises InvalidPhone.

    Every space and hyphen becomes the one of ASCII.
    """
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Zs", "Pd"):
            kept.append(" " if category == "Zs" else "-")
        elif category != "Cf":
            kept.append(character)
    plain = "".join(kept).strip(_QUOTES + " ")
    if plain[:4].lower() == "tel:":
        plain = plain[4:]
    if not all(each in _PUNCTUATION or each in " -" or unicodedata.category(each) == "Nd" for each in plain):
        raise _invalid()
    return re.sub("[·•‧∙~]", " ", plain)


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
        _ensure_one_reading(text, number)
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    kind = phonenumbers.number_type(number)
    if kind == phonenumbers.PhoneNumberType.UNKNOWN:  # the number is not valid
        raise _invalid()
    region, is_costly = _region_of(number), kind in COSTLY_TYPES
    return Phone(e164, region, is_costly, frozenset() if is_costly else _types_of(kind, region))


def _types_of(kind: int, region: str) -> frozenset[str]:
    if region == GLOBAL_REGION:
        return frozenset({NON_GEOGRAPHIC})
    if kind == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE:
        return DEFAULT_TYPES
    return frozenset({_TYPES[kind]})


def block_of(e164: str) -> str:
    """The start of a number that those of its block share: mostly ten thousand numbers, as they are handed out.

    That is 7 digits after a country code of one digit (1 and 7), and 8 after a longer one. It does not depend on the
    number's length: in some countries that can be chosen.
    """
    return e164[: 1 + (7 if e164[1] in "17" else 8)]


def _region_of(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.region_code_for_number(number) or GLOBAL_REGION


def _read(text: str, default_region: str | None) -> phonenumbers.PhoneNumber:
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        raise _invalid() from None
    if number.extension:
        raise _invalid()
    national = str(number.national_number)
    # Until 2019, mobile numbers of Mexico were written with a 1 after the country code.
    if number.country_code == _MEXICO and len(national) == 11 and national[0] == "1":
        return phonenumbers.PhoneNumber(country_code=_MEXICO, national_number=int(national[1:]))
    return number


def _ensure_one_reading(text: str, number: phonenumbers.PhoneNumber) -> None:
    """Raises InvalidPhone for digits without a plus that are a number of their country and another one worldwide.

    In Germany, 491711234567 is more likely +49 171 1234567 than the +49 491711234567 that the national form means.
    """
    digits = "".join(str(unicodedata.digit(each)) for each in text if each.isdecimal())
    national = phonenumbers.national_significant_number(number)
    if "+" in text or "\uff0b" in text or digits != national:
        return
    other = _read_e164(f"+{digits}")
    if other is None or other == number or not phonenumbers.is_valid_number(other):
        return
    # Where people write a prefix such as 0 before a national number, digits without it are no national number. Where
    # they do not, as in the US, only the country's own code is a likely mistake: 321 234 5678 is not a Belgian number.
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    has_prefix = phonenumbers.normalize_digits_only(written) != national
    if has_prefix or other.country_code == number.country_code:
        ways = (phonenumbers.format_number(each, phonenumbers.PhoneNumberFormat.E164) for each in (other, number))
        raise _invalid(f"This can be read as {' or as '.join(ways)}. Begin the number with + and the country code.")


def _read_e164(text: str) -> phonenumbers.PhoneNumber | None:
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
            return phonenumbers.PhoneNumber(country_code=country_code, national_number=int(national))
    return None


@lru_cache(maxsize=1024)  # there are fewer codes than that
def _plan_of(code: str) -> tuple[int, re.Pattern[str]] | None:
    """`code` as a country code, and a pattern for the start of its national prefixes. None if it is no country code.

    The pattern includes a zero, because the parser has to handle a zero that belongs to the number, as in Italy.
    """
    country_code = int(code)
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code)
    if regions is None:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(country_code, regions[0])
    prefix = metadata and metadata.national_prefix_for_parsing
    prefix = "1" if country_code == _MEXICO else prefix
    return country_code, re.compile(f"0|{prefix}" if prefix else "0")


def ensure_destination_allowed(
    phone: Phone, *, allowed: frozenset[str], blocked: frozenset[str], types: frozenset[str] = DEFAULT_TYPES
) -> None:
    """Raises DestinationBlocked for a costly number, for a type and for a country that are not permitted.

    An empty `allowed` permits every country. Whoever names `001` in it permits the type of such numbers as well.
    """
    if phone.is_costly:
        raise DestinationBlocked("Premium-rate and shared-cost numbers are never called.")
    is_named = phone.region == GLOBAL_REGION and GLOBAL_REGION in allowed
    if not (is_named or phone.types & types):
        raise DestinationBlocked("Numbers of this kind are not called, such as satellite, personal and toll-free ones.")
    if phone.region in blocked or (allowed and phone.region not in allowed):
        raise DestinationBlocked("Calls to this country are not permitted.")


def _invalid(sentence: str = INVALID_PHONE) -> InvalidPhone:
    return InvalidPhone(sentence, details=(Detail("phone", sentence),))
