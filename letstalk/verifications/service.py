"""Checking codes; looking at, listing and canceling verifications; ending those that no request ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Unpack

from sqlalchemy import Connection

from letstalk.calls import repository as calls
from letstalk.calls.lifecycle import withdraw_calls
from letstalk.calls.models import Topic
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidCode, LetsTalkError, NoPendingVerification, NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.db.database import Database, after_commit, delete_in_batches
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import approval_seconds, code_checks_total, verifications_total
from letstalk.telephony.phone_numbers import as_e164, parse_phone, region_of
from letstalk.telephony.speech.languages import choose_language
from letstalk.verifications import repository, wrong_codes
from letstalk.verifications.codes import DigestKeys, is_code
from letstalk.verifications.described_calls import DescribedCall, describe_calls
from letstalk.verifications.models import (
    MAX_ATTEMPTS,
    MAX_WRONG_CODES_OF_PHONE,
    WRONG_CODES_OF_PHONE_WINDOW,
    Approval,
    CallHistory,
    PendingCheck,
    Verification,
    VerificationFilter,
    VerificationHistory,
    VerificationPage,
    VerificationRef,
    VerificationStatus,
    ensure_cancelable,
    ensure_few_wrong_codes,
    ensure_pending,
    seconds_until_replay,
)
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)


def end_verification(connection: Connection, verification_id: str, status: VerificationStatus, now: datetime) -> bool:
    """Set the final status of a pending verification and erase its code. Returns False if it had already ended."""
    owner_id = repository.end_verification(connection, verification_id, status, now)
    if owner_id is None:
        return False
    record_event(connection, NewEvent(AppEventType(f"verification.{status.value}"), owner_id, verification_id), now)
    after_commit(connection, lambda: _note_end(verification_id, status))
    return True


def _note_end(verification_id: str, status: VerificationStatus) -> None:
    verifications_total.labels(status.value).inc()
    log.info("verification_ended", verification_id=verification_id, status=status.value)


def end_calls(connection: Connection, wakeups: Wakeups, verification_id: str, reason: str, now: datetime) -> None:
    """End the calls about a verification. After the commit, workers are woken to hang up those that are live."""
    for call_id in withdraw_calls(connection, verification_id, reason, now):
        after_commit(connection, partial(wakeups.wake, Topic.CARRY_OUT, call_id))


def cancel_test_verifications(connection: Connection, owner_id: str, phone: str, now: datetime) -> None:
    """Cancel what waits for the code of an owner's test number. The caller has locked the phone."""
    for verification_id in repository.list_pending_tests(connection, owner_id, phone):
        end_verification(connection, verification_id, VerificationStatus.CANCELED, now)


def read_history(connection: Connection, verification: Verification, now: datetime) -> VerificationHistory:
    found = calls.list_calls(connection, verification.verification_id)
    events = calls.list_call_events(connection, [call.call_id for call in found])
    # The call to a test number has not waited.
    first = () if verification.is_test else ("queued",)
    histories = tuple(
        CallHistory(call, (*((call.created_at, type_) for type_ in first), *events[call.call_id])) for call in found
    )
    return VerificationHistory(verification, verification.status_at(now), histories)


