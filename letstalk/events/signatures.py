"""Signatures of webhooks (Standard Webhooks, snapshot of 2026-08-17): HMAC-SHA256 over `id.timestamp.body`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    """A secret that is shown once, as the libraries of Standard Webhooks read it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def sign(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """One signature. `timestamp` is in Unix seconds."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((event_id.encode("ascii"), str(timestamp).encode("ascii"), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def headers_of(secrets_in_use: list[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one try. A secret that is being rotated signs beside the new one."""
    signatures = " ".join(sign(secret, event_id, timestamp, body) for secret in secrets_in_use)
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}
