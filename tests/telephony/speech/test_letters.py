"""Letters of a code: each is spelled in the way of its language, and nothing in it sounds like another digit."""

from __future__ import annotations

import re
from string import ascii_uppercase

import pytest

from letstalk.telephony.speech.languages import LANGUAGES
from letstalk.telephony.speech.letters import ALPHABETS, INTERNATIONAL, Alphabet, alphabet_of
from letstalk.telephony.speech.scripts import MAX_SSML_LENGTH, render_code


def text_of(code: str, locale: str) -> str:
    return render_code(code, brand="Acme", locale=locale, region=None).text


def test_letters_and_digits_are_read_one_by_one_and_twice() -> None:
    assert text_of("B4a9", "en").count("B as in Bravo, 4, A as in Alfa, 9") == 2
    assert text_of("B4A9", "de").count("B wie Berlin, 4, A wie Aachen, 9") == 2
    assert text_of("B4A9", "fr-CA").count("B comme Berthe, 4, A comme Anatole, 9") == 2
    assert text_of("B4A9", "sw").count("B, Bravo, 4, A, Alfa, 9") == 2


def test_a_code_of_digits_is_read_as_ever() -> None:
    assert text_of("4821", "en").count("4 8 2 1.") == 2


@pytest.mark.parametrize("language", sorted(ALPHABETS))
def test_each_word_stands_for_its_letter(language: str) -> None:
    alphabet = ALPHABETS[language]
    assert alphabet_of(language) is alphabet
    assert len(set(alphabet.words)) == len(ascii_uppercase)
    base = {"É": "E"}
    for letter, word in zip(ascii_uppercase, alphabet.words, strict=True):
        assert base.get(word[0], word[0]) == letter, word
        assert not re.search(r"\d", alphabet.spell(letter))


def test_every_alphabet_is_of_a_language_that_is_spoken() -> None:
    assert set(ALPHABETS) <= {language.primary for language in LANGUAGES}
    assert alphabet_of("zu") is INTERNATIONAL


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)
def test_the_longest_code_fits_in_every_language(language: object) -> None:
    speech = render_code("QQWWVVDDFF", brand="x" * 60, locale=getattr(language, "tag", ""), region=None)
    assert len(speech.ssml) <= MAX_SSML_LENGTH
    assert "QQ" not in speech.text


def test_an_alphabet_without_a_word_for_each_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="26 words"):
        Alphabet("{letter}, {word}", ("Alfa",))
