"""Starting verifications and replaying their codes: each queues a call, or has a live one speak again.

Limits are checked in the transaction that writes, so that two requests at once can't both pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import queue
from letstalk.calls import repository as calls
from letstalk.calls.lifecycle import note_call, place_call, say_again
from letstalk.calls.limits import CallLimits, ensure_phone_rates
from letstalk.calls.models import Call, CallStatus, NewCall, Script, Spoken, Topic
from letstalk.calls.scheduling import next_turn
from letstalk.core.actors import Actor, CustomMessage
from letstalk.core.clock import Clock
from letstalk.core.errors import Forbidden, InvalidRequest
from letstalk.core.ids import new_id
from letstalk.core.rates import Rate
from letstalk.db.crypto import Vault
from letstalk.db.database import Database, after_commit
from letstalk.events.models import DueEvents
from letstalk.http.idempotency import IdempotencyKey, find_first_response, store_first_response
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import replays_total, verifications_started_total
from letstalk.observability.redaction import mask_phone
from letstalk.observability.request_log import request_id_of_log
from letstalk.telephony.phone_numbers import Phone, parse_phone, region_of
from letstalk.telephony.speech.languages import choose_language
from letstalk.telephony.speech.scripts import choose_brand, ensure_speakable
from letstalk.test_numbers.destinations import Destinations
from letstalk.test_numbers.models import NO_CALL_REASON, TestNumber
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
    ensure_replay_allowed,
    ensure_resend_allowed,
    ensure_session_fits,
)
from letstalk.verifications.service import VerificationService, end_calls, end_verification
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

RESEND_COOL_DOWN = timedelta(seconds=RESEND_COOL_DOWN_SECONDS)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """The settings about what a send may ask for. `brand_names` may be said instead of `brand_name`."""

    brand_name: str
    default_region: str | None
    custom_message: CustomMessage = CustomMessage.ON
    message_templates: Mapping[str, str] = field(default_factory=dict)
    brand_names: frozenset[str] = frozenset()


class SendService:
    def __init__(
        self,
        db: Database,
        vault: Vault,
        keys: DigestKeys,
        wakeups: Wakeups,
        clock: Clock,
        policy: SendPolicy,
        limits: CallLimits,
        destinations: Destinations,
    ) -> None:
        self._db = db
        self._vault = vault
        self._keys = keys
        self._wakeups = wakeups
        self._clock = clock
        self._policy = policy
        self._limits = limits
        self._destinations = destinations

    def start(
        self,
        actor: Actor,
        wanted: NewVerification,
        idempotency: IdempotencyKey | None = None,
        *,
        is_proven: bool = False,
        all_phones_rates: tuple[Rate, ...] = (),
    ) -> CallAccepted:
        """Make a code for a phone and queue the call that reads it.

        1. A known idempotency key brings back its first response.
        2. Cool-downs and limits are checked: TooManyRequests, Unavailable.
        3. An older pending verification of the same owner, phone and session is superseded and its calls are ended.
        4. The verification and its call are written; after the commit a worker is woken.

        To a live test number of the owner no call is placed: the code is its own, and the call is over at once. It may
        be of a kind or in a country that is not called. All else holds for it as for others.

        With `is_proven`, whoever answers the phone has proven it to this owner: calls that others make to it do not use
        up the owner's. `all_phones_rates` limit the owner's sends to all phones together.

        Raises InvalidPhone, Forbidden (DestinationBlocked, `message_not_allowed`), InvalidRequest,
        IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        policy, limits = self._policy, self._limits
        phone = parse_phone(wanted.phone, policy.default_region)
        block = self._destinations.find_block(actor.owner_id, phone)
        brand = choose_brand(wanted.brand, policy.brand_name, policy.brand_names)
        wanted = replace(wanted, message=self._choose_message(actor, wanted), message_template=None, brand=brand)
        code = generate_code(wanted.code_length)
        ensure_speakable(  # rejects now what could not be spoken later
            code,
            brand=brand or policy.brand_name,
            locale=wanted.locale,
            region=phone.region,
            message=wanted.message,
            may_fall_back=wanted.locale_fallback,
        )
        key_id, key = self._keys.current()  # may write, in a transaction of its own
        session_digest = self._keys.digest_session(actor.owner_id, wanted.session)
        idempotency = self._without_session(idempotency, session_digest)
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_response(self._db, connection, actor.owner_id, idempotency, now)
            if first is not None:
                return _repeat(connection, actor, first)
            self._db.lock(connection, "phone", phone.canonical)
            of_session = (actor.owner_id, phone.canonical, session_digest)
            state = repository.load_send_state(
                connection,
                *of_session,
                since=now - limits.longest_window,
                at_most=limits.fewest_to_look_at,
                cooling_since=now - RESEND_COOL_DOWN,
            )
            if state.last_wrong_code_at is not None:
                ensure_few_wrong_codes(wrong_codes.list_wrong_codes(connection, *of_session), now)
            ensure_resend_allowed(state.newest_at, now)
            if state.accepted_calls >= limits.fewest_to_look_at:
                self._limits.ensure_phone_rates(connection, actor.owner_id, phone.canonical, now, is_proven=is_proven)
            if session_digest and state.other_sessions >= MAX_SESSIONS:
                ensure_session_fits(repository.list_other_sessions(connection, *of_session, now), now)
            if all_phones_rates:
                self._ensure_rates_of_owner(connection, actor.owner_id, all_phones_rates, now)
            number = None
            if state.test_number_id is not None or block is not None:
                number = self._destinations.find_test_number(connection, actor.owner_id, phone, now, block)
            turn = next_turn(state.own_last_turn, state.first_waiting_turn)
            if number is None:
                self._limits.ensure_not_full(connection, turn, wanted.ttl_seconds)
            if state.has_pending:
                self._supersede(connection, actor, phone, session_digest, now)
            verification = self._new_verification(actor, wanted, phone, session_digest, code, key_id, key, now, number)
            repository.insert_verification(connection, verification)
            call_id, call_status = _place_call(connection, verification, turn, now)
            spoken = VerificationService.spoken_locale(verification)
            accepted = CallAccepted.of(verification, call_id, call_status, now, spoken_locale=spoken)
            if idempotency is not None:
                store_first_response(connection, actor.owner_id, idempotency, _stored(accepted), now)
            self._limits.count_call(
                connection, actor, phone.canonical, phone.region, now, is_send=True, is_proven=is_proven
            )
            after_commit(connection, lambda: self._follow_up(accepted))
        return accepted

    def _choose_message(self, actor: Actor, wanted: NewVerification) -> str | None:
        """The text that the call says instead of the default one. Raises Forbidden, InvalidRequest."""
        allowed = self._policy.custom_message.narrowed_by(actor.custom_message)
        if wanted.message is not None and allowed is not CustomMessage.ON:
            raise Forbidden("A message of your own is not allowed here.", code="message_not_allowed")
        name = wanted.message_template
        if name is None:
            return wanted.message
        if allowed is CustomMessage.OFF:
            raise Forbidden("Only the default text is allowed here.", code="message_not_allowed")
        if wanted.message is not None:
            raise InvalidRequest.in_field("message_template", "Give either message or message_template.")
        text = self._policy.message_templates.get(name)
        if text is None:
            raise InvalidRequest.in_field("message_template", "There is no message template of this name.")
        return text

    def _follow_up(self, accepted: CallAccepted) -> None:
        verifications_started_total.inc()
        log.info(
            "verification_started",
            verification_id=accepted.verification_id,
            call_id=accepted.call_id,
            phone=mask_phone(accepted.phone),
        )
        if not accepted.is_test:
            self._wakeups.wake(Topic.DISPATCH)

    def replay(
        self, actor: Actor, ref: VerificationRef, idempotency: IdempotencyKey | None = None, *, is_proven: bool = False
    ) -> CallAccepted:
        """Have the same code spoken again, in the live call if there is one, else in a new one. For `is_proven` see
        `start`.

        Raises NoPendingVerification, Gone, Conflict, IdempotencyKeyReused, TooManyRequests, Unavailable.
        """
        idempotency = self._without_session(idempotency, ref.session_digest)
        with self._db.write() as connection:
            now = self._clock()
            first = find_first_response(self._db, connection, actor.owner_id, idempotency, now)
            if first is not None:
                return _repeat(connection, actor, first)
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
                self._limits.ensure_phone_rates(
                    connection, actor.owner_id, verification.phone, now, is_proven=is_proven
                )
                turn = next_turn(*queue.find_turns(connection, actor.owner_id))
                if not verification.is_test:
                    self._limits.ensure_not_full(connection, turn, verification.expires_in_seconds(now))
                call_id, call_status = _place_call(connection, verification, turn, now)
            repository.spend_replay(connection, verification.verification_id, now)
            spoken = VerificationService.spoken_locale(verification)
            accepted = CallAccepted.of(verification, call_id, call_status, now, spoken_locale=spoken, replays_spent=1)
            if idempotency is not None:
                store_first_response(connection, actor.owner_id, idempotency, _stored(accepted), now)
            if live is None:
                region = region_of(verification.e164)
                self._limits.count_call(
                    connection, actor, verification.phone, region, now, is_send=False, is_proven=is_proven
                )
        where = "new_call" if live is None else "same_call"
        replays_total.labels(where).inc()
        log.info("replay_accepted", verification_id=accepted.verification_id, call_id=call_id, where=where)
        if live is not None:
            self._wakeups.wake(Topic.CARRY_OUT, call_id)
        elif not accepted.is_test:
            self._wakeups.wake(Topic.DISPATCH)
        return accepted

    def _ensure_rates_of_owner(
        self, connection: Connection, owner_id: str, rates: tuple[Rate, ...], now: datetime
    ) -> None:
        self._db.lock(connection, "sends_of_owner", owner_id)
        longest = timedelta(seconds=max(rate.window_seconds for rate in rates))
        started_at = repository.list_starts(connection, owner_id, now - longest)
        ensure_phone_rates(rates, started_at, now, "You have asked for too many calls. Wait before asking again.")

    def _without_session(self, idempotency: IdempotencyKey | None, session_digest: str) -> IdempotencyKey | None:
        """The same key with a keyed hash of the body, where that has a session: a session is kept in no other way."""
        if idempotency is None or not session_digest:
            return idempotency
        return replace(idempotency, body_hash=self._keys.digest("idempotent requests", idempotency.body_hash))

    def _supersede(
        self, connection: Connection, actor: Actor, phone: Phone, session_digest: str, now: datetime
    ) -> None:
        older = repository.find_pending(connection, actor.owner_id, phone.canonical, session_digest)
        if older is None:
            return  # a check has just ended it
        is_expired = older.status_at(now) is VerificationStatus.EXPIRED
        status = VerificationStatus.EXPIRED if is_expired else VerificationStatus.SUPERSEDED
        end_verification(connection, older.verification_id, status, now)
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
        number: TestNumber | None,
    ) -> Verification:
        verification_id = new_id(now)
        if number is not None:
            code = self._vault.decrypt(number.code_sealed).decode("ascii")
            speech_sealed = None
        else:
            speech_sealed = self._vault.encrypt(Script(code, wanted.message, wanted.brand).to_json())
        return Verification.start(
            verification_id,
            actor.owner_id,
            wanted,
            phone=phone,
            code_digest=digest_code(key, verification_id, code),
            digest_key_id=key_id,
            speech_sealed=speech_sealed,
            session_digest=session_digest,
            token_id=actor.token_id,
            now=now,
            is_test=number is not None,
            request_id=request_id_of_log(),
            test_ends_at=None if number is None else number.expires_at,
            events_due=DueEvents.CREATED.value,
        )


