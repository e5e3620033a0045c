"""A second factor that is ours: who signs in is called, as the people of any app are."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import NoReturn

from letstalk.accounts import second_factor_repository as storage
from letstalk.accounts.models import SECOND_FACTOR_USER_ID, Account, Role
from letstalk.accounts.second_factor_repository import ChallengeRow
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import (
    InsufficientScope,
    NoPendingVerification,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
)
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.observability.logs import mask_phone
from letstalk.verifications.models import NewVerification, VerificationRef
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

CHALLENGE_SECONDS = 600
CODE_LENGTH = 6
CHALLENGE_BYTES = 32
# Ours, and nobody else's: no token and no person can have this owner.
OURSELVES = Actor(
    kind=ActorKind.SERVICE,
    user_id=SECOND_FACTOR_USER_ID,
    scopes=frozenset({Scope.OTP_SEND, Scope.OTP_VERIFY}),
)


class SecondFactorService:
    def __init__(
        self,
        db: Database,
        sends: SendService,
        verifications: VerificationService,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sends = sends
        self._verifications = verifications
        self._audit = audit
        self._clock = clock

    def is_required(self, account: Account) -> bool:
        """Whether the account itself, or its role, asks for a code."""
        if account.second_factor:
            return True
        with self._db.read() as connection:
            return storage.requires_second_factor(connection, account.role)

    def begin(self, account: Account, method: str) -> NoReturn:
        """Call the account's phone and let the sign-in by `method` wait for the code.

        Raises SecondFactorRequired always, if not PhoneRequired or what refuses a call: TooManyRequests, Unavailable,
        DestinationBlocked.
        """
        if account.phone is None:
            raise PhoneRequired
        wanted = NewVerification(
            phone=account.phone, message=None, locale=None, code_length=CODE_LENGTH, ttl_seconds=CHALLENGE_SECONDS
        )
        accepted = self._sends.start(OURSELVES, wanted)
        challenge = secrets.token_urlsafe(CHALLENGE_BYTES)
        now = self._clock()
        expires_at = now + timedelta(seconds=CHALLENGE_SECONDS)
        row = ChallengeRow(account.account_id, accepted.verification_id, method, now, expires_at)
        with self._db.write() as connection:
            storage.insert_challenge(connection, _hash(challenge), row)
            detail = {"method": method, "verification_id": accepted.verification_id}
            self._audit.record(connection, None, "second_factor.asked", account_id=account.account_id, detail=detail)
        raise SecondFactorRequired(challenge, mask_phone(account.phone))

    def finish(self, challenge: str, code: str) -> tuple[str, str]:
        """(account id, method) of the sign-in that waited, once. Raises NotAuthenticated `invalid_challenge` for one
        that is unknown, over or expired; InvalidCode; Gone.
        """
        challenge_hash = _hash(challenge)
        with self._db.read() as connection:
            row = storage.find_open_challenge(connection, challenge_hash, self._clock())
        if row is None:
            raise _over()
        try:
            self._verifications.check_code(OURSELVES, VerificationRef(None, row.verification_id), code)
        except NoPendingVerification:
            raise _over() from None
        with self._db.write() as connection:
            is_first = storage.use_challenge(connection, challenge_hash, self._clock())
        if not is_first:
            raise _over()
        return row.account_id, row.method

    def list_policies(self) -> dict[Role, bool]:
        """For every role whether it asks for a second factor."""
        with self._db.read() as connection:
            return storage.list_role_policies(connection)

    def set_policy(self, actor: Actor, role: Role, *, requires_second_factor: bool) -> None:
        """Raises InsufficientScope for who is no admin."""
        if not actor.is_admin:
            raise InsufficientScope("Only an admin may do this.", required_scopes=(Scope.ADMIN.value,))
        with self._db.write() as connection:
            storage.set_role_policy(connection, role, requires_second_factor=requires_second_factor, now=self._clock())
            detail = {"role": role.value, "requires_second_factor": requires_second_factor}
            self._audit.record(connection, actor, "role_policy.set", detail=detail)


def _over() -> NotAuthenticated:
    return NotAuthenticated("This sign-in is over. Start it again.", code="invalid_challenge")


def _hash(challenge: str) -> bytes:
    return hashlib.sha256(challenge.encode("utf-8", "surrogatepass")).digest()
