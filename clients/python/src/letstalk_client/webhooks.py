"""Webhooks: whether they come from the service, and what they tell (Standard Webhooks, `v1` signatures)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence

from letstalk_client.errors import WebhookNotVerified
from letstalk_client.events import AnyEvent, read_event

TOLERANCE_SECONDS = 300
SECRET_PREFIX = "whsec_"
_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> AnyEvent:
    """The event of a webhook, once its signature by `secret`, or by one of several, and its timestamp are right.

    `body` is what was received, byte for byte, before anything parsed it. `now` is in Unix seconds, this moment if
    left out. Raises WebhookNotVerified, and ValueError for a secret that is none.
    """
    raw = body.encode() if isinstance(body, str) else body
    keys = [_key_of(each) for each in ([secret] if isinstance(secret, str) else secret)]
    lowered = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp, signatures = (lowered.get(name, "") for name in _NAMES)
    if not event_id or not timestamp.isascii() or not timestamp.isdigit():
        raise WebhookNotVerified("The headers webhook-id and webhook-timestamp are missing or wrong.")
    signed = b".".join((event_id.encode(errors="replace"), timestamp.encode(), raw))
    # Each is compared with each: how long it takes must not tell which one fits.
    expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys]
    given = [each[3:].encode(errors="replace") for each in signatures.split() if each.startswith("v1,")]
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(matches):
        raise WebhookNotVerified("No signature of the webhook is by a secret that is known here.")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        raise WebhookNotVerified(f"The webhook was signed more than {tolerance_seconds:g} seconds from now.")
    try:
        content = json.loads(raw)
    except ValueError:
        raise WebhookNotVerified("The body of the webhook is not JSON.") from None
    return read_event(content)


def _key_of(secret: str) -> bytes:
    text = secret.strip().removeprefix("v1,").removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # also of binascii, which it is the parent of
        key = b""
    if len(key) < 16:
        raise ValueError("A webhook secret is like whsec_… in the response that made the endpoint.")
    return key
