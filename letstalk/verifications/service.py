"""Checking codes, and looking at, listing and canceling verifications."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from letstalk.calls import repository as call_storage
from letstalk.calls.lifecycle import approve_awaited, end_verification, retire_calls
from letstalk.calls.models import Call
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidCode, LetsTalkError, NotFound
from letstalk.core.pagination import decode_cursor, encode_cursor
from letstalk.db.database import Database, after_commit
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import approval_seconds, code_checks_total
from letstalk.telephony.phone_numbers import as_e164, parse_phone
from letstalk.verifications import attempts
from letstalk.verifications import repository as storage
from letstalk.verifications.attempts import AwaitedCode
from letstalk.verifications.codes import is_code
from letstalk.verifications.digest_keys import DigestKeys
from letstalk.verifications.lookups import Target, canonical_id, hold_verification, locate_verification
from letstalk.verifications.models import (
    MAX_ATTEMPTS,
    Verification,
    VerificationStatus,
    check_wrong_codes,
    refuse_cancel_unless_pending,
    refuse_unless_pending,
)
from letstalk.worker.topics import Topic
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Approval:
    verification_id: str
    phone: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class CallHistory:
    """A call with its events, (when, what), oldest first."""

    call: Call
    events: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True)
class VerificationHistory:
    """A verification with the status that it has now, and its calls, oldest first."""

    verification: Verification
    status: VerificationStatus
    calls: tuple[CallHistory, ...]


@dataclass(frozen=True, slots=True)
class VerificationPage:
    verifications: tuple[tuple[Verification, VerificationStatus], ...]
    next_cursor: str | None


class VerificationService:
    def __init__(
        self, db: Database, keys: DigestKeys, wakeups: Wakeups, clock: Clock, *, default_region: str | None = None
    ) -> None:
        self._db = db
        self._keys = keys
        self._wakeups = wakeups
        self._clock = clock
        self._default_region = default_region

    def target(self, *, phone: str | None, verification_id: str | None) -> Target:
        """What a request names. Raises InvalidPhone, unless the phone is written as E.164: that is seen when it is not
        found.
        """
        return Target(None if phone is None else as_e164(phone, self._default_region), verification_id)

    def check_code(self, actor: Actor, target: Target, code: str) -> Approval:
        """Judge a code.

        1. The verification is locked until the end, so that parallel guesses are judged one after the other, and each
           spends an attempt. One that has ended, or too many earlier wrong codes, refuses without spending any.
        2. The right code spends an attempt, approves the verification, clears the wrong codes and ends the call.
        3. A wrong code spends an attempt and is counted. The fifth ends the verification.

        Raises NoPendingVerification, TooManyRequests, Gone, InvalidCode.
        """
        with self._db.write() as connection:
            now = self._clock()
            awaited = self._hold_awaited(connection, actor, target, now)
            key = self._keys.find(awaited.digest_key_id)
            refusal: InvalidCode | None = None
            if is_code(key, awaited.verification_id, code, awaited.code_digest):
                to_hang_up = self._approve(connection, actor, awaited, now)
            else:
                refusal, to_hang_up = self._count_wrong_code(connection, actor, awaited, now)
            after_commit(connection, lambda: self._follow_up(awaited, refusal, to_hang_up, now))
        # Raised only here: inside the transaction it would roll back the spent attempt.
        if refusal is not None:
            raise refusal
        return Approval(awaited.verification_id, awaited.phone, now)

    def get_verification(self, actor: Actor, verification_id: str) -> VerificationHistory:
        """Raises NotFound, also for another owner's."""
        now = self._clock()
        with self._db.read() as connection:
            verification = self._find(connection, actor, verification_id)
            return self._history(connection, verification, now)

    def list_verifications(
        self, actor: Actor, *, phone: str | None, status: VerificationStatus | None, limit: int, cursor: str | None
    ) -> VerificationPage:
        """The actor's verifications, newest first. Raises InvalidPhone, InvalidRequest for a cursor not of ours."""
        e164 = None if phone is None else parse_phone(phone, self._default_region).e164
        after = None if cursor is None else decode_cursor(cursor)
        now = self._clock()
        with self._db.read() as connection:
            found = storage.list_verifications(
                connection, actor.user_id, phone=e164, status=status, after=after, limit=limit + 1, now=now
            )
        page = found[:limit]
        more = len(found) > limit
        next_cursor = encode_cursor(page[-1].created_at, page[-1].verification_id) if more else None
        return VerificationPage(tuple((item, item.status_at(now)) for item in page), next_cursor)

    def cancel_verification(self, actor: Actor, verification_id: str) -> VerificationHistory:
        """End a verification that is still awaited, and its calls. Raises NotFound, Conflict `not_pending`."""
        with self._db.write() as connection:
            now = self._clock()
            found = self._find(connection, actor, verification_id)
            verification = hold_verification(connection, found.verification_id)
            refuse_cancel_unless_pending(verification, now)
            end_verification(connection, verification.verification_id, VerificationStatus.CANCELED)
            to_hang_up = retire_calls(connection, verification.verification_id, "The verification was canceled.", now)
            canceled = self._find(connection, actor, verification_id)
            history = self._history(connection, canceled, now)
        for call_id in to_hang_up:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        return history

    def _follow_up(
        self, awaited: AwaitedCode, refusal: InvalidCode | None, to_hang_up: list[str], now: datetime
    ) -> None:
        for call_id in to_hang_up:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        if refusal is None:
            code_checks_total.labels("right").inc()
            approval_seconds.observe((now - awaited.created_at).total_seconds())
        else:
            code_checks_total.labels("wrong").inc()
            log.info(
                "wrong_code",
                verification_id=awaited.verification_id,
                attempts_remaining=refusal.attempts_remaining,
            )

    def _hold_awaited(self, connection: Connection, actor: Actor, target: Target, now: datetime) -> AwaitedCode:
        """What may be guessed at, held. Raises where nothing may be."""
        awaited = self._find_awaited(connection, actor, target, now)
        if awaited is not None:
            if awaited.last_wrong_code_at is not None:
                self._check_wrong_codes(connection, actor, awaited.phone, now)
            return awaited
        verification = locate_verification(connection, actor, target, now)
        # It may be a newer one, that came while we waited for the one that it has superseded.
        awaited = attempts.find_awaited_code(connection, actor.user_id, verification.verification_id, now)
        self._check_wrong_codes(connection, actor, verification.phone, now)
        if awaited is None:
            refuse_unless_pending(verification, now)
            # Another request ended it since we looked. It is read by its id: its phone may have a newer one by now.
            refuse_unless_pending(hold_verification(connection, verification.verification_id), now)
            raise LetsTalkError("a pending verification had no attempt to spend")
        return awaited

    def _find_awaited(self, connection: Connection, actor: Actor, target: Target, now: datetime) -> AwaitedCode | None:
        # What is still awaited is younger than the time in which a phone alone finds it.
        if target.phone is not None:
            return attempts.find_newest_awaited_code(connection, actor.user_id, target.phone, now)
        verification_id = canonical_id(target.verification_id or "")
        if verification_id is None:
            return None
        return attempts.find_awaited_code(connection, actor.user_id, verification_id, now)

    def _check_wrong_codes(self, connection: Connection, actor: Actor, phone: str, now: datetime) -> None:
        # Counted only while our row keeps other guesses back: of parallel ones, the tenth must be the last.
        check_wrong_codes(storage.list_wrong_codes(connection, actor.user_id, phone), now)

    def _approve(self, connection: Connection, actor: Actor, awaited: AwaitedCode, now: datetime) -> list[str]:
        approve_awaited(connection, awaited.verification_id, now)
        if awaited.last_wrong_code_at is not None:
            storage.clear_wrong_codes(connection, actor.user_id, awaited.phone)
        if not awaited.has_unfinished_calls:
            return []
        return retire_calls(connection, awaited.verification_id, "The code was approved.", now)

    def _count_wrong_code(
        self, connection: Connection, actor: Actor, awaited: AwaitedCode, now: datetime
    ) -> tuple[InvalidCode, list[str]]:
        to_hang_up = []
        attempts.spend_attempt(connection, awaited.verification_id)
        storage.insert_wrong_code(connection, actor.user_id, awaited.phone, now)
        attempts_remaining = MAX_ATTEMPTS - awaited.attempts_used - 1
        if attempts_remaining <= 0:
            end_verification(connection, awaited.verification_id, VerificationStatus.ATTEMPTS_EXCEEDED)
            to_hang_up = retire_calls(connection, awaited.verification_id, "Too many wrong codes came.", now)
        return InvalidCode("This is not the code.", attempts_remaining=attempts_remaining), to_hang_up

    def _find(self, connection: Connection, actor: Actor, verification_id: str) -> Verification:
        known_id = canonical_id(verification_id)
        found = None if known_id is None else storage.find_verification(connection, actor.user_id, known_id)
        if found is None:
            raise NotFound("There is no such verification.")
        return found

    def _history(self, connection: Connection, verification: Verification, now: datetime) -> VerificationHistory:
        calls = call_storage.list_calls(connection, verification.verification_id)
        events = call_storage.list_call_events(connection, [call.call_id for call in calls])
        histories = tuple(CallHistory(call, ((call.created_at, "queued"), *events[call.call_id])) for call in calls)
        return VerificationHistory(verification, verification.status_at(now), histories)
