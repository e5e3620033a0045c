from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import phonenumbers
import pytest

import letstalk
from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages import LANGUAGES, Language, choose_language, countries_of, supported_locales
from tests.telephony.speech.digit_words import DIGIT_WORDS, LIKE_DIGITS, ORDINAL_BY_FULL_STOP

PACKAGE = Path(letstalk.__file__).parent
COUNTRIES = PACKAGE / "telephony" / "speech" / "countries.csv"
SLOVENE = """
from letstalk.telephony.speech.languages import Language

LANGUAGE = Language(
    tag="sl-SI", name="Slovene", own_name="Slovenščina", greeting="Pozdravljeni, {brand} vas kliče.",
    code_introduction="Vaša koda:", repeat_introduction="Ponavljam:", hear_again="Za ponovitev pritisnite ena.",
    goodbye="Na svidenje.", offer="Pozdravljeni, {brand} vas kliče s kodo. Za poslušanje pritisnite ena.",
)
"""


def test_every_file_of_the_package_is_a_language() -> None:
    files = {path.stem for path in (PACKAGE / "telephony" / "speech" / "languages").glob("*.py")} - {"__init__"}

    assert {file.partition("_")[0] for file in files} == {language.primary for language in LANGUAGES}
    assert len(supported_locales()) == len(files) == len(set(supported_locales()))
    assert len({language.name for language in LANGUAGES}) == len(files)
    assert len({language.own_name for language in LANGUAGES}) == len(files)
    assert len(DIGIT_WORDS) >= 40
    assert DIGIT_WORDS.keys() == {language.primary for language in LANGUAGES}


def test_a_language_is_added_by_one_file_and_the_rows_of_its_countries(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "letstalk", ignore=shutil.ignore_patterns("__pycache__"))
    speech = tmp_path / "letstalk" / "telephony" / "speech"
    (speech / "languages" / "sl.py").write_text(SLOVENE, encoding="utf-8")
    table = (speech / "countries.csv").read_text(encoding="utf-8")
    (speech / "countries.csv").write_text(re.sub("SI,en-US,.*", "SI,sl-SI,87,", table), encoding="utf-8")
    program = """
from letstalk.telephony.speech.scripts import render_code
for locale, region in [("sl", None), (None, "SI"), (None, "FR")]:
    print(render_code("042915", brand="Acme", locale=locale, region=region).language)
"""

    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )

    assert answer.stdout.split() == ["sl-SI", "sl-SI", "fr-FR"]


def test_every_country_that_has_phones_has_its_choice() -> None:
    rows = list(csv.DictReader(COUNTRIES.read_text(encoding="utf-8").splitlines()))

    assert [row["country"] for row in rows] == sorted(phonenumbers.SUPPORTED_REGIONS)
    assert {country for language in LANGUAGES for country in countries_of(language)} == phonenumbers.SUPPORTED_REGIONS
    for row in rows:
        assert choose_language(None, row["country"]).tag == row["language"]
        assert 0 <= int(row["percent"]) <= 100
        # A country whose people mostly cannot use the language needs a reason in words or an official language.
        assert int(row["percent"]) or row["reason"], row


def only_letters(word: str) -> str:
    """The word without punctuation, and with the vowel signs of Indian scripts, which `\\w` does not match."""
    return "".join(character for character in word if unicodedata.category(character)[0] in "LM")


def neighbours_of_the_code(language: Language) -> list[str]:
    """What people hear as the last words before the two readings, and as the first after them."""
    words = [[only_letters(word) for word in phrase.casefold().split()] for phrase in language.phrases]
    _, introduction, again, hear_again, *_ = words
    return [introduction[-1], again[-1], again[0], hear_again[0]]


def words_like_digits_beside_the_code(language: Language) -> list[str]:
    """Those of LIKE_DIGITS that are next to a code. Chinese and Thai have no spaces between words."""
    confusable = LIKE_DIGITS.get(language.primary, "").split()
    if language.primary in ("zh", "th"):
        confusable += DIGIT_WORDS[language.primary].split()
    else:
        return [word for word in confusable if word in neighbours_of_the_code(language)]
    introduction, again, hear_again = map(only_letters, language.phrases[1:4])
    ends, starts = (introduction, again), (again, hear_again)
    return [
        word
        for word in confusable
        if any(phrase.endswith(word) for phrase in ends) or any(phrase.startswith(word) for phrase in starts)
    ]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)
def test_the_sentences_keep_the_rules_of_the_language(language: Language) -> None:
    digits = DIGIT_WORDS[language.primary].split()
    letters = {unicodedata.bidirectional(letter) for letter in language.greeting.replace("{brand}", "")}

    for word in neighbours_of_the_code(language):
        assert word not in digits
        assert not [digit for digit in digits if len(digit) > 2 and word.startswith(digit)], word
    assert not words_like_digits_beside_the_code(language)
    if language.primary in ORDINAL_BY_FULL_STOP:
        assert not [phrase for phrase in language.phrases if "{brand}." in phrase], "54. is the 54th"
    assert language.right_to_left == bool(letters & {"R", "AL"})


