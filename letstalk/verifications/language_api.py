"""`GET /api/languages`: what a call can speak."""

from __future__ import annotations

from letstalk.http.guards import public
from letstalk.http.openapi import ApiRoutes
from letstalk.http.schemas import JsonResponse, ResponseModel, with_example
from letstalk.telephony.speech.languages import DEFAULT_TAG, LANGUAGES, countries_of


class LanguageResponse(ResponseModel):
    """One language, and the countries (ISO 3166) whose phones hear it when a send names no other."""

    locale: str
    name: str
    countries: list[str]


class LanguagesResponse(ResponseModel):
    """Every language that calls speak. `default` is for the phones of all other countries."""

    model_config = with_example(
        {
            "default": DEFAULT_TAG,
            "languages": [{"locale": "de-DE", "name": "German", "countries": ["AT", "CH", "DE", "LI"]}],
        }
    )

    default: str
    languages: list[LanguageResponse]


def make_blueprint() -> ApiRoutes:
    api = ApiRoutes("languages", "Languages", "What a call can speak.", "/api/languages")
    spoken = sorted(LANGUAGES, key=lambda language: language.tag)
    known = [
        LanguageResponse(locale=language.tag, name=language.name, countries=list(countries_of(language)))
        for language in spoken
    ]
    content = LanguagesResponse(default=DEFAULT_TAG, languages=known).model_dump()

    @api.get("", summary="List the languages of calls", responses={200: LanguagesResponse})
    @public
    def list_languages() -> JsonResponse:
        """Each is a value for `locale` of a send; so is its language alone, such as `pt`."""
        return content

    return api