class VerificationService:
    def __init__(
        self, db: Database, keys: DigestKeys, wakeups: Wakeups, clock: Clock, *, default_region: str | None = None
    ) -> None:
        self._db = db
        self._keys = keys
        self._wakeups = wakeups
        self._clock = clock
        self._default_region = default_region

    def make_ref(
        self, actor: Actor, *, phone: str | None, verification_id: str | None, session: str | None = None
    ) -> VerificationRef:
        """The verification that a request names by its id, or by a phone and, if it was sent with one, a session.

        Raises InvalidPhone. A phone that is written as E.164 is checked later, when it is not found.
        """
        e164 = None if phone is None else as_e164(phone, self._default_region)
        return VerificationRef(e164, verification_id, self._keys.digest_session(actor.owner_id, session))

    def find_verification(self, actor: Actor, ref: VerificationRef) -> Verification:
        """The verification of `ref`'s session, in any status. Raises NoPendingVerification, InvalidPhone."""
        with self._db.read() as connection:
            found = repository.find(connection, actor.owner_id, ref, self._clock())
        if found.session_digest != ref.session_digest:
            raise NoPendingVerification("No verification waits for a code here.")
        return found

    def check_code(self, actor: Actor, ref: VerificationRef, code: str) -> Approval:
        """Check a code.

        1. The verification is locked until the end, so that parallel guesses are judged one after the other, and each
           spends an attempt. If it is over, or there were too many wrong codes, no attempt is spent.
        2. The right code spends an attempt, approves the verification, clears the wrong codes and ends the calls.
        3. A wrong code spends an attempt and is counted. The fifth ends the verification; where too many were wrong for
           the phone in a day, over all owners and sessions, the first does. The right code is never refused for that.

        Raises NoPendingVerification, TooManyRequests, Gone, InvalidCode.
        """
        with self._db.write() as connection:
            now = self._clock()
            pending = self._lock_pending(connection, actor, ref, now)
            key = self._keys.find(pending.digest_key_id)
            error: InvalidCode | None = None
            if is_code(key, pending.verification_id, code, pending.code_digest):
                self._approve(connection, actor, pending, now)
            else:
                error = self._count_wrong_code(connection, actor, pending, now)
            after_commit(connection, lambda: self._follow_up(pending, error, now))
        # Raised only here: inside the transaction it would roll back the spent attempt.
        if error is not None:
            raise error
        return Approval(pending, now)

    def get_verification(self, actor: Actor, verification_id: str) -> VerificationHistory:
        """Raises NotFound, also for a verification of another owner."""
        now = self._clock()
        with self._db.read() as connection:
            verification = self._find(connection, actor, verification_id)
            return read_history(connection, verification, now)

    def list_verifications(
        self, actor: Actor, *, limit: int, cursor: str | None, **wanted: Unpack[VerificationFilter]
    ) -> VerificationPage:
        """The actor's verifications, newest first. Raises InvalidPhone, and InvalidRequest for an invalid cursor."""
        phone = wanted.get("phone")
        if phone is not None:
            wanted["phone"] = parse_phone(phone, self._default_region).canonical
        after = None if cursor is None else decode_cursor(cursor)
        now = self._clock()
        with self._db.read() as connection:
            found = repository.list_verifications(
                connection, actor.owner_id, wanted, after=after, limit=limit + 1, now=now
            )
        page, next_cursor = cut_page(found, limit, lambda item: encode_cursor(item.created_at, item.verification_id))
        return VerificationPage(tuple((item, item.status_at(now)) for item in page), next_cursor)

    @staticmethod
    def spoken_locale(verification: Verification) -> str:
        """The language (BCP 47) of its calls: that of `locale` if it is spoken here, else of the phone's country."""
        return choose_language(verification.locale, region_of(verification.e164)).tag

    def describe_calls(self, call_ids: Sequence[str]) -> dict[str, DescribedCall]:
        """What calls of any owner are about, by their ids: for the simulator's phone, which is all owners' phone."""
        return describe_calls(self._db, call_ids)

    def seconds_until_replay(self, actor: Actor, ref: VerificationRef) -> int | None:
        """How long until the code may be spoken again; 0 if it may be now, unless its call has not spoken it yet. None
        if it is not spoken again any more. Raises NoPendingVerification.
        """
        now = self._clock()
        with self._db.read() as connection:
            verification = repository.find(connection, actor.owner_id, ref, now)
        if verification.status_at(now) is not VerificationStatus.PENDING or verification.replays_remaining <= 0:
            return None
        return seconds_until_replay(verification, now)

    def cancel_verification(self, actor: Actor, verification_id: str) -> VerificationHistory:
        """End a pending verification and its calls. Raises NotFound, Conflict `not_pending`."""
        with self._db.write() as connection:
            now = self._clock()
            found = self._find(connection, actor, verification_id)
            verification = repository.lock(connection, found.verification_id)
            ensure_cancelable(verification, now)
            end_verification(connection, verification.verification_id, VerificationStatus.CANCELED, now)
            end_calls(connection, self._wakeups, verification.verification_id, "The verification was canceled.", now)
            canceled = self._find(connection, actor, verification_id)
            return read_history(connection, canceled, now)

    def approve_verification(self, actor: Actor, verification_id: str) -> VerificationHistory:
        """Approve a pending verification without its code: the app has proven the phone in another way.

        Raises NotFound, Gone.
        """
        with self._db.write() as connection:
            now = self._clock()
            known_id = self._find(connection, actor, verification_id).verification_id
            ref = VerificationRef(None, known_id)
            pending = repository.get_pending(connection, actor.owner_id, ref, now, for_update=True)
            if pending is None:
                ensure_pending(repository.lock(connection, known_id), now)
                raise LetsTalkError("a pending verification had no attempt to spend")
            self._approve(connection, actor, pending, now)
            after_commit(connection, lambda: _note_end(known_id, VerificationStatus.APPROVED))
            return read_history(connection, self._find(connection, actor, known_id), now)

    def call_failed(self, subject_id: str) -> None:
        """End a verification as failed if it is pending and all its calls have failed. See `CallListener`."""
        with self._db.write() as connection:
            verification = repository.lock_verification(connection, subject_id)
            now = self._clock()
            if verification is None or verification.status_at(now) is not VerificationStatus.PENDING:
                return
            # Read with the verification locked: a replay, which would add a call, waits for it.
            if calls.have_all_failed(connection, subject_id):
                end_verification(connection, subject_id, VerificationStatus.FAILED, now)

    def sweep(self) -> None:
        """Every minute: end what has expired or can't be placed, and forget the wrong codes that no longer count."""
        now = self._clock()
        self._end_expired(now)
        with self._db.read() as connection:
            unplaceable = repository.list_unplaceable(connection, now)
        for verification_id in unplaceable:  # a process died before it could tell that the call had failed
            self.call_failed(verification_id)
        before = now - WRONG_CODES_OF_PHONE_WINDOW
        delete_in_batches(self._db, partial(wrong_codes.delete_old_wrong_codes, before=before))

    def _end_expired(self, now: datetime) -> None:
        """Ends all of them, so that no code is kept more than a minute after it expires."""
        while True:
            with self._db.read() as connection:
                expired = repository.find_expired(connection, now)
            for verification_id in expired:
                with self._db.write() as connection:
                    end_verification(connection, verification_id, VerificationStatus.EXPIRED, now)
            if not expired:
                return

    def _follow_up(self, pending: PendingCheck, error: InvalidCode | None, now: datetime) -> None:
        if error is None:
            code_checks_total.labels("right").inc()
            approval_seconds.observe((now - pending.created_at).total_seconds())
            verifications_total.labels(VerificationStatus.APPROVED.value).inc()  # the line of the request names it
        else:
            code_checks_total.labels("wrong").inc()
            log.info("wrong_code", verification_id=pending.verification_id, attempts_remaining=error.attempts_remaining)

    def _lock_pending(self, connection: Connection, actor: Actor, ref: VerificationRef, now: datetime) -> PendingCheck:
        """Lock and return the verification whose code can be checked. Otherwise raise the error that says why."""
        # By phone: a verification that is pending is always younger than LOOKUP_WINDOW.
        pending = repository.get_pending(connection, actor.owner_id, ref, now, for_update=True)
        if pending is not None:
            if pending.last_wrong_code_at is not None:
                self._ensure_few_wrong_codes(connection, actor, pending, now)
            return pending
        verification = repository.find(connection, actor.owner_id, ref, now)
        # It may be a newer one, which was added while we waited for the one that it has superseded.
        by_id = VerificationRef(None, verification.verification_id)
        pending = repository.get_pending(connection, actor.owner_id, by_id, now, for_update=True)
        self._ensure_few_wrong_codes(connection, actor, verification, now)
        if pending is None:
            ensure_pending(verification, now)
            # Another request has ended it since. It is read by its id, because its phone may have a newer one by now.
            ensure_pending(repository.lock(connection, verification.verification_id), now)
            raise LetsTalkError("a pending verification had no attempt to spend")
        return pending

    def _ensure_few_wrong_codes(
        self, connection: Connection, actor: Actor, checked: PendingCheck | Verification, now: datetime
    ) -> None:
        # Counted while the lock is held: otherwise parallel requests could exceed ten wrong codes.
        judged_at = wrong_codes.list_wrong_codes(connection, actor.owner_id, checked.phone, checked.session_digest)
        ensure_few_wrong_codes(judged_at, now)

    def _approve(self, connection: Connection, actor: Actor, pending: PendingCheck, now: datetime) -> None:
        repository.spend_attempt_and_approve(connection, pending.verification_id, now)
        if pending.last_wrong_code_at is not None:
            wrong_codes.clear_wrong_codes(connection, actor.owner_id, pending.phone, pending.session_digest)
        if pending.has_unfinished_calls:
            end_calls(connection, self._wakeups, pending.verification_id, "The code was approved.", now)

    def _count_wrong_code(
        self, connection: Connection, actor: Actor, pending: PendingCheck, now: datetime
    ) -> InvalidCode:
        repository.spend_attempt(connection, pending.verification_id)
        # Guesses at other verifications of the phone, which may run at the same time, count too. Nobody locks a
        # verification after this.
        self._db.lock(connection, "wrong codes", pending.phone)
        of_session = (actor.owner_id, pending.phone, pending.session_digest)
        wrong_codes.insert_wrong_code(connection, *of_session, now, verification_id=pending.verification_id)
        since = now - WRONG_CODES_OF_PHONE_WINDOW
        is_guessed_at = (
            wrong_codes.count_wrong_codes_of_phone(connection, pending.phone, since) >= MAX_WRONG_CODES_OF_PHONE
        )
        attempts_remaining = 0 if is_guessed_at else MAX_ATTEMPTS - pending.attempts_used - 1
        if attempts_remaining <= 0:
            end_verification(connection, pending.verification_id, VerificationStatus.ATTEMPTS_EXCEEDED, now)
            end_calls(connection, self._wakeups, pending.verification_id, "Too many wrong codes were entered.", now)
        return InvalidCode("This is not the code.", attempts_remaining=attempts_remaining)

    def _find(self, connection: Connection, actor: Actor, any_id: str) -> Verification:
        """The verification with that id, or the one of the call with that id: a send returns both ids."""
        known_id = canonical_id(any_id)
        if known_id is not None:
            found = repository.find_verification(connection, actor.owner_id, known_id)
            call = calls.find_call(connection, known_id) if found is None else None
            if call is not None:
                found = repository.find_verification(connection, actor.owner_id, call.subject_id)
            if found is not None:
                return found
        raise NotFound("There is no such verification.")
