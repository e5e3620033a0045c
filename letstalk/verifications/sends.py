"""Having a phone called: a new code, or the same one again. What is checked here is checked and written in one
transaction, so that two requests at once can't both pass.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection

from letstalk.calls import queue as queue
from letstalk.calls import repository as call_storage
from letstalk.calls.lifecycle import command, end_verification, retire_calls
from letstalk.calls.models import Call, CallStatus, Command, Spoken
from letstalk.calls.queue_length import MeanCall, QueueLength
from letstalk.calls.scheduling import ASSUMED_CALL_SECONDS, estimate_wait_seconds, is_queue_full, most_ahead, next_turn
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock, iso_utc
from letstalk.core.errors import Unavailable
from letstalk.core.ids import new_id
from letstalk.core.rates import Rate
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, after_commit
from letstalk.http.idempotency import IdempotencyKey, find_first_answer, keep_first_answer
from letstalk.observability.logs import get_logger, mask_phone
from letstalk.observability.metrics import replays_total, verifications_started_total
from letstalk.telephony.phone_numbers import Phone, check_destination, parse_phone
from letstalk.telephony.speech.scripts import check_speech
from letstalk.verifications import repository as storage
from letstalk.verifications.codes import digest_code, generate_code
from letstalk.verifications.digest_keys import DigestKeys
from letstalk.verifications.lookups import Target, hold_verification, locate_verification
from letstalk.verifications.models import (
    Verification,
    VerificationStatus,
    check_phone_rates,
    check_replay,
    check_resend,
    check_wrong_codes,
    refuse_unless_pending,
)
from letstalk.verifications.send_state import find_standing
from letstalk.worker.topics import Topic
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What the settings say about whom to call and how often. `simulator_speed` is 1 for real calls."""

    brand_name: str
    default_region: str | None
    allowed_countries: frozenset[str]
    blocked_countries: frozenset[str]
    owner_rates: tuple[Rate, ...]
    phone_rates: tuple[Rate, ...]
    channels: int
    simulator_speed: float = 1.0


