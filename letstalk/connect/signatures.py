"""How a request proves that it comes from the connected system: each way checks a request, and makes one for a test.

Signatures are over the raw bytes. Each way compares in constant time, with each secret that counts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from letstalk.connect.models import MAX_SECRET_CHARACTERS, MIN_SECRET_CHARACTERS, new_shared_secret
from letstalk.core.errors import InvalidRequest, InvalidSignature
from letstalk.events.signatures import SECRET_PREFIX as WEBHOOK_SECRET_PREFIX
from letstalk.events.signatures import headers_of, new_secret, sign

TOLERANCE_SECONDS = 300
MAX_HEADER_CHARACTERS = 4096
MOST_SIGNATURES = 10  # in one header
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,128}")  # without a full stop, as Standard Webhooks asks

Headers = Mapping[str, str]  # names in lower case


class Scheme(Protocol):
    """One way to prove where a request comes from."""

    made_by_other: bool  # whether the other system makes the secret, and we are told it
    has_timestamp: bool  # whether an old request is refused
    proof: str  # what proves it, in words

    def new_secret(self) -> str: ...

    def read_secret(self, text: str) -> str:
        """The secret that somebody gave, as it is kept. Raises InvalidRequest."""

    def show_secret(self, secret: str) -> str:
        """The secret as the other system wants it."""

    def ensure_from(self, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime, /) -> str | None:
        """Raises InvalidSignature. Returns an id of the message that is the same when it is replayed, if there is."""

    def sign(self, secret: str, body: bytes, now: datetime, /) -> dict[str, str]:
        """The headers with which the other system would send `body`."""


class _PlainSecret:
    """A secret that is kept as it is shown."""

    def new_secret(self) -> str:
        return new_shared_secret()

    def read_secret(self, text: str) -> str:
        secret = text.strip()
        is_plain = secret.isascii() and secret.isprintable() and " " not in secret
        if not is_plain or not MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_CHARACTERS:
            bounds = f"{MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS}"
            raise InvalidRequest.in_field("secret", f"secret must be {bounds} letters, digits and signs.")
        return secret

    def show_secret(self, secret: str) -> str:
        return secret


class SharedSecret(_PlainSecret):
    """`Authorization: Bearer <secret>`, or `Basic` with the secret as the password and any name of a user."""

    made_by_other = False
    has_timestamp = False
    proof = "the secret in the header Authorization"

    def ensure_from(self, secrets: Sequence[str], headers: Headers, _body: bytes, _now: datetime) -> str | None:
        presented = _presented(headers.get("authorization", ""))
        if presented is None or not _matches_any(presented, [secret.encode("ascii") for secret in secrets]):
            raise InvalidSignature("The Authorization header does not have the secret of this connection.")
        return None

    def sign(self, secret: str, _body: bytes, _now: datetime) -> dict[str, str]:
        return {"authorization": f"Bearer {secret}"}


class StandardWebhooks:
    """`webhook-signature` over `id.timestamp.body`, several of them separated by a space or by a comma and a space.

    Supabase joins with `, ` (supabase/auth, internal/hooks/hookshttp/hookshttp.go), the specification with a space.
    """

    made_by_other = False
    has_timestamp = True
    proof = "a signature by Standard Webhooks"

    def new_secret(self) -> str:
        return new_secret()

    def read_secret(self, text: str) -> str:
        secret = text.strip().removeprefix("v1,")
        try:
            key = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
        except ValueError:
            key = b""
        if not secret.startswith(WEBHOOK_SECRET_PREFIX) or not 24 <= len(key) <= 64:
            raise InvalidRequest.in_field("secret", "secret must be v1,whsec_ and the base64 of 24 to 64 bytes.")
        return secret

    def show_secret(self, secret: str) -> str:
        return f"v1,{secret}"

    def ensure_from(self, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime) -> str | None:
        message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        given = _words(headers.get("webhook-signature", ""))
        if not _MESSAGE_ID.fullmatch(message_id):
            raise InvalidSignature("The webhook is not signed: webhook-id is missing.")
        seconds = _ensure_recent(timestamp, now)
        expected = [sign(secret, message_id, seconds, body).encode("ascii") for secret in secrets]
        if not any(_matches_any(each, expected) for each in given):
            raise InvalidSignature("The webhook's signature is not that of a secret of this connection.")
        return message_id

    def sign(self, secret: str, body: bytes, now: datetime) -> dict[str, str]:
        timestamp = int(now.timestamp())
        return headers_of([secret], hashlib.sha256(body).hexdigest()[:32], timestamp, body)


class ZitadelSignature(_PlainSecret):
    """`ZITADEL-Signature: t=<seconds>,v1=<hex>`, HMAC-SHA256 over `t.body`; there can be several `v1`.

    ZITADEL makes the key: `signingKey` in its response to `POST /admin/v1/sms/http`.
    """

    made_by_other = True
    has_timestamp = True
    proof = "the header ZITADEL-Signature"

    def ensure_from(self, secrets: Sequence[str], headers: Headers, body: bytes, now: datetime) -> str | None:
        parts = [
            part.partition("=") for part in headers.get("zitadel-signature", "")[:MAX_HEADER_CHARACTERS].split(",")
        ]
        times = [value for name, _, value in parts if name.strip() == "t"]
        given = [value.strip().encode("utf-8") for name, _, value in parts if name.strip() == "v1"][:MOST_SIGNATURES]
        seconds = _ensure_recent(times[0] if len(times) == 1 else "", now)
        expected = [self._hex(secret, seconds, body) for secret in secrets]
        if not any(_matches_any(each, expected) for each in given):
            raise InvalidSignature("ZITADEL-Signature is not that of the signing key of this connection.")
        return hashlib.sha256(b"%d.%b" % (seconds, body)).hexdigest()

    def sign(self, secret: str, body: bytes, now: datetime) -> dict[str, str]:
        seconds = int(now.timestamp())
        return {"zitadel-signature": f"t={seconds},v1={self._hex(secret, seconds, body).decode('ascii')}"}

    @staticmethod
    def _hex(secret: str, seconds: int, body: bytes) -> bytes:
        return _hmac_hex(secret, b"%d.%b" % (seconds, body))


class AuthgearSignature(_PlainSecret):
    """`x-authgear-body-signature: <hex>`, HMAC-SHA256 over the body alone: it has no time, so it can be replayed.

    Authgear makes the key: Advanced, Hooks, Webhook Signature in its portal.
    """

    made_by_other = True
    has_timestamp = False
    proof = "the header x-authgear-body-signature"

    def ensure_from(self, secrets: Sequence[str], headers: Headers, body: bytes, _now: datetime) -> str | None:
        given = headers.get("x-authgear-body-signature", "").strip().encode("utf-8")[:MAX_HEADER_CHARACTERS]
        if not _matches_any(given, [_hmac_hex(secret, body) for secret in secrets]):
            raise InvalidSignature("x-authgear-body-signature is not that of the signature key of this connection.")
        return None

    def sign(self, secret: str, body: bytes, _now: datetime) -> dict[str, str]:
        return {"x-authgear-body-signature": _hmac_hex(secret, body).decode("ascii")}


def _presented(header: str) -> bytes | None:
    """The secret in an Authorization header; None for one of another form."""
    scheme, _, rest = header[:MAX_HEADER_CHARACTERS].partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("utf-8")
    if scheme.lower() == "basic":
        try:
            _, separator, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
        except ValueError:
            return None
        return password if separator else None
    return None


def _words(header: str) -> list[bytes]:
    """The signatures of a header that separates them by a space, or by a comma and a space."""
    words = header[:MAX_HEADER_CHARACTERS].split()[:MOST_SIGNATURES]
    return [word.rstrip(",").encode("utf-8") for word in words]


def _ensure_recent(timestamp: str, now: datetime) -> int:
    """The seconds of a timestamp within 300 s of now. Raises InvalidSignature."""
    if not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignature("The request is not signed: its timestamp is missing.")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidSignature("The signature is too old, or a clock is wrong: its time is over 300 s from now.")
    return int(timestamp)


def _matches_any(given: bytes, expected: list[bytes]) -> bool:
    """Whether `given` is one of `expected`. It takes the same time for each."""
    return any(hmac.compare_digest(given, each) for each in expected)


def _hmac_hex(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode("ascii"), signed, hashlib.sha256).hexdigest().encode("ascii")
