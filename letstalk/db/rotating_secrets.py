"""A secret that is shared with another system: encrypted, and replaced with an overlap in which the old one counts too.

The row of such a secret has three columns, which `SecretHolder` names. Shown once, it is never in a response again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from letstalk.core.errors import InvalidRequest
from letstalk.db.crypto import Vault

DEFAULT_GRACE_SECONDS = 24 * 3600
MAX_GRACE_SECONDS = 7 * 24 * 3600
GRACE_PERIODS = (("86400", "A day"), ("3600", "An hour"), ("604800", "7 days"), ("0", "Not at all: it may have leaked"))
"""How long the old secret counts, as a form offers it: (seconds, words)."""


class SecretHolder(Protocol):
    """What has such a secret. The secret is None until the other system has given one."""

    @property
    def secret_sealed(self) -> str | None: ...
    @property
    def old_secret_sealed(self) -> str | None: ...
    @property
    def old_secret_until(self) -> datetime | None: ...


def seal_secret(vault: Vault, secret: str) -> str:
    return vault.encrypt(secret.encode("ascii"))


def replace_secret(
    vault: Vault, holder: SecretHolder, secret: str, grace_seconds: int, now: datetime
) -> dict[str, Any]:
    """The three fields with the new secret; the old one counts for `grace_seconds` more. Raises InvalidRequest."""
    if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise InvalidRequest.in_field("grace_seconds", f"grace_seconds must be 0 to {MAX_GRACE_SECONDS}.")
    overlaps = grace_seconds > 0 and holder.secret_sealed is not None
    return {
        "secret_sealed": seal_secret(vault, secret),
        "old_secret_sealed": holder.secret_sealed if overlaps else None,
        "old_secret_until": now + timedelta(seconds=grace_seconds) if overlaps else None,
    }


def open_secrets(vault: Vault, holder: SecretHolder, now: datetime) -> list[str]:
    """The secrets that count now, the newest first."""
    sealed = [] if holder.secret_sealed is None else [holder.secret_sealed]
    if holder.old_secret_sealed and holder.old_secret_until and holder.old_secret_until > now:
        sealed.append(holder.old_secret_sealed)
    return [vault.decrypt(each).decode("ascii") for each in sealed]
