"""What a call speaks, where the app asks for a language, and where it asks for one that is not spoken here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from letstalk.telephony.speech.languages import LANGUAGES, countries_of, supported_locales
from letstalk.telephony.speech.scripts import render_code
from tests.http.test_idempotency import a_key
from tests.support.apps import Api, issue_token, make_app
from tests.support.world import SEND_PATH, World

KENYA, US = "+254712123456", "+12025550142"


@pytest.fixture(params=["on", "off"])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Flask:
    return make_app(tmp_path, FAST_PATH=request.param)


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app))


@pytest.mark.parametrize(
    ("phone", "locale", "spoken"),
    [
        (US, "is", "en-US"),
        (KENYA, "is", "sw-KE"),
        (KENYA, None, "sw-KE"),
        (US, None, "en-US"),
        (US, "pt-AO", "pt-PT"),
        (KENYA, "FR_be", "fr-FR"),
    ],
)
def test_every_response_with_a_locale_says_what_is_spoken(
    api: Api, phone: str, locale: str | None, spoken: str
) -> None:
    sent = api.post(SEND_PATH, {"phone": phone, "locale": locale})
    assert (sent.status_code, sent.get_json()["spoken_locale"]) == (202, spoken)
    assert "locale" not in sent.get_json()
    where = f"/calls/{sent.get_json()['verification_id']}"
    [listed] = api.get("/calls").get_json()["verifications"]
    for shown in (api.get(where).get_json(), listed, api.post(f"{where}/cancel").get_json()):
        assert (shown["locale"], shown["spoken_locale"]) == (locale, spoken)
    heard = render_code("048213", brand="Acme", locale=locale, region={US: "US", KENYA: "KE"}[phone])
    assert heard.language == spoken


def test_without_fallback_a_language_that_is_not_spoken_is_refused_and_nobody_is_called(api: Api) -> None:
    body = {"phone": KENYA, "locale": "is", "locale_fallback": False}
    refused = api.post(SEND_PATH, body, Idempotency_Key="one")
    assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")
    [detail] = refused.get_json()["details"]
    assert detail["field"] == "locale"
    assert all(tag in detail["message"] for tag in supported_locales())
    with_message = api.post(SEND_PATH, {**body, "message": "Your code is {code}."})
    assert [detail["field"] for detail in with_message.get_json()["details"]] == ["locale"]
    assert api.get("/calls").get_json()["verifications"] == []


@pytest.mark.parametrize("locale", [None, "sw", "sw-TZ", "en-IE"])
def test_without_fallback_what_is_spoken_is_called(api: Api, locale: str | None) -> None:
    sent = api.post(SEND_PATH, {"phone": KENYA, "locale": locale, "locale_fallback": False})
    assert (sent.status_code, sent.get_json()["spoken_locale"][:2]) == (202, (locale or "sw")[:2])


@pytest.mark.parametrize("fallback", [None, "false", 0, 1, [], {}])
def test_a_fallback_that_is_neither_true_nor_false_is_refused(api: Api, fallback: Any) -> None:
    refused = api.post(SEND_PATH, {"phone": US, "locale": "is", "locale_fallback": fallback})
    assert refused.status_code == 400
    assert [detail["field"] for detail in refused.get_json()["details"]] == ["locale_fallback"]
    assert api.get("/calls").get_json()["verifications"] == []


def test_a_repeat_and_a_replay_say_it_too(world: World) -> None:
    first = world.send(KENYA, idempotency=a_key(), locale="fr-BE")
    assert (first.spoken_locale, world.send(KENYA, idempotency=a_key(), locale="fr-BE").spoken_locale) == ("fr-FR",) * 2
    world.pass_time(30)
    key = a_key(path="/calls/replay")
    replays = [world.replay(first.verification_id, idempotency=key) for _ in range(2)]
    assert [(replay.spoken_locale, replay.is_first_response) for replay in replays] == [
        ("fr-FR", True),
        ("fr-FR", False),
    ]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_first_response_of_an_older_version_comes_again_with_it(world: World, is_deleted: bool) -> None:
    first = world.send(KENYA, idempotency=a_key(), locale="fr")
    with world.db.write() as connection:
        connection.execute(
            text("UPDATE idempotency_keys SET answer = replace(answer, '\"spoken_locale\": \"fr-FR\", ', '')")
        )
        assert "spoken_locale" not in connection.execute(text("SELECT answer FROM idempotency_keys")).scalar_one()
        if is_deleted:
            connection.execute(text("DELETE FROM verifications"))
    again = world.send(KENYA, idempotency=a_key(), locale="fr")
    assert (again.verification_id, again.is_first_response) == (first.verification_id, False)
    assert again.spoken_locale == ("sw-KE" if is_deleted else "fr-FR")


def test_everyone_can_read_the_languages_with_their_countries(app: Flask) -> None:
    answer = app.test_client().get("/api/languages")
    assert answer.status_code == 200
    listed = {entry["locale"]: (entry["name"], entry["countries"]) for entry in answer.get_json()["languages"]}
    assert listed == {language.tag: (language.name, list(countries_of(language))) for language in LANGUAGES}
    assert listed["de-DE"] == ("German", ["AT", "CH", "DE", "LI"])
    assert answer.get_json()["default"] == "en-US"
