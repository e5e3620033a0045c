"""The languages of calls. Every module of this package is a language and is found automatically.

To add a language, write a module with a `LANGUAGE`, and add its voice to each provider (`telnyx/voices.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
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

    `tag` is BCP 47 ("en-US"). `regions` are the ISO 3166 countries whose phones get this language when the request
    names no locale.

    `greeting` and `offer` contain the caller's name as `{brand}`. `code_introduction` and `repeat_introduction` come
    before the digits, `hear_again` after them. A word next to the code must not sound like a number ("to", "for",
    "दो"). `offer` announces the code and says how to hear it. Keys are spelled as words, so that the code's digits are
    the only digits in a speech. Raises ValueError for a phrase that breaks these rules.
    """

    tag: str
    regions: frozenset[str]
    greeting: str
    code_introduction: str
    repeat_introduction: str
    hear_again: str
    goodbye: str
    offer: str
    right_to_left: bool = False

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


def countries(codes: str) -> frozenset[str]:
    """The ISO 3166 codes in a text that separates them with spaces, which is easier to edit than a set of strings."""
    return frozenset(codes.split())


def _load() -> tuple[Language, ...]:
    languages = []
    for name in sorted(module.name for module in iter_modules(__path__)):
        language = import_module(f"{__name__}.{name}").LANGUAGE
        if not isinstance(language, Language):
            raise TypeError(f"{__name__}.{name}.LANGUAGE is not a Language")
        languages.append(language)
    return tuple(languages)


def _by_region(languages: tuple[Language, ...]) -> dict[str, Language]:
    by_region: dict[str, Language] = {}
    for language in languages:
        for region in language.regions:
            if region in by_region:
                raise ValueError(f"{by_region[region].tag} and {language.tag} both list the region {region}")
            by_region[region] = language
    return by_region


# Here, because the modules of the languages import what is above.
LANGUAGES = _load()
_BY_TAG = {language.tag.lower(): language for language in LANGUAGES}
# Reversed, so that the first file by name wins among those with the same primary language: `en` before `en_gb`.
_BY_PRIMARY = {language.primary: language for language in reversed(LANGUAGES)}
_BY_REGION = _by_region(LANGUAGES)
_DEFAULT = _BY_TAG[DEFAULT_TAG.lower()]


def supported_locales() -> tuple[str, ...]:
    """The tags of all supported languages, in alphabetical order."""
    return tuple(sorted(language.tag for language in LANGUAGES))


def choose_language(locale: str | None, region: str | None, *, may_fall_back: bool = True) -> Language:
    """The language for a call: that of `locale`, else that of the phone's country (`region`, ISO 3166), else English.

    `locale` is a BCP 47 tag in upper or lower case, with `-` or `_`. An exact match of language and country comes
    first, then a match of the language alone. A well-formed locale that is not supported is ignored, because a code in
    the country's language is more useful than an error. Raises InvalidRequest (field `locale`) for a malformed one, and
    without `may_fall_back` for one that is not supported.
    """
    if locale is not None:
        if len(locale) > _MAX_LOCALE_LENGTH or not _LOCALE.fullmatch(locale):
            raise _invalid('A locale is a BCP 47 tag such as "en" or "pt-BR".')
        tag = locale.replace("_", "-").lower()
        supported = _BY_TAG.get(tag) or _BY_PRIMARY.get(tag.partition("-")[0])
        if supported:
            return supported
        if not may_fall_back:
            raise _invalid("This language is not spoken here.")
    return _BY_REGION.get((region or "").upper(), _DEFAULT)


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest.in_field("locale", f"{problem} Supported: {', '.join(supported_locales())}.")
