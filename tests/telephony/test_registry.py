from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letstalk.core.clock import utc_now
from letstalk.telephony.registry import TelephonyOptions, build_telephony

PUBLIC_KEY = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
OPTIONS = TelephonyOptions(
    sink=lambda _: None,
    clock=utc_now,
    brand_name="Let's Talk",
    state_key=b"k" * 32,
    public_url="https://example.org",
    telnyx_api_key="KEY0",
    telnyx_connection_id="1",
    telnyx_from_number="+12025550123",
    telnyx_public_key=PUBLIC_KEY,
)


def test_a_provider_is_built_by_its_name() -> None:
    assert build_telephony("simulator", OPTIONS).provider.name == "simulator"
    assert build_telephony("telnyx", OPTIONS).provider.name == "telnyx"


def test_only_a_provider_that_sends_webhooks_has_a_reader() -> None:
    assert build_telephony("simulator", OPTIONS).webhooks is None
    assert build_telephony("telnyx", OPTIONS).webhooks is not None


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="there are: simulator, telnyx"):
        build_telephony("carrier-pigeon", OPTIONS)


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("telnyx_api_key", "TELNYX_API_KEY"),
        ("telnyx_connection_id", "TELNYX_CONNECTION_ID"),
        ("telnyx_from_number", "TELNYX_FROM_NUMBER"),
        ("telnyx_public_key", "TELNYX_PUBLIC_KEY"),
        ("public_url", "PUBLIC_URL"),
    ],
)
def test_telnyx_says_what_it_misses(option: str, setting: str) -> None:
    changes: dict[str, Any] = {option: None}

    with pytest.raises(ValueError, match=setting):
        build_telephony("telnyx", replace(OPTIONS, **changes))