@dataclass(frozen=True, slots=True)
class NewVerification:
    phone: str
    message: str | None
    locale: str | None
    code_length: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """A call that will be, or is being, placed. Times as the API writes them; `is_first_answer` is False where an
    idempotency key brought back an earlier answer.
    """

    verification_id: str
    call_id: str
    call_status: str
    phone: str
    expires_at: str
    expires_in: int
    attempts_remaining: int
    replays_remaining: int
    is_first_answer: bool = True


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
        # With fewer calls than the lowest limit none can be reached, whoever made them.
        self._fewest_to_look_at = min((rate.amount for rate in rates), default=1)
        self._queue_length = QueueLength()
        self._mean_call = MeanCall(assumed_seconds=ASSUMED_CALL_SECONDS / policy.simulator_speed)

    def start_verification(
        self, actor: Actor, wanted: NewVerification, idempotency: IdempotencyKey | None = None
    ) -> CallAccepted:
        """Make a code for a phone and queue the call that reads it.

        1. An idempotency key that was seen brings back its first answer.
        2. Cool-downs and limits are checked: TooManyRequests, Unavailable.
        3. An older pending verification of the same owner and phone is superseded and its calls are ended.
        4. The verification and its call are written; after the commit a worker is woken.

        Raises InvalidPhone, DestinationBlocked, InvalidRequest, IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        policy = self._policy
        phone = parse_phone(wanted.phone, policy.default_region)
        check_destination(phone, allowed=policy.allowed_countries, blocked=policy.blocked_countries)
        code = generate_code(wanted.code_length)
        check_speech(  # refuses now what could not be spoken later
            code, brand=policy.brand_name, locale=wanted.locale, region=phone.region, message=wanted.message
        )
        key_id, key = self._keys.current()  # may write, which no open transaction must wait for
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_answer(self._db, connection, actor.user_id, idempotency, now)
            if first is not None:
                return CallAccepted(**first, is_first_answer=False)
            self._db.lock(connection, "phone", phone.e164)
            standing = find_standing(
                connection, actor.user_id, phone.e164, now - self._longest_window, self._fewest_to_look_at
            )
            if standing.last_wrong_code_at is not None:
                check_wrong_codes(storage.list_wrong_codes(connection, actor.user_id, phone.e164), now)
            check_resend(standing.newest_at, now)
            if standing.accepted_calls >= self._fewest_to_look_at:
                self._check_phone_rates(connection, actor.user_id, phone.e164, now)
            turn = next_turn(standing.own_last_turn, standing.first_waiting_turn)
            self._refuse_if_full(connection, turn, wanted.ttl_seconds)
            to_hang_up = self._supersede(connection, actor, phone, now) if standing.has_pending else []
            verification = self._new_verification(actor, wanted, phone, code, key_id, key, now)
            storage.insert_verification(connection, verification)
            call_id = self._queue_call(connection, verification, turn, now)
            accepted = _accepted(verification, call_id, CallStatus.QUEUED, now)
            if idempotency is not None:
                keep_first_answer(connection, actor.user_id, idempotency, _stored(accepted), now)
            after_commit(connection, lambda: self._follow_up(accepted, to_hang_up))
        return accepted

    def _follow_up(self, accepted: CallAccepted, to_hang_up: list[str]) -> None:
        verifications_started_total.inc()
        log.info(
            "verification_started",
            verification_id=accepted.verification_id,
            call_id=accepted.call_id,
            phone=mask_phone(accepted.phone),
        )
        for call_id in to_hang_up:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        self._wakeups.wake(Topic.DISPATCH)

    def replay_verification(
        self, actor: Actor, target: Target, idempotency: IdempotencyKey | None = None
    ) -> CallAccepted:
        """Have the same code spoken again: in the call that is still on the line, else in a new one.

        Raises NoPendingVerification, Gone, Conflict, IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_answer(self._db, connection, actor.user_id, idempotency, now)
            if first is not None:
                return CallAccepted(**first, is_first_answer=False)
            found = locate_verification(connection, actor, target, now)
            self._db.lock(connection, "phone", found.phone)
            verification = hold_verification(connection, found.verification_id)
            check_wrong_codes(storage.list_wrong_codes(connection, actor.user_id, verification.phone), now)
            refuse_unless_pending(verification, now)
            call = call_storage.find_latest_call(connection, verification.verification_id)
            check_replay(verification, is_reading_awaited=_is_reading_awaited(call), now=now)
            live = call if call is not None and _can_speak_again(call) else None
            if live is not None:
                call_storage.update_call(connection, live.call_id, **command(live, Command.SPEAK_CODE, now))
                call_id, call_status = live.call_id, live.status
            else:
                self._check_phone_rates(connection, actor.user_id, verification.phone, now)
                turn = next_turn(*queue.find_turns(connection, actor.user_id))
                self._refuse_if_full(connection, turn, verification.expires_in_seconds(now))
                call_id, call_status = self._queue_call(connection, verification, turn, now), CallStatus.QUEUED
            storage.spend_replay(connection, verification.verification_id, now)
            accepted = _accepted(verification, call_id, call_status, now, replays_spent=1)
            if idempotency is not None:
                keep_first_answer(connection, actor.user_id, idempotency, _stored(accepted), now)
        where = "new_call" if live is None else "same_call"
        replays_total.labels(where).inc()
        log.info("replay_accepted", verification_id=accepted.verification_id, call_id=call_id, where=where)
        if live is not None:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        else:
            self._wakeups.wake(Topic.DISPATCH)
        return accepted

    def _check_phone_rates(self, connection: Connection, user_id: str, phone: str, now: datetime) -> None:
        accepted = call_storage.list_accepted(connection, phone, now - self._longest_window)
        check_phone_rates(self._policy.phone_rates, [accepted_at for accepted_at, _ in accepted], now)
        own = [accepted_at for accepted_at, owner in accepted if owner == user_id]
        check_phone_rates(self._policy.owner_rates, own, now)

    def _refuse_if_full(self, connection: Connection, turn: int, ttl_seconds: int) -> None:
        """Raises Unavailable `queue_full` when a call with this turn would come too late."""
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

    def _supersede(self, connection: Connection, actor: Actor, phone: Phone, now: datetime) -> list[str]:
        older = storage.find_newest(connection, actor.user_id, phone.e164)
        if older is None or older.status is not VerificationStatus.PENDING:
            return []  # a check has just ended it
        is_expired = older.status_at(now) is VerificationStatus.EXPIRED
        status = VerificationStatus.EXPIRED if is_expired else VerificationStatus.SUPERSEDED
        end_verification(connection, older.verification_id, status)
        return retire_calls(connection, older.verification_id, "A newer code was requested.", now)

    def _new_verification(
        self, actor: Actor, wanted: NewVerification, phone: Phone, code: str, key_id: str, key: bytes, now: datetime
    ) -> Verification:
        verification_id = new_id(now)
        spoken = orjson.dumps({"code": code, "message": wanted.message})
        return Verification(
            verification_id=verification_id,
            user_id=actor.user_id,
            phone=phone.e164,
            status=VerificationStatus.PENDING,
            created_at=now,
            expires_at=now + timedelta(seconds=wanted.ttl_seconds),
            last_spoken_for_at=now,
            attempts_used=0,
            replays_used=0,
            locale=wanted.locale,
            code_digest=digest_code(key, verification_id, code),
            digest_key_id=key_id,
            speech_sealed=self._vault.encrypt(spoken),
            approved_at=None,
        )

    def _queue_call(self, connection: Connection, verification: Verification, turn: int, now: datetime) -> str:
        call_id = new_id(now)
        call_storage.insert_call(
            connection,
            call_id=call_id,
            verification_id=verification.verification_id,
            user_id=verification.user_id,
            phone=verification.phone,
            turn=turn,
            now=now,
        )
        return call_id


def _is_reading_awaited(call: Call | None) -> bool:
    return call is not None and not call.is_over and call.spoken is not Spoken.CODE


def _can_speak_again(call: Call) -> bool:
    return not call.is_over and call.spoken is Spoken.CODE and not call.is_ending


def _accepted(
    verification: Verification, call_id: str, call_status: CallStatus, now: datetime, replays_spent: int = 0
) -> CallAccepted:
    return CallAccepted(
        verification_id=verification.verification_id,
        call_id=call_id,
        call_status=call_status.value,
        phone=verification.phone,
        expires_at=iso_utc(verification.expires_at),
        expires_in=verification.expires_in_seconds(now),
        attempts_remaining=verification.attempts_remaining,
        replays_remaining=verification.replays_remaining - replays_spent,
    )


def _stored(accepted: CallAccepted) -> dict[str, Any]:
    answer = asdict(accepted)
    del answer["is_first_answer"]
    return answer
