from __future__ import annotations

import re
from collections.abc import Callable
from timeit import repeat
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages import supported_locales
from letstalk.telephony.speech.scripts import (
    GROUP_SIZES,
    MAX_BRAND_LENGTH,
    MAX_SSML_LENGTH,
    Speech,
    ensure_speakable,
    render_code,
    render_offer,
)

CODES = st.text("0123456789", min_size=6, max_size=10)
BRANDS = st.text(min_size=1, max_size=MAX_BRAND_LENGTH).filter(lambda brand: bool(speakable(brand)))
LOCALES = st.sampled_from(supported_locales())


def speakable(brand: str) -> str:
    return " ".join(re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", brand).split())


def heard(speech: Speech) -> str:
    """The payload's text, as an XML parser sees it."""
    return "".join(ET.fromstring(f"<speak>{speech.ssml}</speak>").itertext())  # noqa: S314 - our own output


def numbers_in(text: str) -> list[str]:
    """Every run of digits, where spaces, commas and full stops do not end one."""
    return [re.sub(r"\D", "", run) for run in re.findall(r"\d(?:[ ,.\s]*\d)*", text)]


@given(code=CODES, brand=BRANDS, locale=LOCALES)
def test_the_code_is_said_twice_and_no_other_number_but_the_brands(code: str, brand: str, locale: str) -> None:
    speech = render_code(code, brand=brand, locale=locale, region=None)

    expected = [*numbers_in(speakable(brand)), code, code]
    assert numbers_in(heard(speech)) == expected
    assert numbers_in(speech.text) == expected
    assert numbers_in(re.sub("<[^>]*>", "", speech.ssml)) == expected
    assert speakable(brand) in heard(speech)
    assert speakable(brand) in speech.text
    assert len(speech.ssml) <= MAX_SSML_LENGTH


@given(
    brand=st.text(max_size=MAX_BRAND_LENGTH + 2),
    locale=st.one_of(st.none(), LOCALES, st.text(max_size=40)),
    message=st.one_of(st.none(), st.text(max_size=310), st.sampled_from(["{code}", "5{code}5", "&" * 300, "<s>"])),
)
def test_what_is_refused_before_a_call_is_what_could_not_be_rendered(
    brand: str, locale: str | None, message: str | None
) -> None:
    def refusal_of(speak: Callable[..., object]) -> str | None:
        try:
            speak("0429150429", brand=brand, locale=locale, region="UG", message=message)
        except (InvalidRequest, ValueError) as error:
            return repr(error)
        return None

    assert refusal_of(ensure_speakable) == refusal_of(render_code)


@given(brand=BRANDS, locale=LOCALES)
def test_an_offer_names_the_brand_and_has_no_number_of_its_own(brand: str, locale: str) -> None:
    offer = render_offer(brand=brand, locale=locale, region=None)

    assert heard(offer) == offer.text
    assert speakable(brand) in offer.text
    assert numbers_in(offer.text) == numbers_in(speakable(brand))
    assert len(offer.ssml) <= MAX_SSML_LENGTH


def test_the_english_words_are_these() -> None:
    speech = render_code("042915", brand="Let's Talk", locale="en", region="KE")

    assert speech.text == (
        "Hello, this is Let's Talk. Your code is: 0 4 2 9 1 5. Again: 0 4 2 9 1 5. Press one to repeat. Goodbye."
    )
    assert speech.language == "en-US"
    assert speech.ssml.startswith("<s>Hello, ")
    assert speech.ssml.endswith("Goodbye.</s>")


@pytest.mark.parametrize("length", sorted(GROUP_SIZES))
def test_digits_come_in_groups_with_a_longer_pause_between_them(length: int) -> None:
    code = "0123456789"[:length]
    first_reading = render_code(code, brand="Acme", locale="en", region=None).ssml.split("</s>")[1]

    pauses = [int(pause) for pause in re.findall(r'time="(\d+)ms"', first_reading)]

    assert len(pauses) == length - 1
    assert min(pauses) >= 200
    ends_of_groups = [position + 1 for position, pause in enumerate(pauses) if pause > min(pauses)]
    assert [end - start for start, end in zip([0, *ends_of_groups], [*ends_of_groups, length], strict=True)] == list(
        GROUP_SIZES[length]
    )


def test_leading_zeros_are_said() -> None:
    speech = render_code("000000", brand="Acme", locale="en", region=None)

    assert speech.text.count("0 0 0 0 0 0") == 2


@pytest.mark.parametrize("brand", ["Studio 54", "54", "3", "1st Bank", "Barclays & Sons <b>", "٥٤", "{brand} {code}"])
def test_a_brand_with_digits_or_markup_stays_apart_from_the_code(brand: str) -> None:
    for locale in supported_locales():
        speech = render_code("042915", brand=brand, locale=locale, region=None)

        assert numbers_in(heard(speech)) == [*numbers_in(brand), "042915", "042915"], locale
        assert brand in heard(speech)
        assert brand in speech.text


def test_a_right_to_left_text_shows_the_digits_in_their_order() -> None:
    english = render_code("042915", brand="Acme", locale="en", region=None)

    for locale in ("ar", "fa", "he", "ur"):
        speech = render_code("042915", brand="Acme", locale=locale, region=None)
        assert speech.text.count("\u20660 4 2 9 1 5\u2069") == 2
        assert "\u2066" not in speech.ssml
    assert "\u2066" not in english.text


@pytest.mark.parametrize("code", ["", "123", "12345678901", "12 456", "12345é", "٠١٢٣٤٥", "-12345", "AB CD"])
def test_what_is_no_code_is_never_spoken_nor_shown(code: str) -> None:
    with pytest.raises(ValueError, match="4 to 10 digits") as caught:
        render_code(code, brand="Acme", locale=None, region=None)

    assert not code or code not in str(caught.value)


@pytest.mark.parametrize("brand", ["", " ", "\n\t", "x" * (MAX_BRAND_LENGTH + 1)])
def test_a_brand_that_cannot_be_spoken_is_refused(brand: str) -> None:
    with pytest.raises(ValueError, match="brand"):
        render_offer(brand=brand, locale=None, region=None)


def test_the_repr_of_a_speech_does_not_show_the_code() -> None:
    shown = repr(render_code("042915", brand="Acme", locale=None, region=None))

    assert "0" not in shown
    assert "en-US" in shown


def test_the_english_text_is_heard_within_twelve_seconds() -> None:
    assert 9 <= render_code("042915", brand="Let's Talk", locale="en", region=None).seconds <= 12


def test_more_digits_take_longer_and_an_offer_is_short() -> None:
    for locale in supported_locales():
        six = render_code("042915", brand="Let's Talk", locale=locale, region=None).seconds
        ten = render_code("0429150429", brand="Let's Talk", locale=locale, region=None).seconds
        offer = render_offer(brand="Let's Talk", locale=locale, region=None).seconds

        assert offer < 7 < six < 15, locale
        assert six + 2 < ten < 22


def test_rendering_takes_less_than_a_tenth_of_a_millisecond() -> None:
    message = ("Pay order 55 at Müller & Co. " * 9)[:280] + "{code} 5 {code}"

    def least_seconds(render: Callable[[], object]) -> float:
        return min(repeat(render, number=20, repeat=125)) / 20  # a busy machine leaves some short stretch alone

    assert least_seconds(lambda: render_code("042915", brand="Acme", locale="en", region=None)) < 100e-6
    assert (
        least_seconds(lambda: render_code("0429150429", brand="Acme", locale="ar", region=None, message=message))
        < 100e-6
    )
