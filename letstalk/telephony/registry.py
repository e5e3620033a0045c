"""The telephony providers, by the values of TELEPHONY_PROVIDER. To add one, write its folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from letstalk.config.settings import Settings
from letstalk.core.errors import InvalidSignature
from letstalk.http.openapi import ApiRoutes
from letstalk.telephony.events import ReceiveWebhook, WebhookRequest
from letstalk.telephony.provider import Parts, Telephony
from letstalk.telephony.simulator.provider import build_simulator
from letstalk.telephony.telnyx.api import make_blueprint as make_telnyx_blueprint
from letstalk.telephony.telnyx.provider import build_telnyx
from letstalk.telephony.telnyx.voices import VOICES as TELNYX_VOICES

BuildTelephony = Callable[[Settings, Parts], Telephony]


@dataclass(frozen=True, slots=True)
class RegisteredProvider:
    """`make_blueprint` makes the route of the provider's webhooks. It is None for a provider that sends none.

    `voices` are the names of its voices, by the tag of the language. It is empty for a provider that speaks to nobody.
    """

    label: str
    build: BuildTelephony
    make_blueprint: Callable[[ReceiveWebhook], ApiRoutes] | None = None
    voices: Mapping[str, str] = field(default_factory=dict)


PROVIDERS: dict[str, RegisteredProvider] = {
    "telnyx": RegisteredProvider(
        "Telnyx", build_telnyx, make_telnyx_blueprint, {tag: voice.name for tag, voice in TELNYX_VOICES.items()}
    ),
    "simulator": RegisteredProvider("Simulator", build_simulator),
}


def build_telephony(settings: Settings, parts: Parts) -> Telephony:
    """The provider that the settings name.

    Raises ValueError for an unknown name, and for a setting that the provider requires and that is not set.
    """
    name: str = settings.telephony_provider
    registered = PROVIDERS.get(name)
    if registered is None:
        raise ValueError(f"unknown telephony provider {name!r}; the providers are: {', '.join(sorted(PROVIDERS))}")
    return registered.build(settings, parts)


def list_voices() -> dict[str, Mapping[str, str]]:
    """The names of each provider's voices, by the provider's name and the tag of the language."""
    return {registered.label: registered.voices for registered in PROVIDERS.values() if registered.voices}


def make_webhook_blueprints(provider_name: str, receive: ReceiveWebhook) -> list[ApiRoutes]:
    """The webhook routes of all providers, so that the API is the same with each of them.

    Only the routes of `provider_name` hand their requests to `receive`. The others reject every request.
    """
    return [
        registered.make_blueprint(receive if name == provider_name else _reject_webhook)
        for name, registered in PROVIDERS.items()
        if registered.make_blueprint is not None
    ]


def _reject_webhook(_request: WebhookRequest) -> None:
    raise InvalidSignature("This service does not use this telephony provider.")
