"""The dashboard's page of languages: what a call says in each, what was understood of it, and how it sounds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, render_template, send_file
from flask.typing import ResponseReturnValue

from letstalk.core.errors import NotFound
from letstalk.http.guards import signed_in
from letstalk.telephony.recordings.builder import EXAMPLE_CODE, find_example
from letstalk.telephony.recordings.voices import PACKAGED_VOICES, PackagedVoice
from letstalk.telephony.speech.heard import Heard, heard_in
from letstalk.telephony.speech.languages import LANGUAGES, Language, countries_of
from letstalk.telephony.speech.scripts import render_code


@dataclass(frozen=True, slots=True)
class ShownLanguage:
    """A language as the page shows it. `voices` are by the provider's name.

    `packaged` is the voice that can record it here; None: no voice with a free licence is known to be understood.
    """

    language: Language
    countries: tuple[str, ...]
    voices: Mapping[str, str]
    example: str
    heard: Heard | None
    packaged: PackagedVoice | None
    command: str


def make_blueprint(brand_name: str, voices: Mapping[str, Mapping[str, str]], folder: Path) -> Blueprint:
    """`voices` are by the provider's name and the language's tag. `folder` is where `flask voices build` writes."""
    blueprint = Blueprint("language_pages", __name__)
    shown = [_show(each, brand_name, voices) for each in sorted(LANGUAGES, key=lambda language: language.name)]

    @blueprint.get("/dashboard/languages")
    @signed_in
    def index() -> ResponseReturnValue:
        recorded = {each.language.tag for each in shown if find_example(folder, each.language.tag)}
        return render_template("verifications/languages.html", shown=shown, recorded=recorded, code=EXAMPLE_CODE)

    @blueprint.get("/dashboard/languages/<locale>/example.wav")
    @signed_in
    def play(locale: str) -> ResponseReturnValue:
        path = find_example(folder, locale)
        if path is None:
            raise NotFound("There is no recording of this language.")
        return send_file(path, mimetype="audio/wav", conditional=True)

    return blueprint


def _show(language: Language, brand_name: str, voices: Mapping[str, Mapping[str, str]]) -> ShownLanguage:
    speech = render_code(EXAMPLE_CODE, brand=brand_name, locale=language.tag, region=None)
    return ShownLanguage(
        language=language,
        countries=countries_of(language),
        voices={provider: names[language.tag] for provider, names in voices.items()},
        example=speech.text,
        heard=heard_in(language.tag),
        packaged=PACKAGED_VOICES.get(language.tag),
        command=f".venv/bin/flask voices build {language.tag} --brand {shlex.quote(brand_name)}",
    )
