"""What the ear hears is what the product says: the same words, digits and pauses."""

from __future__ import annotations

import re

import pytest

from letstalk.telephony.speech.languages import supported_locales
from letstalk.telephony.speech.scripts import render_code
from tools.ear.scripts import BRAND, CANDIDATES, DIGITS, OH, OURS, RUN_ON, pieces_of, product_call, product_reading

CODE = "042915"


@pytest.mark.parametrize("locale", supported_locales())
def test_a_call_has_the_words_and_the_pauses_that_the_product_renders(locale: str) -> None:
    speech = render_code(CODE, brand=BRAND, locale=locale, region=None)

    pieces = product_call(CODE, locale)

    assert "".join(re.findall(r"\d", " ".join(map(str, [p for p in pieces if isinstance(p, str)])))) == CODE * 2
    breaks = sum(int(pause) for pause in re.findall(r'time="(\d+)ms"', speech.ssml))
    assert sum(piece for piece in pieces if isinstance(piece, int)) == breaks + 350 * speech.ssml.count("</s>")


def test_a_reading_is_the_words_before_the_code_and_its_digits() -> None:
    assert product_reading(CODE, "en-US") == ("Your code is:", ("0", 250, "4", 250, "2", 500, "9", 250, "1", 250, "5"))
    assert product_reading(CODE, "en-US", which=1)[0] == "Again:"
    assert product_reading(CODE, "de-DE")[0] == "Ihr Code lautet:"


def test_a_change_of_the_products_pauses_is_heard() -> None:
    assert pieces_of('<s>A: 1 <break time="900ms"/>2</s><break time="500ms"/>') == ("A:", "1", 900, "2", 850)


def test_the_other_scripts_read_the_same_digits() -> None:
    assert OURS.read(CODE, "en-US") == product_reading(CODE, "en-US")[1]
    assert RUN_ON.read(CODE, "en-US") == ("zero four two nine one five",)
    assert OH.read(CODE, "en-US")[0] == "oh"
    assert CANDIDATES[0].read(CODE, "en-US") == ("0", 350, "4", 350, "2", 700, "9", 350, "1", 350, "5")
    assert all(len(set(words)) == 10 for words in DIGITS.values())
