from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letstalk.core.errors import DestinationBlocked, InvalidPhone
from letstalk.telephony import phone_numbers as phones
from letstalk.telephony.phone_numbers import Phone, ensure_destination_allowed, parse_phone, region_of

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
        "\uff0b\uff12\uff15\uff16\uff17\uff10\uff10\uff11\uff12\uff13\uff14\uff15\uff16",
        "\u202d+256 700 123456\u202c",
        "\u2066+256 700 123456\u2069",
        "\ufeff+256700123456",
        "+256\u200b700\u200b123456",
        "+256\u2009700\u3000123456",
        "+256\u2014700\u2013123456",
        "+256·700•123456",
        "tel:+256-700-123456",
        "TEL:+256700123456",
        "<tel:+256700123456>",
        "“+256 700 123456”",
        "'+256700123456'",
    ],
)
def test_a_number_is_read_however_people_write_it(written: str) -> None:
    assert parse_phone(written) == Phone("+256700123456", "UG", is_costly=False)


def test_national_form_needs_a_default_region() -> None:
    assert parse_phone("0700 123456", "UG").e164 == "+256700123456"
    with pytest.raises(InvalidPhone):
        parse_phone("0700 123456")


@pytest.mark.parametrize(
    "written", ["+52 1 55 1234 5678", "+5215512345678", "+52 (1) 55-1234-5678", "+52 55 1234 5678"]
)
def test_a_mexican_mobile_number_is_the_same_with_and_without_its_former_prefix(written: str) -> None:
    assert parse_phone(written).e164 == "+525512345678"


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("491711234567", "DE"),
        ("49 171 1234567", "DE"),
        ("\uff14\uff19\uff11711234567", "DE"),
        ("256700123456", "DE"),
        ("436641234567", "DE"),
    ],
)
def test_digits_that_two_people_could_have_are_refused_with_the_way_to_write_them(written: str, region: str) -> None:
    with pytest.raises(InvalidPhone, match=r"^This can be read as \+\d+ or as \+49\d+\. Begin the number with \+"):
        parse_phone(written, region)


@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("0171 1234567", "DE", "+491711234567"),
        ("171 1234567", "DE", "+491711234567"),
        ("0049 171 1234567", "DE", "+491711234567"),
        ("+49 1711234567", "DE", "+491711234567"),
        ("447911123456", "GB", "+447911123456"),
        ("33612345678", "FR", "+33612345678"),
        ("393331234567", "IT", "+393331234567"),
        ("12025550142", "US", "+12025550142"),
        ("(321) 234-5678", "US", "+13212345678"),
        ("(432) 234-5678", "US", "+14322345678"),
        ("256700123456", "UG", "+256700123456"),
    ],
)
def test_digits_with_one_likely_reading_are_read(written: str, region: str, e164: str) -> None:
    assert parse_phone(written, region).e164 == e164


def test_a_plus_that_became_a_space_in_a_query_is_named() -> None:
    with pytest.raises(InvalidPhone, match=r"In the query of a URL, where \+ means a space, write it as %2B"):
        parse_phone(" 256700123456")
    with pytest.raises(InvalidPhone, match=r"^This is not a phone number"):
        parse_phone(" 12")
    assert parse_phone(" 0700 123456", "UG").e164 == "+256700123456"


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
        "tel:+256700123456;ext=5",
        "tel:700123456;phone-context=+256",
        "sip:+256700123456",
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


# Country codes with digits behind them, and examples of every kind of number with a digit put in, left out or changed.
E164S = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.builds(
        lambda code, rest: f"+{code}{rest}",
        st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
        st.from_regex(r"[0-9]{4,12}", fullmatch=True),
    ),
    st.builds(
        lambda example, place, digits, left_out: example[: place + 2] + digits + example[place + 2 + left_out :],
        st.sampled_from(sorted({
            phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            for region in phonenumbers.SUPPORTED_REGIONS
            for kind in phonenumbers.PhoneNumberType.values()
            if (example := phonenumbers.example_number_for_type(region, kind)) is not None
        })),
        st.integers(0, 10),
        st.from_regex(r"[0-9]{0,2}", fullmatch=True),
        st.integers(0, 2),
    ),
)  # fmt: skip


@given(E164S)
@settings(max_examples=1000, deadline=None)
def test_e164_is_read_as_the_library_itself_reads_it(text: str) -> None:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        number = None
    assert phones._read_e164(text) in (None, number)
    if number is None or not phonenumbers.is_valid_number(number):
        with pytest.raises(InvalidPhone):
            parse_phone(text)
        return
    phone = parse_phone(text)
    assert phone.e164 == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phone.region == phonenumbers.region_code_for_number(number)
    assert phone.is_costly == (phonenumbers.number_type(number) in phones.COSTLY_TYPES)


@pytest.mark.parametrize("number", ["+447912345678", "+12025550123", "+256700123456", "+79123456789", "+80012345678"])
def test_e164_as_programs_write_it_is_read_without_the_librarys_parser(number: str) -> None:
    assert phones._read_e164(number) == phonenumbers.parse(number)


@pytest.mark.parametrize("number", ["+19002345678", "+448431234567", "+491371234567"])
def test_premium_and_shared_cost_numbers_are_blocked_whatever_is_allowed(number: str) -> None:
    phone = parse_phone(number)
    with pytest.raises(DestinationBlocked):
        ensure_destination_allowed(phone, allowed=NOWHERE, blocked=NOWHERE)
    with pytest.raises(DestinationBlocked):
        ensure_destination_allowed(phone, allowed=frozenset({phone.region}), blocked=NOWHERE)


@pytest.mark.parametrize("number", ["+256700123456", "+442079460123", "+390612345678"])
def test_mobile_and_fixed_numbers_are_called(number: str) -> None:
    ensure_destination_allowed(parse_phone(number), allowed=NOWHERE, blocked=NOWHERE)


def test_countries_are_ruled_out_by_either_setting() -> None:
    ghana = parse_phone(GHANA)
    ensure_destination_allowed(ghana, allowed=frozenset({"GH", "UG"}), blocked=frozenset({"KP"}))
    with pytest.raises(DestinationBlocked):
        ensure_destination_allowed(ghana, allowed=frozenset({"UG"}), blocked=NOWHERE)
    with pytest.raises(DestinationBlocked):
        ensure_destination_allowed(ghana, allowed=NOWHERE, blocked=frozenset({"GH"}))
    with pytest.raises(DestinationBlocked):
        ensure_destination_allowed(ghana, allowed=frozenset({"GH"}), blocked=frozenset({"GH"}))


@pytest.mark.parametrize(
    "e164", ["+256700123456", "+14165550123", "+12025550123", "+447400123456", "+390612345678", "+80012345678"]
)
def test_the_region_of_a_number_that_was_read_is_the_one_that_was_read(e164: str) -> None:
    assert region_of(e164) == parse_phone(e164).region
