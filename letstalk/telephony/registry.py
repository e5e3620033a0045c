"""Which providers there are, by the names that `TELEPHONY_PROVIDER` may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from letstalk.core.clock import Clock
from letstalk.telephony.provider import CallProvider, EventSink, WebhookReader
from letstalk.telephony.simulator.provider import PhoneSpeaker, SimulatorProvider
from letstalk.telephony.telnyx.provider import TelnyxProvider
from letstalk.telephony.telnyx.webhooks import TelnyxWebhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class TelephonyOptions:
    """All that any provider may want to know; each takes its own."""

    sink: EventSink
    clock: Clock
    brand_name: str
    state_key: bytes
    public_url: str | None = None
    telnyx_api_key: str | None = None
    telnyx_connection_id: str | None = None
    telnyx_from_number: str | None = None
    telnyx_public_key: str | None = None
    telnyx_base_url: str | None = None
    simulator_speed: float = 1.0
    phone_speaker: PhoneSpeaker | None = None


@dataclass(frozen=True, slots=True)
class Telephony:
    """A provider, and the reader of its webhooks where it sends any."""

    provider: CallProvider
    webhooks: WebhookReader | None


def build_telephony(name: str, options: TelephonyOptions) -> Telephony:
    """Raises ValueError for an unknown name, or for an option that the provider needs and did not get."""
    builder = _BUILDERS.get(name)
    if builder is None:
        raise ValueError(f"there is no telephony provider {name!r}; there are: {', '.join(sorted(_BUILDERS))}")
    return builder(options)


def _build_telnyx(options: TelephonyOptions) -> Telephony:
    provider = TelnyxProvider(
        api_key=_given(options.telnyx_api_key, "TELNYX_API_KEY"),
        connection_id=_given(options.telnyx_connection_id, "TELNYX_CONNECTION_ID"),
        from_number=_given(options.telnyx_from_number, "TELNYX_FROM_NUMBER"),
        public_url=_given(options.public_url, "PUBLIC_URL"),
        brand_name=options.brand_name,
        state_key=options.state_key,
        base_url=options.telnyx_base_url,
        clock=options.clock,
    )
    public_key = _given(options.telnyx_public_key, "TELNYX_PUBLIC_KEY")
    return Telephony(provider, TelnyxWebhooks(public_key=public_key, state_key=options.state_key))


def _build_simulator(options: TelephonyOptions) -> Telephony:
    provider = SimulatorProvider(
        sink=options.sink,
        speed=options.simulator_speed,
        clock=options.clock,
        phone_speaker=options.phone_speaker,
    )
    return Telephony(provider, webhooks=None)


def _given(value: str | None, name: str) -> str:
    if not value:
        raise ValueError(f"{name} is needed with the provider telnyx")
    return value


_BUILDERS: dict[str, Callable[[TelephonyOptions], Telephony]] = {
    "telnyx": _build_telnyx,
    "simulator": _build_simulator,
}
