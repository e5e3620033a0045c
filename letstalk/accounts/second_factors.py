"""The second factor: the service calls the phone of the person who signs in, as it calls the people of any app; and
the proof that a phone is theirs, without which it does not count.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NoReturn

import sqlalchemy as sa

from letstalk.accounts import repository
from letstalk.accounts.models import (
    PHONE_PROOF_OWNER_ID,
    SECOND_FACTOR_OWNER_ID,
    Account,
    Role,
    differences,
    end_sign_ins,
    ensure_admin,
    hash_secret,
)
from letstalk.accounts.repository import ROLES
from letstalk.accounts.service import ensure_may_change_factor
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import (
    InvalidRequest,
    InvalidToken,
    NoPendingVerification,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
)
from letstalk.core.rates import Rate
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into
from letstalk.observability.redaction import mask_phone
from letstalk.verifications.models import CallAccepted, NewVerification, VerificationRef
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

second_factor_challenges = sa.Table(
    "second_factor_challenges",
    metadata,
    sa.Column("challenge_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    # No foreign key: verifications are deleted independently. Empty while the phone has to be proven first.
    sa.Column("verification_id", sa.String(36), nullable=False),
    sa.Column("method", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    # The account's at the sign-in. With another one now, the sign-in is over.
    sa.Column("credentials_epoch", sa.Integer, nullable=False, server_default="0"),
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
    credentials_epoch: int


def find_open_challenge(connection: sa.Connection, challenge_hash: bytes, now: datetime) -> ChallengeRow | None:
    """The sign-in that waits for a code. None if the challenge is used, expired or unknown."""
    table = second_factor_challenges.c
    columns = (table[each.name] for each in fields(ChallengeRow))
    is_open = (table.challenge_hash == challenge_hash) & table.used_at.is_(None) & (table.expires_at > now)
    row = connection.execute(sa.select(*columns).where(is_open)).one_or_none()
    return None if row is None else ChallengeRow(*row)


def use_challenge(connection: sa.Connection, challenge_hash: bytes, now: datetime) -> bool:
    table = second_factor_challenges
    unused = (table.c.challenge_hash == challenge_hash) & table.c.used_at.is_(None)
    return connection.execute(sa.update(table).where(unused).values(used_at=now)).rowcount == 1


CHALLENGE_SECONDS = 600
CODE_LENGTH = 6
CHALLENGE_BYTES = 32
# Calls to phones that are not proven: nobody may have many numbers called by way of their own account.
PROOF_RATES = (Rate(5, 3600), Rate(10, 86_400))


def calling_for(account_id: str, owner_id: str) -> Actor:
    """This service, as an owner that no token and no person can have."""
    scopes = frozenset({Scope.OTP_SEND, Scope.OTP_VERIFY})
    return Actor(kind=ActorKind.SERVICE, owner_id=f"{owner_id}:{account_id}", scopes=scopes)


def _call(phone: str) -> NewVerification:
    return NewVerification(
        phone=phone, message=None, locale=None, code_length=CODE_LENGTH, ttl_seconds=CHALLENGE_SECONDS
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

        A phone that is not proven is not called. Always raises: SecondFactorRequired; PhoneRequired; or the errors of a
        call: TooManyRequests, Unavailable, DestinationBlocked.
        """
        if account.phone is None:
            if account.pending_phone is None:
                raise PhoneRequired
            raise PhoneRequired(self._wait(account, method, ""), mask_phone(account.pending_phone))
        owner = calling_for(account.account_id, SECOND_FACTOR_OWNER_ID)
        accepted = self._sends.start(owner, _call(account.phone), is_proven=True)
        challenge = self._wait(account, method, accepted.verification_id)
        raise SecondFactorRequired(challenge, mask_phone(account.phone))

    def call_pending_phone(self, challenge: str) -> str:
        """Call the phone that was entered for the account and is not proven, for a sign-in that got PhoneRequired.

        Returns the phone, masked. Its code then proves it, and finishes the sign-in. Raises NotAuthenticated
        `invalid_challenge`, and the errors of a call.
        """
        row, account = self._find(challenge)
        if row.verification_id or account.pending_phone is None:
            raise _challenge_is_over()
        return mask_phone(self._prove(account, account.pending_phone).phone)

    def finish(self, challenge: str, code: str) -> tuple[Account, str]:
        """The account of the sign-in, and its method, once. Raises NotAuthenticated `invalid_challenge`, InvalidCode,
        Gone.
        """
        row, account = self._find(challenge)
        owner_id, ref = SECOND_FACTOR_OWNER_ID, VerificationRef(None, row.verification_id)
        if not row.verification_id:
            owner_id, ref = PHONE_PROOF_OWNER_ID, VerificationRef(account.pending_phone, None)
        try:
            self._verifications.check_code(calling_for(account.account_id, owner_id), ref, code)
        except NoPendingVerification:
            raise _challenge_is_over() from None
        with self._db.write() as connection:
            locked = repository.get_account(connection, account.account_id, for_update=True)
            is_same = locked is not None and _has_phones_of(locked, account)
            if locked is None or not is_same or not use_challenge(connection, hash_secret(challenge), self._clock()):
                raise _challenge_is_over()
            return (locked if row.verification_id else self._keep_proven(connection, None, locked)), row.method

    def begin_proof(self, actor: Actor, phone: str | None, *, is_confirmed: bool) -> CallAccepted:
        """Call `phone`, or the one that waits to be proven, for the person themselves. Until its code was given, the
        phone that was proven before stays in force.

        Raises InvalidRequest, InvalidPhone; as `ensure_may_change_factor`; the errors of a call, after which nothing
        has changed.
        """
        with self._db.read() as connection:
            account = _own_account(connection, actor)
            ensure_may_change_factor(connection, actor, account, self._clock(), is_confirmed=is_confirmed)
        wanted = account.pending_phone if phone is None else phone
        if wanted is None:
            raise InvalidRequest.in_field("phone", "phone is missing.")
        accepted = self._prove(account, wanted)
        with self._db.write() as connection:
            before = repository.lock_account(connection, account.account_id)
            self._write(connection, actor, before, replace(before, pending_phone=accepted.phone))
        return accepted

    def finish_proof(self, actor: Actor, code: str, *, second_factor: bool | None = None) -> Account:
        """The account, whose pending phone counts from now on. `second_factor` is the person's choice; None keeps it.

        Raises NoPendingVerification, TooManyRequests, Gone, InvalidCode.
        """
        with self._db.read() as connection:
            account = _own_account(connection, actor)
        if account.pending_phone is None:
            raise NoPendingVerification("No phone waits to be proven.")
        owner = calling_for(account.account_id, PHONE_PROOF_OWNER_ID)
        self._verifications.check_code(owner, VerificationRef(account.pending_phone, None), code)
        with self._db.write() as connection:
            before = repository.lock_account(connection, account.account_id)
            if not _has_phones_of(before, account):
                raise NoPendingVerification("No phone waits to be proven.")
            return self._keep_proven(connection, actor, before, second_factor=second_factor)

    def _prove(self, account: Account, phone: str) -> CallAccepted:
        owner = calling_for(account.account_id, PHONE_PROOF_OWNER_ID)
        return self._sends.start(owner, _call(phone), all_phones_rates=PROOF_RATES)

    def _wait(self, account: Account, method: str, verification_id: str) -> str:
        """The challenge of a sign-in that waits."""
        challenge, now = secrets.token_urlsafe(CHALLENGE_BYTES), self._clock()
        expires_at = now + timedelta(seconds=CHALLENGE_SECONDS)
        row = ChallengeRow(account.account_id, verification_id, method, now, expires_at, account.credentials_epoch)
        with self._db.write() as connection:
            values = {"challenge_hash": hash_secret(challenge), **asdict(row)}
            connection.execute(sa.insert(second_factor_challenges).values(**values))
            detail = {"method": method, "verification_id": verification_id}
            self._audit.record(connection, None, "second_factor.asked", account_id=account.account_id, detail=detail)
        return challenge

    def _find(self, challenge: str) -> tuple[ChallengeRow, Account]:
        """The sign-in that waits, and its account. Raises NotAuthenticated, also if the credentials have changed."""
        with self._db.read() as connection:
            row = find_open_challenge(connection, hash_secret(challenge), self._clock())
            account = None if row is None else repository.get_account(connection, row.account_id)
        if row is None or account is None or account.credentials_epoch != row.credentials_epoch:
            raise _challenge_is_over()
        return row, account

    def _keep_proven(
        self, connection: sa.Connection, actor: Actor | None, before: Account, *, second_factor: bool | None = None
    ) -> Account:
        chosen = before.second_factor if second_factor is None else second_factor
        after = replace(before, phone=before.pending_phone, pending_phone=None, second_factor=chosen)
        return self._write(connection, actor, before, end_sign_ins(before, after))

    def _write(self, connection: sa.Connection, actor: Actor | None, before: Account, after: Account) -> Account:
        if after != before:
            repository.update_account(connection, after)
            detail = differences(before, after)
            self._audit.record(connection, actor, "account.updated", account_id=after.account_id, detail=detail)
        return after

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


def _own_account(connection: sa.Connection, actor: Actor) -> Account:
    account = repository.get_account(connection, actor.account_id or "")
    if account is None:
        raise InvalidToken
    return account


def _has_phones_of(one: Account, other: Account) -> bool:
    """Whether nothing has changed meanwhile that a code was given for."""
    what = attrgetter("credentials_epoch", "phone", "pending_phone")
    return bool(what(one) == what(other))


def _challenge_is_over() -> NotAuthenticated:
    return NotAuthenticated("This sign-in is over. Start again.", code="invalid_challenge")
