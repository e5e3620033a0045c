"""The languages of calls. Every module of this package is a language and is found automatically.

To add a language, write a module with a `LANGUAGE`, add its voice to each provider (`telnyx/voices.py`), and name it in
`speech/countries.csv` for the countries whose phones are to hear it. That table says for each country why: `percent` of
its people can use the language, by Unicode CLDR 46 (the data of Babel 2.17). The choice is the official language that
calls speak and that most people can use; where it is another one, `reason` says why.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules

from letstalk.core.errors import InvalidRequest

DEFAULT_TAG = "en-US"
BRAND = "{brand}"

# The part of RFC 5646 that names the language: two or three letters, then subtags.
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_MAX_LOCALE_LENGTH = 35  # RFC 5646, 4.4.1: programs should accept at least this length


@dataclass(frozen=True, slots=True)
class Language:
    """One language and the sentences of a call, phrased as a polite bank would phrase them.

    `tag` is BCP 47 ("en-US"), `name` is English, `own_name` is what its speakers call it. `also` are other tags, in
    lower case, that mean this language too.

    `greeting` and `offer` contain the caller's name as `{brand}`. `code_introduction` and `repeat_introduction` come
    before the digits, `hear_again` after them. A word next to the code must not sound like a number ("to", "for",
    "दो"). `offer` announces the code and says how to hear it. Keys are spelled as words, so that the code's digits are
    the only digits in a speech. Raises ValueError for a phrase that breaks these rules.
    """

    tag: str
    name: str
    own_name: str
    greeting: str
    code_introduction: str
    repeat_introduction: str
    hear_again: str
    goodbye: str
    offer: str
    right_to_left: bool = False
    also: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for phrase in self.phrases:
            if any(character.isnumeric() and not character.isalpha() for character in phrase):
                raise ValueError(f"{self.tag}: spell the number as a word in {phrase!r}")
            if phrase.count(BRAND) != (phrase in (self.greeting, self.offer)):
                raise ValueError(f"{self.tag}: use {BRAND} once in greeting and in offer, and nowhere else: {phrase!r}")
            if not any(character.isalpha() for character in phrase.replace(BRAND, "")):
                raise ValueError(f"{self.tag}: {phrase!r} has no word to separate two numbers")

    @property
    def primary(self) -> str:
        """The language of the tag without its country: "en" for "en-US"."""
        return self.tag.partition("-")[0].lower()

    @property
    def phrases(self) -> tuple[str, ...]:
        return (
            self.greeting,
            self.code_introduction,
            self.repeat_introduction,
            self.hear_again,
            self.goodbye,
            self.offer,
        )


def _load() -> tuple[Language, ...]:
    languages = []
    for name in sorted(module.name for module in iter_modules(__path__)):
        language = import_module(f"{__name__}.{name}").LANGUAGE
        if not isinstance(language, Language):
            raise TypeError(f"{__name__}.{name}.LANGUAGE is not a Language")
        languages.append(language)
    return tuple(languages)


def _by_region(by_tag: dict[str, Language]) -> dict[str, Language]:
    """The language of each country's phones. Raises ValueError for a country that is named twice or has no language."""
    by_region: dict[str, Language] = {}
    table = (files("letstalk.telephony.speech") / "countries.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        country, tag = row["country"], row["language"].lower()
        if country in by_region or tag not in by_tag:
            raise ValueError(f"countries.csv: {country} is named twice, or calls do not speak its {row['language']}")
        by_region[country] = by_tag[tag]
    return by_region


# Here, because the modules of the languages import what is above.
LANGUAGES = _load()
_BY_TAG = {tag: language for language in LANGUAGES for tag in (language.tag.lower(), *language.also)}
# Reversed, so that the first file by name wins among those with the same primary language: `en` before `en_gb`.
_BY_PRIMARY = {language.primary: language for language in reversed(LANGUAGES)}
_BY_REGION = _by_region(_BY_TAG)
_DEFAULT = _BY_TAG[DEFAULT_TAG.lower()]


def supported_locales() -> tuple[str, ...]:
    """The tags of all supported languages, in alphabetical order."""
    return tuple(sorted(language.tag for language in LANGUAGES))


def countries_of(language: Language) -> tuple[str, ...]:
    """The countries (ISO 3166) whose phones hear `language` when the request names no locale, in alphabetical order."""
    return tuple(sorted(region for region, chosen in _BY_REGION.items() if chosen is language))


def choose_language(locale: str | None, region: str | None, *, may_fall_back: bool = True) -> Language:
    """The language for a call: that of `locale`, else that of the phone's country (`region`, ISO 3166), else English.

    `locale` is a BCP 47 tag in upper or lower case, with `-` or `_`. An exact match comes first ("es-MX"), then the
    variant of the country that it names ("es-CO"), then the language alone ("es-419"). A well-formed locale that is not
    supported is ignored, because a code in the country's language is more useful than an error. Raises InvalidRequest
    (field `locale`) for a malformed one, and without `may_fall_back` for one that is not supported.
    """
    if locale is not None:
        if len(locale) > _MAX_LOCALE_LENGTH or not _LOCALE.fullmatch(locale):
            raise _invalid('A locale is a BCP 47 tag such as "en" or "pt-BR".')
        supported = next(_matches(locale.replace("_", "-").lower()), None)
        if supported:
            return supported
        if not may_fall_back:
            raise _invalid("This language is not spoken here.")
    return _BY_REGION.get((region or "").upper(), _DEFAULT)


def _matches(tag: str) -> Iterator[Language]:
    """The languages that fit `tag`, the best first."""
    subtags = tag.split("-")
    for length in range(len(subtags), 1, -1):
        if language := _BY_TAG.get("-".join(subtags[:length])):
            yield language
    for subtag in subtags[1:]:
        of_country = _BY_REGION.get(subtag.upper())
        if of_country and of_country.primary == subtags[0]:
            yield of_country
    if language := _BY_TAG.get(subtags[0]) or _BY_PRIMARY.get(subtags[0]):
        yield language


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest.in_field("locale", f"{problem} Supported: {', '.join(supported_locales())}.")
