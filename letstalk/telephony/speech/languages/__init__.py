"""The languages of calls. Every module of this package except `base` is a language and is found automatically.

To add a language, write a module with a `LANGUAGE`, and add its voice to each provider (`telnyx/voices.py`).
"""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages.base import Language

DEFAULT_TAG = "en-US"

# The part of RFC 5646 that names the language: two or three letters, then subtags.
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_MAX_LOCALE_LENGTH = 35  # RFC 5646, 4.4.1: programs should accept at least this length


def _load() -> tuple[Language, ...]:
    names = sorted(module.name for module in iter_modules(__path__) if module.name != "base")
    languages = []
    for name in names:
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


LANGUAGES = _load()
_BY_TAG = {language.tag.lower(): language for language in LANGUAGES}
# Reversed, so that the first file by name wins among those with the same primary language: `en` before `en_gb`.
_BY_PRIMARY = {language.primary: language for language in reversed(LANGUAGES)}
_BY_REGION = _by_region(LANGUAGES)
_DEFAULT = _BY_TAG[DEFAULT_TAG.lower()]


def supported_locales() -> tuple[str, ...]:
    """The tags of all supported languages, in alphabetical order."""
    return tuple(sorted(language.tag for language in LANGUAGES))


def choose_language(locale: str | None, region: str | None) -> Language:
    """The language for a call: that of `locale`, else that of the phone's country (`region`, ISO 3166), else English.

    `locale` is a BCP 47 tag in upper or lower case, with `-` or `_`. An exact match of language and country comes
    first, then a match of the language alone. A well-formed locale that is not supported is ignored, because a code in
    the country's language is more useful than an error. Raises InvalidRequest (field `locale`) for a malformed one.
    """
    if locale is not None:
        if len(locale) > _MAX_LOCALE_LENGTH or not _LOCALE.fullmatch(locale):
            known = ", ".join(supported_locales())
            raise InvalidRequest.in_field(
                "locale", f'A locale is a BCP 47 tag such as "en" or "pt-BR". Supported: {known}.'
            )
        tag = locale.replace("_", "-").lower()
        supported = _BY_TAG.get(tag) or _BY_PRIMARY.get(tag.partition("-")[0])
        if supported:
            return supported
    return _BY_REGION.get((region or "").upper(), _DEFAULT)
