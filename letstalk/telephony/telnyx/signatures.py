"""Checks that Telnyx sent a webhook: an Ed25519 signature over `timestamp|raw body`, at most 300 s old."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature as SignatureMismatch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from letstalk.core.errors import InvalidSignature

SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
TOLERANCE_SECONDS = 300

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE_BYTES = 64


class WebhookSignatures:
    """Checks webhooks against the account's public key (base64 of 32 bytes, as the Telnyx portal shows it)."""

    def __init__(self, public_key: str, *, tolerance_seconds: int = TOLERANCE_SECONDS) -> None:
        """Raises ValueError for an invalid public key, without quoting it."""
        try:
            self._public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.strip(), validate=True))
        except ValueError:
            raise ValueError("the Telnyx public key must be the base64 of 32 bytes") from None
        self._tolerance_seconds = tolerance_seconds

    def check(self, headers: Mapping[str, str], raw_body: bytes, *, now: datetime) -> None:
        """Raise InvalidSignature, with the same text for every reason, unless the signature is valid.

        The names of `headers` are in lower case. `raw_body` must be the exact bytes of the body, because those are
        signed.
        """
        if not self._is_valid(headers.get(SIGNATURE_HEADER), headers.get(TIMESTAMP_HEADER), raw_body, now):
            raise InvalidSignature("The webhook is not signed by Telnyx, or its signature is too old.")

    def _is_valid(self, signature: str | None, timestamp: str | None, raw_body: bytes, now: datetime) -> bool:
        if not signature or not timestamp or not _TIMESTAMP.fullmatch(timestamp):
            return False
        if abs(now.timestamp() - int(timestamp)) > self._tolerance_seconds:
            return False
        try:
            signature_bytes = base64.b64decode(signature, validate=True)
        except ValueError:
            return False
        if len(signature_bytes) != _SIGNATURE_BYTES:
            return False
        try:
            self._public_key.verify(signature_bytes, timestamp.encode() + b"|" + raw_body)
        except SignatureMismatch:
            return False
        return True
