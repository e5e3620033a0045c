"""The second factor: the service calls the phone of the person who signs in, as it calls the people of any app."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import sqlalchemy as sa

from letstalk.accounts.models import SECOND_FACTOR_OWNER_ID, Account, Role, ensure_admin, hash_secret
from letstalk.accounts.repository import ROLES
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import NoPendingVerification, NotAuthenticated, PhoneRequired, SecondFactorRequired
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into
from letstalk.observability.redaction import mask_phone
from letstalk.verifications.models import NewVerification, VerificationRef
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

second_factor_challenges = sa.Table(
    "second_factor_challenges",
    metadata,
    sa.Column("challenge_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    # No foreign key: verifications are deleted independently.
    sa.Column("verification_id", sa.String(36), nullable=False),
    sa.Column("method", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.CheckConstraint("expires_at > created_at", name="lifetime"),
    sa.Index(None, "account_id"),
    sa.Index(None, "expires_at"),
)

role_policies = sa.Table(
    "role_policies",
    metadata,
    sa.Column("role", sa.String(20), primary_key=True),
    sa.Column("requires_second_factor", sa.Boolean, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(ROLES, name="role"),
)


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    account_id: str
    verification_id: str
    method: str
    created_at: datetime
    expires_at: datetime


def find_open_challenge(connection: sa.Connection, challenge_hash: bytes, now: datetime) -> ChallengeRow | None:
    """The sign-in that waits for a code. None if the challenge is used, expired or unknown."""
    table = second_factor_challenges.c
    row = connection.execute(
        sa.select(table.account_id, table.verification_id, table.method, table.created_at, table.expires_at).where(
            table.challenge_hash == challenge_hash, table.used_at.is_(None), table.expires_at > now
        )
    ).one_or_none()
    return None if row is None else ChallengeRow(*row)


def use_challenge(connection: sa.Connection, challenge_hash: bytes, now: datetime) -> bool:
    table = second_factor_challenges
    unused = (table.c.challenge_hash == challenge_hash) & table.c.used_at.is_(None)
    return connection.execute(sa.update(table).where(unused).values(used_at=now)).rowcount == 1


CHALLENGE_SECONDS = 600
CODE_LENGTH = 6
CHALLENGE_BYTES = 32
# An owner that no token and no person can have.
SIGN_IN_SERVICE = Actor(
    kind=ActorKind.SERVICE, owner_id=SECOND_FACTOR_OWNER_ID, scopes=frozenset({Scope.OTP_SEND, Scope.OTP_VERIFY})
)


class SecondFactorService:
    def __init__(
        self, db: Database, sends: SendService, verifications: VerificationService, audit: AuditTrail, clock: Clock
    ) -> None:
        self._db = db
        self._sends = sends
        self._verifications = verifications
        self._audit = audit
        self._clock = clock

    def is_required(self, account: Account) -> bool:
        """Whether the account or its role requires a code."""
        return account.second_factor or self.list_policies()[account.role]

    def begin(self, account: Account, method: str) -> NoReturn:
        """Call the phone of the account, and let the sign-in by `method` wait for the code.

        Always raises: SecondFactorRequired; PhoneRequired; or the errors of a call: TooManyRequests, Unavailable,
        DestinationBlocked.
        """
        if account.phone is None:
            raise PhoneRequired
        wanted = NewVerification(
            phone=account.phone, message=None, locale=None, code_length=CODE_LENGTH, ttl_seconds=CHALLENGE_SECONDS
        )
        accepted = self._sends.start(SIGN_IN_SERVICE, wanted)
        challenge = secrets.token_urlsafe(CHALLENGE_BYTES)
        now = self._clock()
        expires_at = now + timedelta(seconds=CHALLENGE_SECONDS)
        row = ChallengeRow(account.account_id, accepted.verification_id, method, now, expires_at)
        with self._db.write() as connection:
            values = {"challenge_hash": hash_secret(challenge), **asdict(row)}
            connection.execute(sa.insert(second_factor_challenges).values(**values))
            detail = {"method": method, "verification_id": accepted.verification_id}
            self._audit.record(connection, None, "second_factor.asked", account_id=account.account_id, detail=detail)
        raise SecondFactorRequired(challenge, mask_phone(account.phone))

    def finish(self, challenge: str, code: str) -> tuple[str, str]:
        """(account id, method) of the sign-in, once. Raises NotAuthenticated `invalid_challenge`, InvalidCode, Gone."""
        challenge_hash = hash_secret(challenge)
        with self._db.read() as connection:
            row = find_open_challenge(connection, challenge_hash, self._clock())
        if row is None:
            raise _challenge_is_over()
        try:
            self._verifications.check_code(SIGN_IN_SERVICE, VerificationRef(None, row.verification_id), code)
        except NoPendingVerification:
            raise _challenge_is_over() from None
        with self._db.write() as connection:
            is_first = use_challenge(connection, challenge_hash, self._clock())
        if not is_first:
            raise _challenge_is_over()
        return row.account_id, row.method

    def list_policies(self) -> dict[Role, bool]:
        """For every role, whether it requires a second factor."""
        statement = sa.select(role_policies.c.role, role_policies.c.requires_second_factor)
        with self._db.read() as connection:
            stored = {Role(role): bool(required) for role, required in connection.execute(statement)}
        return {role: stored.get(role, False) for role in Role}

    def set_policy(self, actor: Actor, role: Role, *, requires_second_factor: bool) -> None:
        """Raises InsufficientScope unless `actor` is an admin."""
        ensure_admin(actor)
        with self._db.write() as connection:
            values = {"requires_second_factor": requires_second_factor, "updated_at": self._clock()}
            statement = insert_into(role_policies, connection.dialect.name).values(role=role.value, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["role"], set_=values))
            detail = {"role": role.value, "requires_second_factor": requires_second_factor}
            self._audit.record(connection, actor, "role_policy.set", detail=detail)


def _challenge_is_over() -> NotAuthenticated:
    return NotAuthenticated("This sign-in is over. Start again.", code="invalid_challenge")
