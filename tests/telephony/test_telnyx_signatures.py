from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.errors import InvalidSignature
from letstalk.telephony.telnyx.webhooks import WebhookSignatures

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
SIGNATURES = WebhookSignatures(PUBLIC_KEY)
BODY = b'{"data": {"event_type": "call.answered"}}'


def sign(body: bytes = BODY, moment: datetime = NOW, key: Ed25519PrivateKey = KEY) -> dict[str, str]:
    timestamp = str(int(moment.timestamp()))
    signature = key.sign(timestamp.encode() + b"|" + body)
    return {"telnyx-signature-ed25519": base64.b64encode(signature).decode(), "telnyx-timestamp": timestamp}


def is_refused(headers: dict[str, str], body: bytes = BODY, now: datetime = NOW) -> bool:
    try:
        SIGNATURES.ensure_signed(headers, body, now=now)
    except InvalidSignature:
        return True
    return False


def test_what_telnyx_signed_just_now_holds() -> None:
    assert not is_refused(sign())


@pytest.mark.parametrize("seconds", [-300, 300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    assert not is_refused(sign(moment=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_a_stale_or_future_webhook_is_refused(seconds: int) -> None:
    assert is_refused(sign(moment=NOW + timedelta(seconds=seconds)))


def test_a_replay_is_refused_once_it_is_old() -> None:
    headers = sign()

    assert not is_refused(headers, now=NOW + timedelta(seconds=299))
    assert is_refused(headers, now=NOW + timedelta(seconds=301))


def test_a_fresh_timestamp_on_an_old_signature_is_refused() -> None:
    old = sign(moment=NOW - timedelta(hours=1))

    assert is_refused({**old, "telnyx-timestamp": sign()["telnyx-timestamp"]})


def test_another_body_is_refused() -> None:
    assert is_refused(sign(), BODY.replace(b"answered", b"hangup"))
    assert is_refused(sign(), BODY.replace(b": ", b":"))


def test_another_signer_is_refused() -> None:
    assert is_refused(sign(key=Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("missing", ["telnyx-signature-ed25519", "telnyx-timestamp"])
def test_an_unsigned_webhook_is_refused(missing: str) -> None:
    headers = sign()
    del headers[missing]

    assert is_refused(headers)
    assert is_refused({**headers, missing: ""})


@pytest.mark.parametrize(
    "signature", ["no base64", "é", "AAAA", "A" * 88, "=" * 8, base64.b64encode(b"0" * 63).decode(), "A" * 100_000]
)
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    assert is_refused({**sign(), "telnyx-signature-ed25519": signature})


def test_a_signature_in_another_alphabet_is_refused() -> None:
    headers = sign()
    headers["telnyx-signature-ed25519"] = headers["telnyx-signature-ed25519"] + "\n"

    assert is_refused(headers)


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", " 1763640000", "1763640000.0", "٤٢", "9" * 400])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    assert is_refused({**sign(), "telnyx-timestamp": timestamp})


@given(signature=st.text(max_size=120), timestamp=st.text(max_size=20), body=st.binary(max_size=50))
def test_nothing_but_a_refusal_comes_of_garbage(signature: str, timestamp: str, body: bytes) -> None:
    assert is_refused({"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}, body)


@pytest.mark.parametrize("public_key", ["", "short", "é", base64.b64encode(b"0" * 31).decode(), "A" * 200])
def test_a_public_key_that_is_none_is_refused_at_start(public_key: str) -> None:
    with pytest.raises(ValueError, match="the Telnyx public key"):
        WebhookSignatures(public_key)
