"""Speaking the codes of others: one call for a phone and code, within the limits of every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from letstalk.calls import queue
from letstalk.calls import repository as calls
from letstalk.calls.lifecycle import note_call, place_call, withdraw_calls
from letstalk.calls.limits import CallLimits
from letstalk.calls.models import CallStatus, NewCall, Script, Topic
from letstalk.calls.scheduling import next_turn
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, DestinationBlocked, NotFound
from letstalk.core.ids import canonical_id, new_id
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, after_commit, delete_in_batches
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.http.idempotency import IdempotencyKey, find_first_response, store_first_response
from letstalk.observability.logs import get_logger
from letstalk.observability.redaction import mask_phone
from letstalk.speaking import repository
from letstalk.speaking.models import (
    MAX_TTL_SECONDS,
    SAME_CALL_WITHIN,
    NewSpokenCode,
    SpeakAccepted,
    SpokenCall,
    SpokenCode,
    ensure_cooled_down,
    read_code,
)
from letstalk.telephony.phone_numbers import Phone, parse_phone, region_of
from letstalk.telephony.speech.languages import choose_language
from letstalk.telephony.speech.scripts import choose_brand, ensure_speakable
from letstalk.test_numbers.destinations import Destinations
from letstalk.test_numbers.models import NO_CALL_REASON
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

LONGEST_LIFE = timedelta(seconds=MAX_TTL_SECONDS)
Digest = Callable[[str, str], str]  # a keyed digest of a text, for a purpose
OnAccept = Callable[[Connection, str, datetime], None]  # called with the transaction, the id of the call, and the time


@dataclass(frozen=True, slots=True)
class SpeakPolicy:
    """`brand_names` are the names that a request may have spoken instead of `brand_name`."""

    brand_name: str
    brand_names: frozenset[str]
    default_region: str | None


class SpeakService:
    def __init__(
        self,
        db: Database,
        vault: Vault,
        digest: Digest,
        wakeups: Wakeups,
        clock: Clock,
        policy: SpeakPolicy,
        limits: CallLimits,
        destinations: Destinations,
    ) -> None:
        self._db = db
        self._vault = vault
        self._digest = digest
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        self._limits = limits
        self._destinations = destinations

    def speak(
        self,
        actor: Actor,
        wanted: NewSpokenCode,
        idempotency: IdempotencyKey | None = None,
        *,
        on_accept: OnAccept | None = None,
    ) -> SpeakAccepted:
        """Queue a call that says the code.

        1. A known idempotency key brings back its first response, as do the owner's same phone and code for 120 s.
        2. Cool-downs and limits are those of every call: TooManyRequests, Unavailable.
        3. The owner's older call with another code for the phone is ended.
        4. `on_accept` is called for a call that is new, in its transaction: what it raises takes the call back.

        To a live test number of the owner no call is placed. Raises InvalidPhone, InvalidRequest, DestinationBlocked,
        IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        phone = parse_phone(wanted.phone, self._policy.default_region)
        block = self._destinations.find_block(actor.owner_id, phone)
        policy, code = self._policy, read_code(wanted.code)
        brand = choose_brand(wanted.brand, policy.brand_name, policy.brand_names)
        locale, region = wanted.locale, phone.region
        ensure_speakable(code, brand=brand or policy.brand_name, locale=locale, region=region, message=None)
        sealed = self._vault.encrypt(Script(code, None, brand).to_json())
        told_apart_by = "\0".join((actor.owner_id, phone.canonical, code.upper(), wanted.session_digest))
        digest = self._digest("spoken codes", told_apart_by)
        if idempotency is not None:  # a plain hash of the body would give the code away
            idempotency = replace(idempotency, body_hash=self._digest("idempotent requests", idempotency.body_hash))
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_response(self._db, connection, actor.owner_id, idempotency, now)
            if first is not None:
                return SpeakAccepted(**first, is_first_response=False)
            self._db.lock(connection, "phone", phone.canonical)
            latest = repository.list_latest(connection, actor.owner_id, phone.canonical, now - LONGEST_LIFE)
            same = next((one for one in latest if _is_same(one, digest, now)), None)
            if same is not None:
                return _accepted(same, is_first_response=False)
            ensure_cooled_down(latest[0].created_at if latest else None, now)
            spoken = self._accept(connection, actor, wanted, phone, sealed, digest, now, block)
            if latest:
                self._withdraw(connection, latest[0], "A newer code was given.", now)
            accepted = _accepted(spoken, is_first_response=True)
            if idempotency is not None:
                response = asdict(accepted)
                del response["is_first_response"]
                store_first_response(connection, actor.owner_id, idempotency, response, now)
            if on_accept is not None:
                on_accept(connection, accepted.call_id, now)
            self._limits.count_call(connection, actor, phone.canonical, phone.region, now, is_send=True)
            after_commit(connection, lambda: self._follow_up(accepted))
        return accepted

    def get_call(self, actor: Actor, call_id: str) -> SpokenCall:
        """The call and what became of it. Raises NotFound, also for a call of another owner or kind."""
        with self._db.read() as connection:
            known_id = canonical_id(call_id)
            spoken = None if known_id is None else repository.find_by_call(connection, actor.owner_id, known_id)
            return _history(connection, spoken)

    def get_of_session(self, actor: Actor, session_digest: str, spoken_id: str) -> SpokenCall:
        """The call of a spoken code, by the code's own id and the session that it belongs to. Raises NotFound."""
        with self._db.read() as connection:
            return _history(
                connection, repository.find_of_session(connection, actor.owner_id, session_digest, spoken_id)
            )

    def find_newest(self, actor: Actor, session_digest: str, phone: str) -> SpokenCall | None:
        """The newest of a session for a canonical number that could still be entered, and its call."""
        with self._db.read() as connection:
            since = self._clock() - LONGEST_LIFE
            latest = repository.list_latest(connection, actor.owner_id, phone, since)
            newest = next((one for one in latest if one.session_digest == session_digest), None)
            return None if newest is None else _history(connection, newest)

    def report_outcome(self, actor: Actor, call_id: str, *, approved: bool, ends_call: bool = False) -> SpokenCall:
        """Note whether the other side has accepted the code. An approval ends the call, and is final.

        With `ends_call`, so does a report that it was not accepted: nobody waits for it any more.

        Raises NotFound, and Conflict `already_approved` for a later report that it was not.
        """
        with self._db.write() as connection:
            now = self._clock()
            known_id = canonical_id(call_id)
            spoken = None if known_id is None else repository.lock_by_call(connection, actor.owner_id, known_id)
            if spoken is None:
                raise _unknown()
            if spoken.approved and not approved:
                raise Conflict("The code of this call was reported as approved already.", code="already_approved")
            if spoken.approved is not approved:
                repository.note_outcome(connection, spoken.spoken_id, now, approved=approved)
                _tell_apps(connection, spoken, now, approved=approved)
            if approved or ends_call:
                reason = "The code was approved." if approved else "The code is no longer wanted."
                self._withdraw(connection, spoken, reason, now)
            return _history(connection, repository.find_by_call(connection, actor.owner_id, spoken.call_id))

    def sweep(self) -> None:
        """Every minute: erase the digests of codes that would be another call by now."""
        before = self._clock() - SAME_CALL_WITHIN
        delete_in_batches(self._db, partial(repository.erase_digests, before=before))

    def _accept(
        self,
        connection: Connection,
        actor: Actor,
        wanted: NewSpokenCode,
        phone: Phone,
        sealed: str,
        digest: str,
        now: datetime,
        block: DestinationBlocked | None,
    ) -> SpokenCode:
        """Check the limits and write the spoken code with its call."""
        is_test = False
        if block is not None or repository.has_test_number(connection, actor.owner_id, phone.canonical):
            number = self._destinations.find_test_number(connection, actor.owner_id, phone, now, block)
            is_test = number is not None
        self._limits.ensure_phone_rates(connection, actor.owner_id, phone.canonical, now)
        spoken_id, expires_at = new_id(now), now + timedelta(seconds=wanted.ttl_seconds)
        phone_as_given = None if phone.e164 == phone.canonical else phone.e164
        owner_id, locale = actor.owner_id, wanted.locale
        new = NewCall(spoken_id, owner_id, phone.canonical, sealed, locale, expires_at, phone_as_given)
        if is_test:
            call_id = note_call(connection, new, CallStatus.COMPLETED, NO_CALL_REASON, now)
        else:
            turn = next_turn(*queue.find_turns(connection, owner_id))
            self._limits.ensure_not_full(connection, turn, wanted.ttl_seconds)
            call_id = place_call(connection, new, turn, now)
        spoken = SpokenCode(
            spoken_id=spoken_id,
            call_id=call_id,
            owner_id=owner_id,
            token_id=actor.token_id,
            phone=phone.canonical,
            phone_as_given=phone_as_given,
            country=phone.region,
            locale=locale,
            reference=wanted.reference,
            code_digest=digest,
            created_at=now,
            expires_at=expires_at,
            is_test=is_test,
            approved=None,
            reported_at=None,
            session_digest=wanted.session_digest,
        )
        repository.insert_spoken_code(connection, spoken)
        return spoken

    def _withdraw(self, connection: Connection, spoken: SpokenCode, reason: str, now: datetime) -> None:
        for call_id in withdraw_calls(connection, spoken.spoken_id, reason, now):
            after_commit(connection, partial(self._wakeups.wake, Topic.CARRY_OUT, call_id))

    def _follow_up(self, accepted: SpeakAccepted) -> None:
        log.info("spoken_code_accepted", call_id=accepted.call_id, phone=mask_phone(accepted.phone))
        if not accepted.is_test:
            self._wakeups.wake(Topic.DISPATCH)


