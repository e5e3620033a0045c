from __future__ import annotations

import base64
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letstalk.config.settings import Settings, load_settings
from letstalk.core.clock import utc_now
from letstalk.core.errors import InvalidSignature
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.http.openapi import ApiRoutes
from letstalk.telephony.events import ReceiveWebhook, WebhookRequest
from letstalk.telephony.provider import Parts, Telephony
from letstalk.telephony.registry import PROVIDERS, RegisteredProvider, build_telephony, make_webhook_blueprints
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.simulator.terminal import Terminal
from letstalk.telephony.telnyx.provider import build_telnyx

PUBLIC_KEY = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
TELNYX = {
    "TELEPHONY_PROVIDER": "telnyx",
    "PUBLIC_URL": "https://example.org",
    "TELNYX_API_KEY": "KEY0",
    "TELNYX_CONNECTION_ID": "1",
    "TELNYX_FROM_NUMBER": "+12025550123",
    "TELNYX_PUBLIC_KEY": PUBLIC_KEY,
}
REQUEST = WebhookRequest("POST", "https://example.org/api/webhooks/telnyx", {}, b"{}")


@pytest.fixture
def telnyx_settings(tmp_path: Path) -> Settings:
    return load_settings({"FLASK_ENV": "development", **TELNYX}, None, root=tmp_path)


@pytest.fixture
def simulator_settings(tmp_path: Path) -> Settings:
    return load_settings({"FLASK_ENV": "development"}, None, root=tmp_path)


def build(settings: Settings) -> Telephony:
    vault = Vault((make_encryption_key(),))
    return build_telephony(
        settings, Parts(utc_now, b"k" * 32, Database(settings.database_url.get_secret_value()), vault)
    )


def test_a_provider_is_built_by_its_name(simulator_settings: Settings, telnyx_settings: Settings) -> None:
    assert build(simulator_settings).provider.name == "simulator"
    assert build(telnyx_settings).provider.name == "telnyx"


def test_only_a_provider_that_sends_webhooks_has_a_reader(
    simulator_settings: Settings, telnyx_settings: Settings
) -> None:
    assert build(simulator_settings).webhooks is None
    assert build(telnyx_settings).webhooks is not None


def test_the_setting_accepts_exactly_the_registered_providers() -> None:
    accepted = get_args(Settings.model_fields["telephony_provider"].annotation)

    assert set(accepted) == set(PROVIDERS), "Add the provider to TELEPHONY_PROVIDER in letstalk/config/settings.py."


def test_an_unknown_name_is_refused_with_those_that_are_known(simulator_settings: Settings) -> None:
    with pytest.raises(ValueError, match="the providers are: simulator, telnyx"):
        build(simulator_settings.model_copy(update={"telephony_provider": "carrier-pigeon"}))


@pytest.mark.parametrize("name", [name for name in TELNYX if name != "TELEPHONY_PROVIDER"])
def test_telnyx_says_what_it_misses(telnyx_settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        build(telnyx_settings.model_copy(update={name.lower(): None}))


@pytest.mark.parametrize(("flask_env", "is_shown"), [("development", True), ("production", False)])
def test_only_a_developers_own_terminal_shows_what_a_phone_hears(
    simulator_settings: Settings, monkeypatch: pytest.MonkeyPatch, flask_env: str, is_shown: bool
) -> None:
    given: list[object] = []

    class RecordingSimulator(SimulatorProvider):
        def __init__(self, **options: object) -> None:
            given.append(options["listener"])

    monkeypatch.setattr("letstalk.telephony.simulator.provider.SimulatorProvider", RecordingSimulator)
    build(simulator_settings.model_copy(update={"flask_env": flask_env}))

    assert [isinstance(listener, Terminal) for listener in given] == [is_shown]


@pytest.mark.parametrize("provider_name", list(PROVIDERS))
def test_every_webhook_route_exists_whichever_provider_is_used(provider_name: str) -> None:
    names = [blueprint.name for blueprint in make_webhook_blueprints(provider_name, lambda _: None)]

    assert names == ["telnyx_webhooks"]


def test_only_the_routes_of_the_provider_in_use_receive_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[WebhookRequest] = []
    given: list[ReceiveWebhook] = []

    def make_blueprint(receive: ReceiveWebhook) -> ApiRoutes:
        given.append(receive)
        return ApiRoutes("telnyx_webhooks", "Webhooks", "")

    monkeypatch.setitem(PROVIDERS, "telnyx", RegisteredProvider("Telnyx", build_telnyx, make_blueprint))
    make_webhook_blueprints("telnyx", received.append)
    make_webhook_blueprints("simulator", received.append)

    in_use, not_in_use = given
    in_use(REQUEST)
    with pytest.raises(InvalidSignature):
        not_in_use(REQUEST)
    assert received == [REQUEST]
