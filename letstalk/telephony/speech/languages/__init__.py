"""The languages that calls are spoken in: every module of this package but `base` is one, found by itself.

To add one, write a file with a `LANGUAGE`; nothing else names it.
"""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech.languages.base import Language

DEFAULT_TAG = "en-US"

# RFC 5646, as far as it concerns which language to speak: two or three letters, then subtags.
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_MAX_LOCALE_LENGTH = 35  # RFC 5646, 4.4.1: what a program should at least make room for


def _load() -> tuple[Language, ...]:
    names = sorted(module.name for module in iter_modules(__path__) if module.name != "base")
    languages = []
    for name in names:
        language = import_module(f"{__name__}.{name}").LANGUAGE
        if not isinstance(language, Language):
            raise TypeError(f"{__name__}.{name}.LANGUAGE is no Language")
        languages.append(language)
    return tuple(languages)


def _by_region(languages: tuple[Language, ...]) -> dict[str, Language]:
    owners: dict[str, Language] = {}
    for language in languages:
        for region in language.regions:
            if region in owners:
                raise ValueError(f"{owners[region].tag} and {language.tag} both claim the phones of {region}")
            owners[region] = language
    return owners


LANGUAGES = _load()
_BY_TAG = {language.tag.lower(): language for language in LANGUAGES}
# Reversed, so that of several files with one primary language the first by name speaks for it: `en` before `en_gb`.
_BY_PRIMARY = {language.primary: language for language in reversed(LANGUAGES)}
_BY_REGION = _by_region(LANGUAGES)
_DEFAULT = _BY_TAG[DEFAULT_TAG.lower()]


def supported_locales() -> tuple[str, ...]:
    """The tags of all languages that are spoken, in alphabetical order."""
    return tuple(sorted(language.tag for language in LANGUAGES))


def choose_language(locale: str | None, region: str | None) -> Language:
    """The language for a call: `locale`'s, else that of the phone's country (`region`, ISO 3166), else English.

    `locale` is a BCP 47 tag in any case, with `-` or `_`: its exact language and country if we have them, else the
    language alone. One that is well-formed but not spoken here counts as none: hearing the code in the country's
    language is worth more than an error. Raises InvalidRequest (field `locale`) for a malformed one.
    """
    if locale is not None:
        if len(locale) > _MAX_LOCALE_LENGTH or not _LOCALE.fullmatch(locale):
            known = ", ".join(supported_locales())
            raise InvalidRequest.in_field(
                "locale", f'A locale is a BCP 47 tag such as "en" or "pt-BR". Spoken are: {known}.'
            )
        tag = locale.replace("_", "-").lower()
        spoken = _BY_TAG.get(tag) or _BY_PRIMARY.get(tag.partition("-")[0])
        if spoken:
            return spoken
    return _BY_REGION.get((region or "").upper(), _DEFAULT)
