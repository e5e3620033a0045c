"""Builds Telnyx's provider and webhook reader from the settings."""

from __future__ import annotations

from letstalk.config.settings import Settings
from letstalk.core.clock import Clock
from letstalk.telephony.provider import Telephony
from letstalk.telephony.telnyx.provider import TelnyxProvider
from letstalk.telephony.telnyx.webhooks import TelnyxWebhookReader


def build_telnyx(settings: Settings, *, clock: Clock, state_key: bytes) -> Telephony:
    """Raises ValueError for a setting that Telnyx requires and that is not set."""
    api_key = None if settings.telnyx_api_key is None else settings.telnyx_api_key.get_secret_value()
    provider = TelnyxProvider(
        api_key=_required(api_key, "TELNYX_API_KEY"),
        connection_id=_required(settings.telnyx_connection_id, "TELNYX_CONNECTION_ID"),
        from_number=_required(settings.telnyx_from_number, "TELNYX_FROM_NUMBER"),
        public_url=_required(settings.public_url, "PUBLIC_URL"),
        brand_name=settings.brand_name,
        state_key=state_key,
        base_url=settings.telnyx_base_url,
        clock=clock,
    )
    public_key = _required(settings.telnyx_public_key, "TELNYX_PUBLIC_KEY")
    return Telephony(provider, TelnyxWebhookReader(public_key=public_key, state_key=state_key))


def _required(value: str | None, name: str) -> str:
    if not value:
        raise ValueError(f"the provider telnyx requires {name}")
    return value
