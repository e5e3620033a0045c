from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest

import letstalk
from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages import LANGUAGES, Language, choose_language, supported_locales

PACKAGE = Path(letstalk.__file__).parent
ITALIAN = """
from letstalk.telephony.speech.languages import Language, countries

LANGUAGE = Language(
    tag="it-IT", regions=countries("IT SM VA"), greeting="Buongiorno, {brand}.",
    code_introduction="Il codice è:", repeat_introduction="Ripeto:", hear_again="Per riascoltare, prema uno.",
    goodbye="Arrivederci.", offer="Buongiorno, {brand} chiama con il suo codice. Per ascoltarlo, prema uno.",
)
"""


def test_every_file_of_the_package_is_a_language() -> None:
    files = {path.stem for path in (PACKAGE / "telephony" / "speech" / "languages").glob("*.py")} - {"__init__"}

    assert files == {language.primary for language in LANGUAGES}
    assert files >= {"en", "fr", "es", "pt", "de", "ar", "hi", "sw"}
    assert len(supported_locales()) == len(files)


def test_a_language_is_added_by_one_file(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "letstalk", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "letstalk" / "telephony" / "speech" / "languages" / "it.py").write_text(ITALIAN, encoding="utf-8")
    program = """
from letstalk.telephony.speech.scripts import render_code
for locale, region in [("it", None), (None, "SM"), (None, "FR")]:
    print(render_code("042915", brand="Acme", locale=locale, region=region).language)
"""

    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )

    assert answer.stdout.split() == ["it-IT", "it-IT", "fr-FR"]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)
def test_a_language_claims_only_countries_that_have_phones(language: Language) -> None:
    assert language.regions <= phonenumbers.SUPPORTED_REGIONS


@pytest.mark.parametrize(
    ("locale", "tag"),
    [
        ("en-US", "en-US"),
        ("EN_us", "en-US"),
        ("en-gb", "en-US"),
        ("fr", "fr-FR"),
        ("pt_BR", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("es-419", "es-US"),
        ("de-Latn-AT-1996", "de-DE"),
        ("AR", "ar-AE"),
        ("hi_in", "hi-IN"),
        ("sw", "sw-KE"),
    ],
)
def test_a_locale_chooses_its_language_whatever_the_country(locale: str, tag: str) -> None:
    assert choose_language(locale, "JP").tag == tag
    assert choose_language(locale, "DE").tag == tag


@pytest.mark.parametrize(
    ("region", "tag"),
    [
        ("US", "en-US"),
        ("UG", "en-US"),
        ("CA", "en-US"),
        ("JP", "en-US"),
        ("001", "en-US"),
        (None, "en-US"),
        ("", "en-US"),
        ("FR", "fr-FR"),
        ("SN", "fr-FR"),
        ("BE", "fr-FR"),
        ("CH", "de-DE"),
        ("MX", "es-US"),
        ("AO", "pt-BR"),
        ("MA", "ar-AE"),
        ("IN", "hi-IN"),
        ("KE", "sw-KE"),
        ("ke", "sw-KE"),
    ],
)
def test_without_a_locale_the_phones_country_chooses(region: str | None, tag: str) -> None:
    assert choose_language(None, region).tag == tag


def test_a_locale_that_is_not_spoken_counts_as_none() -> None:
    assert choose_language("it-IT", "KE").tag == "sw-KE"
    assert choose_language("zh-Hant-TW", "TW").tag == "en-US"


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
        regions=frozenset(),
        greeting=phrases["greeting"],
        code_introduction=phrases["code_introduction"],
        repeat_introduction=phrases["repeat_introduction"],
        hear_again=phrases["hear_again"],
        goodbye=phrases["goodbye"],
        offer=phrases["offer"],
    )
