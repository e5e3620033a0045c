from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.domain.errors import DestinationBlocked, InvalidPhone
from letstalk.domain.phones import Phone, check_destination, parse_phone

NOWHERE: frozenset[str] = frozenset()
GHANA = "+233242345678"


@pytest.mark.parametrize(
    "written",
    [
        "+256700123456",
        "+256 700 123456",
        "+256-700-123456",
        "(+256) 700.123.456",
        "  +256 700 123456  ",
        "\uff0b256\u00a0700\u2011123456",
        "+٢٥٦٧٠٠١٢٣٤٥٦",
    ],
)
def test_a_number_is_read_however_people_write_it(written: str) -> None:
    assert parse_phone(written) == Phone("+256700123456", "UG", is_costly=False)


def test_national_form_needs_a_default_region() -> None:
    assert parse_phone("0700 123456", "UG").e164 == "+256700123456"
    with pytest.raises(InvalidPhone):
        parse_phone("0700 123456")


def test_international_form_wins_over_the_default_region() -> None:
    assert parse_phone(GHANA, "UG").region == "GH"


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "+",
        "12",
        "+256",
        "+25670012345",
        "+2567001234567",
        "+999123456789",
        "+1 800 FLOWERS",
        "+256700123456;ext=5",
        "+256700123456 x5",
        "tel:+256700123456",
        "+256700123456\n",
        "+256700123456\x00",
        "+256700123456" + " " * 40,
        "<script>",
        "+256²700123456",
    ],
)
def test_what_cannot_be_dialled_is_refused(written: str) -> None:
    with pytest.raises(InvalidPhone) as caught:
        parse_phone(written)
    assert [detail.field for detail in caught.value.details] == ["phone"]


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_refused_and_nothing_else(text: str) -> None:
    try:
        phone = parse_phone(text)
    except InvalidPhone:
        return
    assert phone.e164.startswith("+")
    assert phone.e164[1:].isascii()
    assert phone.e164[1:].isdigit()
    assert len(phone.e164) <= 16


def test_every_countrys_example_number_comes_back_as_it_is() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number(region)
        assert example is not None
        phone = parse_phone(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
        assert parse_phone(phone.e164) == phone
        assert phone.e164 == phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize("number", ["+19002345678", "+448431234567", "+491371234567"])
def test_premium_and_shared_cost_numbers_are_blocked_whatever_is_allowed(number: str) -> None:
    phone = parse_phone(number)
    with pytest.raises(DestinationBlocked):
        check_destination(phone, allowed=NOWHERE, blocked=NOWHERE)
    with pytest.raises(DestinationBlocked):
        check_destination(phone, allowed=frozenset({phone.region}), blocked=NOWHERE)


@pytest.mark.parametrize("number", ["+18002345678", "+256700123456", "+442079460123", "+390612345678"])
def test_toll_free_mobile_and_fixed_numbers_are_called(number: str) -> None:
    check_destination(parse_phone(number), allowed=NOWHERE, blocked=NOWHERE)


def test_countries_are_ruled_out_by_either_setting() -> None:
    ghana = parse_phone(GHANA)
    check_destination(ghana, allowed=frozenset({"GH", "UG"}), blocked=frozenset({"KP"}))
    with pytest.raises(DestinationBlocked):
        check_destination(ghana, allowed=frozenset({"UG"}), blocked=NOWHERE)
    with pytest.raises(DestinationBlocked):
        check_destination(ghana, allowed=NOWHERE, blocked=frozenset({"GH"}))
    with pytest.raises(DestinationBlocked):
        check_destination(ghana, allowed=frozenset({"GH"}), blocked=frozenset({"GH"}))
