"""Recovery codes: ten codes to write down, each of which replaces the call once, for who has lost the phone.

They are stored as a keyed digest: a copy of the database alone can neither use nor check one.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from letstalk.accounts import recovery_code_repository, repository
from letstalk.accounts.models import Account
from letstalk.accounts.service import ensure_may_change_factor
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, InvalidToken
from letstalk.db.database import Database

CODES = 10
GROUPS, GROUP_LENGTH = 3, 4
# Crockford's: 60 bits in twelve characters, without those that look like others.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("OIL", "011", "- \t")


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """`codes` can be shown only now."""

    codes: tuple[str, ...] = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecoveryCodesLeft:
    """How many codes are unused. `created_at` is None for an account that has none."""

    remaining: int
    created_at: datetime | None


def make_code() -> str:
    """Such as `7K3M-9QXB-0TZ4`."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def normalise_code(typed: str) -> str:
    """The code without spaces and hyphens, in capitals, with the digits that O, I and L stand for."""
    return typed.upper().translate(_ALIKE)


class RecoveryCodeService:
    def __init__(self, db: Database, audit: AuditTrail, clock: Clock, key: bytes) -> None:
        """`key` is a secret of 16 bytes or more."""
        self._db = db
        self._audit = audit
        self._clock = clock
        self._key = key

    def replace_codes(self, actor: Actor, *, is_confirmed: bool) -> RecoveryCodes:
        """New codes for the actor's own account. Its earlier ones stop working.

        Raises as `ensure_may_change_factor`; Conflict `no_phone` for an account without a proven phone.
        """
        codes, now = tuple(make_code() for _ in range(CODES)), self._clock()
        with self._db.write() as connection:
            account = repository.get_account(connection, actor.account_id or "", for_update=True)
            if account is None:
                raise InvalidToken
            if account.phone is None:
                raise Conflict("Recovery codes replace a call. Prove a phone first.", code="no_phone")
            ensure_may_change_factor(connection, actor, account, now, is_confirmed=is_confirmed)
            digests = [self._digest(account, code) for code in codes]
            recovery_code_repository.replace_codes(connection, account.account_id, digests, now)
            self._audit.record(connection, actor, "recovery_codes.created", account_id=account.account_id)
        return RecoveryCodes(codes, now)

    def count_left(self, account_id: str) -> RecoveryCodesLeft:
        with self._db.read() as connection:
            return RecoveryCodesLeft(*recovery_code_repository.count_left(connection, account_id))

    def use_code(self, connection: sa.Connection, account: Account, typed: str) -> bool:
        """Whether `typed` is an unused code of `account`, which it no longer is after this."""
        is_right = recovery_code_repository.use_code(connection, self._digest(account, typed), self._clock())
        if is_right:
            remaining, _ = recovery_code_repository.count_left(connection, account.account_id)
            detail = {"remaining": remaining}
            self._audit.record(connection, None, "recovery_code.used", account_id=account.account_id, detail=detail)
        return is_right

    def _digest(self, account: Account, typed: str) -> bytes:
        text = f"{account.account_id}\0{normalise_code(typed)}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")
