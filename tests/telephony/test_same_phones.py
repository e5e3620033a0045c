"""One phone under several numbers: all of them are counted as one, and other phones are not."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.numbering import SAME_PHONE_CODES, canonical_e164
from letstalk.telephony.phone_numbers import parse_phone

SAME = {
    "San Marino by Italy's code": ("+390549886377", "+3780549886377"),
    "Northern Ireland by Ireland's code": ("+3534828901234", "+442828901234"),
    "Palestine by Israel's code": ("+97022345678", "+97222345678"),
    "a mobile phone of Palestine": ("+970591234567", "+972591234567"),
    "Kosovo by Monaco's code": ("+37744123456", "+38344123456"),
    "Crimea by both codes": ("+380652123456", "+73652123456"),
    "Sevastopol by both codes": ("+380692123456", "+78692123456"),
    "Abkhazia by Georgia's code": ("+995442261234", "+78402261234"),
    "Martinique by France's code": ("+33596123456", "+596596123456"),
    "Mayotte by France's code": ("+33269601234", "+262269601234"),
    "Saint Pierre by France's code": ("+33508411234", "+508411234"),
    "Argentina's 9": ("+5491123456789", "+541123456789"),
    "Mexico's 1": ("+5215512345678", "+525512345678"),
    "Brazil's ninth digit": ("+551176543210", "+5511976543210"),
    "Gabon before 2019": ("+24107112345", "+24177112345"),
    "a landline of Gabon before 2019": ("+24101356597", "+24111356597"),
    "Telekom's 13": ("+49171131234567", "+491711234567"),
    "Telekom's 13 in 0151": ("+491511312345678", "+4915112345678"),
    "Vodafone's 50": ("+491520501234567", "+4915201234567"),
    "Vodafone's 55": ("+49172551234567", "+491721234567"),
    "E-Plus's 99": ("+491577991234567", "+4915771234567"),
    "O2's 33": ("+491763312345678", "+4917612345678"),
    "1&1's 00": ("+491550060123456", "+4915560123456"),
    "A1's 77": ("+43664771234567", "+436641234567"),
    "Magenta's 22": ("+43676221234567", "+436761234567"),
    "Orange's 3": ("+4369931234567", "+4369911234567"),
    "Switzerland's 086": ("+41860791234567", "+41791234567"),
    "Liechtenstein's 69": ("+423697722071", "+4237722071"),
    "Ireland's 5": ("+3538751234567", "+353871234567"),
    "Israel's 151": ("+972151501234567", "+972501234567"),
    "Israel's 153": ("+97215335835936", "+97235835936"),
    "Italy's two digits": ("+39347391234567", "+393471234567"),
    "Sweden's 254": ("+46254701234567", "+46701234567"),
    "Czechia's 93": ("+42093601123456", "+420601123456"),
}


@pytest.mark.parametrize("numbers", SAME.values(), ids=SAME)
def test_all_numbers_of_a_phone_are_counted_as_one(numbers: tuple[str, str]) -> None:
    assert len({canonical_e164(number) for number in numbers}) == 1


@pytest.mark.parametrize(
    "numbers",
    [
        ("+390549886377", "+390549886378"),
        ("+5491123456789", "+5491123456780"),
        ("+5511932345678", "+551132345678"),  # without its ninth digit a mobile phone would be a landline
        ("+491711312345", "+4917112345"),  # 13 begins the number of a subscriber
        ("+4366477123456", "+43664123456"),
        ("+353855123456", "+35385123456"),
        ("+33612345678", "+262612345678"),
        ("+970591234567", "+970591234568"),
    ],
)
def test_other_phones_are_counted_apart(numbers: tuple[str, str]) -> None:
    assert canonical_e164(numbers[0]) != canonical_e164(numbers[1])


# libphonenumber's two examples of Argentina are one phone, with and without the 9.
@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS - {"AR"}))
def test_the_usual_numbers_of_a_country_keep_their_own(region: str) -> None:
    """Two examples of one country, a landline and a mobile phone, are never the same phone."""
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    numbers = {
        phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164) for one in examples if one is not None
    }
    assert len({canonical_e164(number) for number in numbers}) == len(numbers)


@given(st.sampled_from(SAME_PHONE_CODES), st.integers(min_value=10**6, max_value=10**11))
def test_what_a_phone_is_counted_under_is_counted_under_itself(code: str, digits: int) -> None:
    counted = canonical_e164(f"+{code}{digits}"[:16])
    assert canonical_e164(counted) == counted


def test_a_phone_is_called_by_the_number_that_was_given() -> None:
    phone = parse_phone("+39 0549 886377")
    assert (phone.e164, phone.canonical) == ("+390549886377", "+3780549886377")