def _is_same(spoken: SpokenCode, digest: str, now: datetime) -> bool:
    return spoken.code_digest == digest and now - spoken.created_at < SAME_CALL_WITHIN


def _accepted(spoken: SpokenCode, *, is_first_response: bool) -> SpeakAccepted:
    status = CallStatus.COMPLETED if spoken.is_test else CallStatus.QUEUED
    return SpeakAccepted.of(
        spoken, status.value, spoken_locale=_spoken_locale(spoken), is_first_response=is_first_response
    )


def _spoken_locale(spoken: SpokenCode) -> str:
    return choose_language(spoken.locale, region_of(spoken.e164)).tag


def _history(connection: Connection, spoken: SpokenCode | None) -> SpokenCall:
    call = None if spoken is None else calls.find_call(connection, spoken.call_id)
    if spoken is None or call is None:
        raise _unknown()
    events = calls.list_call_events(connection, [call.call_id])[call.call_id]
    first = [] if spoken.is_test else [(call.created_at, "queued")]
    return SpokenCall(spoken, call, (*first, *events), _spoken_locale(spoken))


def _unknown() -> NotFound:
    return NotFound("There is no such call.")


def _tell_apps(connection: Connection, spoken: SpokenCode, now: datetime, *, approved: bool) -> None:
    detail = {
        "call_id": spoken.call_id,
        "phone": mask_phone(spoken.e164),
        "approved": approved,
        "reference": spoken.reference,
    }
    event = NewEvent(
        AppEventType.VERIFICATION_REPORTED,
        spoken.owner_id,
        subject_id=spoken.spoken_id,
        call_id=spoken.call_id,
        detail=detail,
    )
    record_event(connection, event, now)
