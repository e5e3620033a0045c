"""Which types of numbers are called: landlines and mobile phones of countries, and others only by setting."""

from __future__ import annotations

import phonenumbers
import pytest

from letstalk.config import values
from letstalk.core.errors import DestinationBlocked
from letstalk.core.numbering import CALLABLE_TYPES
from letstalk.telephony.phone_numbers import ensure_destination_allowed, parse_phone

NONE: frozenset[str] = frozenset()
TYPES = {number: name for name, number in vars(phonenumbers.PhoneNumberType).items() if isinstance(number, int)}
SPECIAL = {
    "+870773111632": "non_geographic",  # satellite
    "+881612345678": "non_geographic",
    "+8823421234": "non_geographic",
    "+883510012345": "non_geographic",
    "+878101234567890": "non_geographic",
    "+80012345678": "non_geographic",
    "+447012345678": "personal_number",
    "+447640123456": "pager",
    "+15002345678": "personal_number",
    "+18002345678": "toll_free",
    "+33912345678": "voip",
    "+443001234567": "uan",
    "+41860791234567": "voicemail",
}


def is_called(
    number: str, *, allowed: frozenset[str] = NONE, blocked: frozenset[str] = NONE, **types: frozenset[str]
) -> bool:
    try:
        ensure_destination_allowed(parse_phone(number), allowed=allowed, blocked=blocked, **types)
    except DestinationBlocked:
        return False
    return True


@pytest.mark.parametrize("number", SPECIAL)
def test_a_special_number_is_called_only_where_its_type_is_opened(number: str) -> None:
    own = frozenset({SPECIAL[number]})
    assert not is_called(number)
    assert is_called(number, types=own)
    assert not is_called(number, types=CALLABLE_TYPES - own)


def test_no_country_is_called_by_default_beyond_its_landlines_and_mobile_phones() -> None:
    usual = {"FIXED_LINE", "MOBILE", "FIXED_LINE_OR_MOBILE"}
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind, name in TYPES.items():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None or TYPES[phonenumbers.number_type(example)] != name:
                continue
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert is_called(number) == (name in usual), (region, name, number)


def test_no_global_network_is_called_by_default_and_a_costly_one_never() -> None:
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        example = phonenumbers.example_number_for_non_geo_entity(code)
        assert example is not None
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        is_costly = parse_phone(number).is_costly
        assert not is_called(number)
        assert is_called(number, types=CALLABLE_TYPES) != is_costly
        assert is_called(number, allowed=frozenset({"001"})) != is_costly
        assert not is_called(number, types=CALLABLE_TYPES, blocked=frozenset({"001"}))


def test_a_number_that_may_be_a_landline_or_a_mobile_phone_needs_one_of_both() -> None:
    assert is_called("+12025550143", types=frozenset({"mobile"}))
    assert is_called("+12025550143", types=frozenset({"fixed_line"}))
    assert not is_called("+12025550143", types=frozenset({"voip"}))


def test_the_settings_take_001_and_names_of_types() -> None:
    assert values.read_regions("ug, 001") == {"UG", "001"}
    assert values.read_number_types("mobile, TOLL_FREE") == {"mobile", "toll_free"}
    for wrong in ("premium_rate", "shared_cost", "mobile,", "satellite"):
        with pytest.raises(ValueError, match="no such type"):
            values.read_number_types(wrong)


@pytest.mark.parametrize("wrong", ["5 per 10 minutes", "1 per hour; 2 per hour", "3 per 2 days", "0 per hour"])
def test_limits_of_destinations_are_for_an_hour_and_a_day(wrong: str) -> None:
    assert values.read_hour_and_day("100 per hour; 300 per day") == "100 per hour; 300 per day"
    assert values.read_hour_and_day("off") is None
    with pytest.raises(ValueError, match=r"window|let through"):
        values.read_hour_and_day(wrong)
