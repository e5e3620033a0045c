"""Starting verifications and replaying their codes: each queues a call, or has a live one speak again.

Limits are checked in the transaction that writes, so that two requests at once can't both pass.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import queue
from letstalk.calls import repository as calls
from letstalk.calls.lifecycle import place_call, say_again
from letstalk.calls.models import Call, CallStatus, NewCall, Script, Spoken, Topic
from letstalk.calls.queue import MeanCall, QueueLength
from letstalk.calls.scheduling import ASSUMED_CALL_SECONDS, estimate_wait_seconds, is_queue_full, most_ahead, next_turn
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Unavailable
from letstalk.core.ids import new_id
from letstalk.core.rates import Rate
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, after_commit
from letstalk.http.idempotency import IdempotencyKey, find_first_response, store_first_response
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import replays_total, verifications_started_total
from letstalk.observability.redaction import mask_phone
from letstalk.telephony.phone_numbers import Phone, ensure_destination_allowed, parse_phone
from letstalk.telephony.speech.scripts import ensure_speakable
from letstalk.verifications import repository, wrong_codes
from letstalk.verifications.codes import DigestKeys, digest_code, generate_code
from letstalk.verifications.models import (
    MAX_SESSIONS,
    RESEND_COOL_DOWN_SECONDS,
    CallAccepted,
    NewVerification,
    Verification,
    VerificationRef,
    VerificationStatus,
    ensure_few_wrong_codes,
    ensure_pending,
    ensure_phone_rates,
    ensure_replay_allowed,
    ensure_resend_allowed,
    ensure_session_fits,
)
from letstalk.verifications.service import end_calls, end_verification
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

RESEND_COOL_DOWN = timedelta(seconds=RESEND_COOL_DOWN_SECONDS)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """The settings about which phones may be called and how often. `simulator_speed` is 1 for real calls."""

    brand_name: str
    default_region: str | None
    allowed_countries: frozenset[str]
    blocked_countries: frozenset[str]
    owner_rates: tuple[Rate, ...]
    phone_rates: tuple[Rate, ...]
    channels: int
    simulator_speed: float = 1.0


class SendService:
    def __init__(
        self, db: Database, vault: Vault, keys: DigestKeys, wakeups: Wakeups, clock: Clock, policy: SendPolicy
    ) -> None:
        self._db = db
        self._vault = vault
        self._keys = keys
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        rates = (*policy.owner_rates, *policy.phone_rates)
        windows = [rate.window_seconds for rate in rates]
        self._longest_window = timedelta(seconds=max(windows, default=0))
        # With fewer calls than the lowest limit, no limit can be reached.
        self._fewest_to_look_at = min((rate.amount for rate in rates), default=1)
        self._queue_length = QueueLength()
        self._mean_call = MeanCall(assumed_seconds=ASSUMED_CALL_SECONDS / policy.simulator_speed)

    def start(self, actor: Actor, wanted: NewVerification, idempotency: IdempotencyKey | None = None) -> CallAccepted:
        """Make a code for a phone and queue the call that reads it.

        1. A known idempotency key brings back its first response.
        2. Cool-downs and limits are checked: TooManyRequests, Unavailable.
        3. An older pending verification of the same owner, phone and session is superseded and its calls are ended.
        4. The verification and its call are written; after the commit a worker is woken.

        Raises InvalidPhone, DestinationBlocked, InvalidRequest, IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        policy = self._policy
        phone = parse_phone(wanted.phone, policy.default_region)
        ensure_destination_allowed(phone, allowed=policy.allowed_countries, blocked=policy.blocked_countries)
        code = generate_code(wanted.code_length)
        ensure_speakable(  # rejects now what could not be spoken later
            code, brand=policy.brand_name, locale=wanted.locale, region=phone.region, message=wanted.message
        )
        key_id, key = self._keys.current()  # may write, in a transaction of its own
        session_digest = self._keys.digest_session(actor.owner_id, wanted.session)
        idempotency = self._without_session(idempotency, session_digest)
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_response(self._db, connection, actor.owner_id, idempotency, now)
            if first is not None:
                return CallAccepted(**first, is_first_response=False)
            self._db.lock(connection, "phone", phone.e164)
            of_session = (actor.owner_id, phone.e164, session_digest)
            state = repository.load_send_state(
                connection,
                *of_session,
                since=now - self._longest_window,
                at_most=self._fewest_to_look_at,
                cooling_since=now - RESEND_COOL_DOWN,
            )
            if state.last_wrong_code_at is not None:
                ensure_few_wrong_codes(wrong_codes.list_wrong_codes(connection, *of_session), now)
            ensure_resend_allowed(state.newest_at, now)
            if state.accepted_calls >= self._fewest_to_look_at:
                self._ensure_phone_rates(connection, actor.owner_id, phone.e164, now)
            if session_digest and state.other_sessions >= MAX_SESSIONS:
                ensure_session_fits(repository.list_other_sessions(connection, *of_session, now), now)
            turn = next_turn(state.own_last_turn, state.first_waiting_turn)
            self._ensure_not_full(connection, turn, wanted.ttl_seconds)
            if state.has_pending:
                self._supersede(connection, actor, phone, session_digest, now)
            verification = self._new_verification(actor, wanted, phone, session_digest, code, key_id, key, now)
            repository.insert_verification(connection, verification)
            call_id = _place_call(connection, verification, turn, now)
            accepted = CallAccepted.of(verification, call_id, CallStatus.QUEUED, now)
            if idempotency is not None:
                store_first_response(connection, actor.owner_id, idempotency, _stored(accepted), now)
            after_commit(connection, lambda: self._follow_up(accepted))
        return accepted

    def _follow_up(self, accepted: CallAccepted) -> None:
        verifications_started_total.inc()
        log.info(
            "verification_started",
            verification_id=accepted.verification_id,
            call_id=accepted.call_id,
            phone=mask_phone(accepted.phone),
        )
        self._wakeups.wake(Topic.DISPATCH)

    def replay(self, actor: Actor, ref: VerificationRef, idempotency: IdempotencyKey | None = None) -> CallAccepted:
        """Have the same code spoken again, in the live call if there is one, else in a new one.

        Raises NoPendingVerification, Gone, Conflict, IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        idempotency = self._without_session(idempotency, ref.session_digest)
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_response(self._db, connection, actor.owner_id, idempotency, now)
            if first is not None:
                return CallAccepted(**first, is_first_response=False)
            found = repository.find(connection, actor.owner_id, ref, now)
            self._db.lock(connection, "phone", found.phone)
            verification = repository.lock(connection, found.verification_id)
            of_session = (actor.owner_id, verification.phone, verification.session_digest)
            ensure_few_wrong_codes(wrong_codes.list_wrong_codes(connection, *of_session), now)
            ensure_pending(verification, now)
            call = calls.lock_latest_call(connection, verification.verification_id)
            ensure_replay_allowed(verification, is_reading_awaited=_is_reading_awaited(call), now=now)
            live = call if call is not None and _can_speak_again(call) else None
            if live is not None:
                say_again(connection, live, now)
                call_id, call_status = live.call_id, live.status
            else:
                self._ensure_phone_rates(connection, actor.owner_id, verification.phone, now)
                turn = next_turn(*queue.find_turns(connection, actor.owner_id))
                self._ensure_not_full(connection, turn, verification.expires_in_seconds(now))
                call_id, call_status = _place_call(connection, verification, turn, now), CallStatus.QUEUED
            repository.spend_replay(connection, verification.verification_id, now)
            accepted = CallAccepted.of(verification, call_id, call_status, now, replays_spent=1)
            if idempotency is not None:
                store_first_response(connection, actor.owner_id, idempotency, _stored(accepted), now)
        where = "new_call" if live is None else "same_call"
        replays_total.labels(where).inc()
        log.info("replay_accepted", verification_id=accepted.verification_id, call_id=call_id, where=where)
        if live is not None:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        else:
            self._wakeups.wake(Topic.DISPATCH)
        return accepted

    def _ensure_phone_rates(self, connection: Connection, owner_id: str, phone: str, now: datetime) -> None:
        accepted = calls.list_accepted(connection, phone, now - self._longest_window)
        ensure_phone_rates(self._policy.phone_rates, [accepted_at for accepted_at, _ in accepted], now)
        own = [accepted_at for accepted_at, owner in accepted if owner == owner_id]
        ensure_phone_rates(self._policy.owner_rates, own, now)

    def _ensure_not_full(self, connection: Connection, turn: int, ttl_seconds: int) -> None:
        """Raises Unavailable `queue_full` when a call with this turn would be heard too late."""
        channels = self._policy.channels
        mean_seconds = self._mean_call.measure_seconds(connection)
        ahead = self._queue_length.count(connection, turn, most_ahead(channels, mean_seconds, ttl_seconds))
        if is_queue_full(ahead, channels, mean_seconds, ttl_seconds):
            wait_seconds = estimate_wait_seconds(ahead, channels, mean_seconds)
            raise Unavailable(
                "Too many calls wait: the code would expire before it is heard.",
                code="queue_full",
                retry_after_seconds=max(1, min(60, int(wait_seconds))),
            )

    def _without_session(self, idempotency: IdempotencyKey | None, session_digest: str) -> IdempotencyKey | None:
        """The same key with a keyed hash of the body, where that has a session: a session is kept in no other way."""
        if idempotency is None or not session_digest:
            return idempotency
        return replace(idempotency, body_hash=self._keys.digest("idempotent requests", idempotency.body_hash))

    def _supersede(
        self, connection: Connection, actor: Actor, phone: Phone, session_digest: str, now: datetime
    ) -> None:
        older = repository.find_pending(connection, actor.owner_id, phone.e164, session_digest)
        if older is None:
            return  # a check has just ended it
        is_expired = older.status_at(now) is VerificationStatus.EXPIRED
        status = VerificationStatus.EXPIRED if is_expired else VerificationStatus.SUPERSEDED
        end_verification(connection, older.verification_id, status)
        end_calls(connection, self._wakeups, older.verification_id, "A newer code was requested.", now)

    def _new_verification(
        self,
        actor: Actor,
        wanted: NewVerification,
        phone: Phone,
        session_digest: str,
        code: str,
        key_id: str,
        key: bytes,
        now: datetime,
    ) -> Verification:
        verification_id = new_id(now)
        return Verification.start(
            verification_id,
            actor.owner_id,
            wanted,
            phone=phone.e164,
            code_digest=digest_code(key, verification_id, code),
            digest_key_id=key_id,
            speech_sealed=self._vault.encrypt(Script(code, wanted.message).to_json()),
            session_digest=session_digest,
            now=now,
        )


def _place_call(connection: Connection, verification: Verification, turn: int, now: datetime) -> str:
    """Queue a call that reads the code of a pending verification. Returns its id."""
    new = NewCall(
        subject_id=verification.verification_id,
        owner_id=verification.owner_id,
        phone=verification.phone,
        script_sealed=verification.speech_sealed or "",
        locale=verification.locale,
        speak_before=verification.expires_at,
    )
    return place_call(connection, new, turn, now)


def _is_reading_awaited(call: Call | None) -> bool:
    return call is not None and not call.is_over and call.spoken is not Spoken.CODE


def _can_speak_again(call: Call) -> bool:
    return not call.is_over and call.spoken is Spoken.CODE and not call.is_ending


def _stored(accepted: CallAccepted) -> dict[str, Any]:
    response = asdict(accepted)
    del response["is_first_response"]
    return response
