"""The second factor: the service calls the phone of the person who signs in, as it calls the people of any app; and
the proof that a phone is theirs, without which it does not count.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from typing import NoReturn

import sqlalchemy as sa

from letstalk.accounts import challenges, repository
from letstalk.accounts.challenges import MAX_RECOVERY_FAILURES, ChallengeRow
from letstalk.accounts.models import (
    PHONE_PROOF_OWNER_ID,
    SECOND_FACTOR_OWNER_ID,
    Account,
    Role,
    differences,
    end_sign_ins,
    ensure_admin,
)
from letstalk.accounts.recovery_codes import RecoveryCodeService
from letstalk.accounts.repository import ROLES
from letstalk.accounts.service import ensure_may_change_factor
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import (
    InvalidCode,
    InvalidRequest,
    InvalidToken,
    LetsTalkError,
    NoPendingVerification,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
    TooManyRequests,
    Unavailable,
)
from letstalk.core.rates import Rate
from letstalk.core.scopes import Scope
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.db.statements import insert_into
from letstalk.observability.redaction import mask_phone
from letstalk.verifications.models import CallAccepted, NewVerification, VerificationRef, VerificationStatus
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

role_policies = sa.Table(
    "role_policies",
    metadata,
    sa.Column("role", sa.String(20), primary_key=True),
    sa.Column("requires_second_factor", sa.Boolean, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(ROLES, name="role"),
)


CHALLENGE_SECONDS = 600
CODE_LENGTH = 6
CHALLENGE_BYTES = 32
NOT_CALLED = "not called"  # in place of the id of a verification: it is none, so no code and no phone can be given
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
        self,
        db: Database,
        sends: SendService,
        verifications: VerificationService,
        recovery_codes: RecoveryCodeService,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sends = sends
        self._verifications = verifications
        self._recovery_codes = recovery_codes
        self._audit = audit
        self._clock = clock

    def is_required(self, account: Account) -> bool:
        """Whether the account or its role requires a code."""
        return account.second_factor or self.list_policies()[account.role]

    def begin(self, account: Account, method: str) -> NoReturn:
        """Call the phone of the account, and let the sign-in by `method` wait for the code.

        A phone that is not proven is not called. If the phone can't be called again so soon and has heard a code that
        is still good, the sign-in waits for that one. Always raises: SecondFactorRequired; PhoneRequired; or the errors
        of a call: TooManyRequests, Unavailable, DestinationBlocked. These have a `challenge` for who has recovery
        codes, so that one of them can finish the sign-in without a call.
        """
        if account.phone is None:
            pending = account.pending_phone
            raise PhoneRequired(self._wait(account, method, ""), None if pending is None else mask_phone(pending))
        owner = calling_for(account.account_id, SECOND_FACTOR_OWNER_ID)
        try:
            verification_id = self._sends.start(owner, _call(account.phone), is_proven=True).verification_id
        except LetsTalkError as refused:
            can_wait = isinstance(refused, TooManyRequests | Unavailable)
            good = self._find_good_code(owner, account.phone) if can_wait else None
            if good is None:
                if self._recovery_codes.count_left(account.account_id).remaining:
                    refused.challenge = self._wait(account, method, NOT_CALLED)
                raise
            verification_id = good
        challenge = self._wait(account, method, verification_id)
        raise SecondFactorRequired(challenge, mask_phone(account.phone))

    def call_own_phone(self, challenge: str, phone: str | None = None) -> str:
        """Call a phone that is not proven, for a sign-in that got PhoneRequired: the one that was entered for the
        account, or `phone` if there is none.

        Returns the phone, masked. Its code then proves it, and finishes the sign-in. Raises NotAuthenticated
        `invalid_challenge`, InvalidRequest, InvalidPhone, and the errors of a call.
        """
        row, account = self._find(challenge)
        if row.verification_id:
            raise _challenge_is_over()
        if account.pending_phone is not None:
            # Who has only the password must not choose another phone than the one that an admin has entered.
            return mask_phone(self._prove(account, account.pending_phone).phone)
        if phone is None:
            raise InvalidRequest.in_field("phone", "phone is missing.")
        called = self._prove(account, phone).phone
        with self._db.write() as connection:
            challenges.set_phone(connection, challenge, called)
        return mask_phone(called)

    def call_again(self, challenge: str) -> CallAccepted:
        """Have the same code spoken again, for a sign-in whose phone was called.

        Raises NotAuthenticated `invalid_challenge`, TooManyRequests `replay_too_soon`, Conflict `replays_exhausted`,
        Gone, and the errors of a call.
        """
        owner, ref, is_proven = self._called(challenge)
        try:
            return self._sends.replay(owner, ref, is_proven=is_proven)
        except NoPendingVerification:
            raise _challenge_is_over() from None

    def seconds_until_call(self, challenge: str) -> int | None:
        """How long until `call_again` may work. None if the code is not spoken again, or the sign-in is over."""
        try:
            owner, ref, _ = self._called(challenge)
            return self._verifications.seconds_until_replay(owner, ref)
        except (NotAuthenticated, NoPendingVerification):
            return None

    def is_waiting(self, challenge: str) -> bool:
        """Whether the sign-in still waits."""
        try:
            self._find(challenge)
        except NotAuthenticated:
            return False
        return True

    def finish(self, challenge: str, code: str) -> tuple[Account, str]:
        """The account of the sign-in, and its method, once. Raises NotAuthenticated `invalid_challenge`, InvalidCode,
        Gone.
        """
        row, account = self._find(challenge)
        owner, ref, _ = self._called(challenge)
        try:
            self._verifications.check_code(owner, ref, code)
        except NoPendingVerification:
            raise _challenge_is_over() from None
        with self._db.write() as connection:
            locked = self._use(connection, challenge, account)
            if row.verification_id:
                return locked, row.method
            proven = replace(locked, pending_phone=locked.pending_phone or row.phone)
            return self._keep_proven(connection, None, locked, proven), row.method

    def finish_with_recovery_code(self, challenge: str, recovery_code: str) -> tuple[Account, str]:
        """The same with a recovery code, which is used up. Raises NotAuthenticated `invalid_challenge`, also after five
        wrong ones; InvalidCode.
        """
        row, account = self._find(challenge)
        if row.recovery_failures >= MAX_RECOVERY_FAILURES:
            raise _challenge_is_over()
        with self._db.write() as connection:
            is_right = self._recovery_codes.use_code(connection, account, recovery_code)
            if is_right:
                return self._use(connection, challenge, account), row.method
            if not challenges.count_recovery_failure(connection, challenge):
                raise _challenge_is_over()
        remaining = max(0, MAX_RECOVERY_FAILURES - row.recovery_failures - 1)
        raise InvalidCode("This is not one of your unused recovery codes.", attempts_remaining=remaining)

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
            return self._keep_proven(connection, actor, before, before, second_factor=second_factor)

    def call_pending_phone_again(self, actor: Actor) -> CallAccepted:
        """Have the code of `begin_proof` spoken again. Raises NoPendingVerification, and as `call_again`."""
        with self._db.read() as connection:
            account = _own_account(connection, actor)
        if account.pending_phone is None:
            raise NoPendingVerification("No phone waits to be proven.")
        owner = calling_for(account.account_id, PHONE_PROOF_OWNER_ID)
        return self._sends.replay(owner, VerificationRef(account.pending_phone, None))

    def _prove(self, account: Account, phone: str) -> CallAccepted:
        owner = calling_for(account.account_id, PHONE_PROOF_OWNER_ID)
        return self._sends.start(owner, _call(phone), all_phones_rates=PROOF_RATES)

    def _wait(self, account: Account, method: str, verification_id: str) -> str:
        """The challenge of a sign-in that waits. With NOT_CALLED, it waits for a recovery code alone."""
        challenge, now = secrets.token_urlsafe(CHALLENGE_BYTES), self._clock()
        expires_at = now + timedelta(seconds=CHALLENGE_SECONDS)
        row = ChallengeRow(account.account_id, verification_id, method, now, expires_at, account.credentials_epoch)
        with self._db.write() as connection:
            challenges.insert_challenge(connection, challenge, row)
            if verification_id != NOT_CALLED:
                detail = {"method": method, "verification_id": verification_id}
                self._audit.record(
                    connection, None, "second_factor.asked", account_id=account.account_id, detail=detail
                )
        return challenge

    def _find(self, challenge: str) -> tuple[ChallengeRow, Account]:
        """The sign-in that waits, and its account. Raises NotAuthenticated, also if the credentials have changed."""
        with self._db.read() as connection:
            row = challenges.find_open_challenge(connection, challenge, self._clock())
            account = None if row is None else repository.get_account(connection, row.account_id)
        if row is None or account is None or account.credentials_epoch != row.credentials_epoch:
            raise _challenge_is_over()
        return row, account

    def _called(self, challenge: str) -> tuple[Actor, VerificationRef, bool]:
        """The owner of the call that the sign-in waits for, what it is about, and whether the phone is proven."""
        row, account = self._find(challenge)
        if row.verification_id:
            owner = calling_for(account.account_id, SECOND_FACTOR_OWNER_ID)
            return owner, VerificationRef(None, row.verification_id), True
        phone = account.pending_phone or row.phone
        if phone is None:
            raise _challenge_is_over()
        return calling_for(account.account_id, PHONE_PROOF_OWNER_ID), VerificationRef(phone, None), False

    def _find_good_code(self, owner: Actor, phone: str) -> str | None:
        """The id of the newest verification of `phone`, if its code can still be given."""
        newest = self._verifications.list_verifications(owner, limit=1, cursor=None, phone=phone).verifications
        is_good = bool(newest) and newest[0][1] is VerificationStatus.PENDING
        return newest[0][0].verification_id if is_good else None

    def _use(self, connection: sa.Connection, challenge: str, account: Account) -> Account:
        """The account, locked, whose sign-in is finished by this. Raises NotAuthenticated."""
        locked = repository.get_account(connection, account.account_id, for_update=True)
        is_same = locked is not None and _has_phones_of(locked, account)
        if locked is None or not is_same or not challenges.use_challenge(connection, challenge, self._clock()):
            raise _challenge_is_over()
        return locked

    def _keep_proven(
        self,
        connection: sa.Connection,
        actor: Actor | None,
        before: Account,
        proven: Account,
        *,
        second_factor: bool | None = None,
    ) -> Account:
        """`before` with the pending phone of `proven` as its phone."""
        chosen = before.second_factor if second_factor is None else second_factor
        after = replace(before, phone=proven.pending_phone, pending_phone=None, second_factor=chosen)
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

    def list_without_phone(self, actor: Actor, role: Role) -> list[Account]:
        """The active people with `role` who have no proven phone, by name. Raises InsufficientScope."""
        ensure_admin(actor)
        with self._db.read() as connection:
            return repository.list_without_phone(connection, role)

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