def test_the_rules_see_what_they_should() -> None:
    german = next(language for language in LANGUAGES if language.tag == "de-DE")
    once_more = replace(german, repeat_introduction="Noch ein Mal:", hear_again="Zweimal tippen.")

    assert neighbours_of_the_code(german) == ["lautet", "nochmals", "nochmals", "zum"]
    assert neighbours_of_the_code(once_more) == ["lautet", "mal", "noch", "zweimal"]
    assert "zwei" in DIGIT_WORDS["de"].split()
    marathi, chinese = (next(each for each in LANGUAGES if each.tag == tag) for tag in ("mr-IN", "zh-CN"))
    assert words_like_digits_beside_the_code(replace(marathi, repeat_introduction="कृपया पुन्हा ऐका:")) == ["ऐका"]
    assert words_like_digits_beside_the_code(replace(chinese, repeat_introduction="为您重复:")) == ["复"]


@pytest.mark.parametrize(
    ("locale", "tag"),
    [
        ("en-US", "en-US"),
        ("EN_us", "en-US"),
        ("en-gb", "en-GB"),
        ("en-AU", "en-GB"),
        ("en-IN", "en-US"),
        ("fr", "fr-FR"),
        ("fr-ca", "fr-CA"),
        ("fr-BE", "fr-FR"),
        ("pt_BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-PT"),
        ("pt-AO", "pt-PT"),
        ("es", "es-US"),
        ("es-419", "es-US"),
        ("es-CO", "es-US"),
        ("es-ES", "es-ES"),
        ("es-mx", "es-MX"),
        ("de-Latn-AT-1996", "de-DE"),
        ("AR", "ar-AE"),
        ("hi_in", "hi-IN"),
        ("sw", "sw-KE"),
        ("zh", "zh-CN"),
        ("zh-Hans-HK", "zh-CN"),
        ("zh-Hant", "zh-TW"),
        ("zh-Hant-TW", "zh-TW"),
        ("zh-Hant-HK", "zh-HK"),
        ("yue", "zh-HK"),
        ("no", "nb-NO"),
        ("nn-NO", "nb-NO"),
        ("tl", "fil-PH"),
        ("iw", "he-IL"),
        ("sr-Latn-RS", "sr-RS"),
        ("fa-AF", "fa-IR"),
    ],
)
def test_a_locale_chooses_its_language_whatever_the_country(locale: str, tag: str) -> None:
    assert choose_language(locale, "JP").tag == tag
    assert choose_language(locale, "JP", may_fall_back=False).tag == tag
    assert choose_language(locale, "DE").tag == tag


@pytest.mark.parametrize(
    ("region", "tag"),
    [
        ("US", "en-US"),
        ("UG", "en-US"),
        ("CA", "en-US"),
        ("IS", "en-US"),
        ("001", "en-US"),
        (None, "en-US"),
        ("", "en-US"),
        ("GB", "en-GB"),
        ("FR", "fr-FR"),
        ("SN", "fr-FR"),
        ("BE", "nl-NL"),
        ("CH", "de-DE"),
        ("MX", "es-MX"),
        ("CO", "es-US"),
        ("BR", "pt-BR"),
        ("AO", "pt-PT"),
        ("MA", "ar-AE"),
        ("IN", "hi-IN"),
        ("JP", "ja-JP"),
        ("HK", "zh-HK"),
        ("UA", "uk-UA"),
        ("ZA", "en-US"),
        ("KE", "sw-KE"),
        ("ke", "sw-KE"),
    ],
)
def test_without_a_locale_the_phones_country_chooses(region: str | None, tag: str) -> None:
    assert choose_language(None, region).tag == tag


def test_a_locale_that_is_not_spoken_counts_as_none() -> None:
    assert choose_language("sl-SI", "KE").tag == "sw-KE"
    assert choose_language("is", "IS").tag == "en-US"
    assert choose_language("sl-US", "KE").tag == "sw-KE"


@pytest.mark.parametrize(
    "locale",
    [
        "",
        " ",
        "e",
        "english",
        "en-",
        "-en",
        "en--US",
        "en US",
        "en\n",
        "12",
        "pt_BR.UTF-8",
        "e\u212a",
        "ar-٣",
        "en-" * 20,
    ],
)
def test_a_malformed_locale_is_refused_with_the_list_of_good_ones(locale: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose_language(locale, "US")

    assert [detail.field for detail in caught.value.details] == ["locale"]
    assert "pt-BR" in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"hear_again": "Press 1 to repeat."},
        {"goodbye": "Bye ٣."},
        {"greeting": "Hello."},
        {"offer": "{brand}, {brand}: press one."},
        {"code_introduction": "{brand}:"},
        {"repeat_introduction": "…"},
    ],
)
def test_a_language_that_breaks_the_rules_is_refused_when_it_loads(wrong: dict[str, str]) -> None:
    phrases = {
        "greeting": "Hello, {brand}.",
        "code_introduction": "Your code:",
        "repeat_introduction": "Again:",
        "hear_again": "Press one.",
        "goodbye": "Bye.",
        "offer": "{brand} calls. Press one.",
    }

    assert language_with(phrases).goodbye == "Bye."
    with pytest.raises(ValueError, match="en-XX"):
        language_with({**phrases, **wrong})


def language_with(phrases: dict[str, str]) -> Language:
    return Language(
        tag="en-XX",
        name="English",
        own_name="English",
        greeting=phrases["greeting"],
        code_introduction=phrases["code_introduction"],
        repeat_introduction=phrases["repeat_introduction"],
        hear_again=phrases["hear_again"],
        goodbye=phrases["goodbye"],
        offer=phrases["offer"],
    )