def _place_call(connection: Connection, verification: Verification, turn: int, now: datetime) -> tuple[str, CallStatus]:
    """Queue a call that reads the code of a pending verification, or note that none is placed to a test number.

    Returns its id and its status.
    """
    new = NewCall(
        subject_id=verification.verification_id,
        owner_id=verification.owner_id,
        phone=verification.phone,
        script_sealed=verification.speech_sealed or "",
        locale=verification.locale,
        speak_before=verification.expires_at,
        phone_as_given=verification.phone_as_given,
    )
    if verification.is_test:
        return note_call(connection, new, CallStatus.COMPLETED, NO_CALL_REASON, now), CallStatus.COMPLETED
    return place_call(connection, new, turn, now), CallStatus.QUEUED


def _is_reading_awaited(call: Call | None) -> bool:
    return call is not None and not call.is_over and call.spoken is not Spoken.CODE


def _can_speak_again(call: Call) -> bool:
    return not call.is_over and call.spoken is Spoken.CODE and not call.is_ending


def _stored(accepted: CallAccepted) -> dict[str, Any]:
    response = asdict(accepted)
    del response["is_first_response"]
    return response


def _repeat(connection: Connection, actor: Actor, first: dict[str, Any]) -> CallAccepted:
    if "spoken_locale" not in first:  # stored by a version that did not have it
        known = repository.find_verification(connection, actor.owner_id, first["verification_id"])
        locale = None if known is None else known.locale
        first = {**first, "spoken_locale": choose_language(locale, region_of(first["phone"])).tag}
    return CallAccepted(**first, is_first_response=False)
