"""Carrying out what a live call needs next: speak the code, speak the offer, hang up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import queue as queue
from letstalk.calls import repository as call_storage
from letstalk.calls.lifecycle import command, end_call
from letstalk.calls.models import Call, CallStatus, Command, Spoken
from letstalk.calls.policy import SILENCE
from letstalk.calls.scheduling import back_off_seconds
from letstalk.core.clock import Clock
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.observability.logs import bound_contextvars, get_logger
from letstalk.observability.metrics import (
    calls_ended_silently_total,
    code_delay_seconds,
    lost_keys_total,
    silence_seconds,
    speeches_total,
)
from letstalk.telephony.phone_numbers import region_of
from letstalk.telephony.provider import CallGone, CallProvider, HangUpCommand, ProviderError, SpeakCommand
from letstalk.telephony.speech.scripts import Speech, render_code, render_offer
from letstalk.verifications.models import Verification, VerificationStatus
from letstalk.worker.topics import Topic
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

LEASE = timedelta(seconds=8)  # longer than the provider's time-out of 5 s
LISTEN_SECONDS = 4  # for a key, once the speech is over
MAX_TRIES = 6  # to speak; a hang-up is tried until the call is over

OVER_REASON = "The verification was over before the code could be read."
SPEECHLESS_REASON = "The provider could not read the code."

_SPOKEN = {Command.SPEAK_CODE: Spoken.CODE, Command.SPEAK_OFFER: Spoken.OFFER}


@dataclass(frozen=True, slots=True)
class Errand:
    """A leased command of a call, ready to be sent. `due_at` is when it was decided."""

    call: Call
    provider_call_id: str
    wanted: Command
    seq: int
    speech: Speech | None
    due_at: datetime


class CommandService:
    def __init__(
        self, db: Database, vault: Vault, provider: CallProvider, wakeups: Wakeups, clock: Clock, *, brand_name: str
    ) -> None:
        self._db = db
        self._vault = vault
        self._provider = provider
        self._wakeups = wakeups
        self._clock = clock
        self._brand_name = brand_name

    def carry_out(self, call_id: str) -> None:
        """Do what the call's row asks for, unless another worker does. Failures are tried again by the sweep."""
        errand = self._take(call_id)
        if errand is not None:
            self.run(errand)

    def take_new(
        self,
        call: Call,
        verification: Verification,
        provider_call_id: str | None,
        decided: dict[str, Any],
        now: datetime,
    ) -> Errand | None:
        """Lease the command that `decided` is about to write into the row of `call`, and add the lease to `decided`:
        whoever decides it carries it out, while a person waits in silence.

        None where it must be left to `carry_out`: the provider's id is not known yet, or the code can't be read.
        """
        if provider_call_id is None:
            return None
        wanted = Command(decided["command"])
        try:
            speech = self._render(wanted, verification) if wanted in _SPOKEN else None
        except LostKey:
            return None
        decided |= {"command_leased_until": now + LEASE, "command_attempts": 1}
        if speech is None:
            decided |= _until_it_is_over(now)
        return Errand(call, provider_call_id, wanted, decided["command_seq"], speech, now)

    def run(self, errand: Errand) -> None:
        """Send a leased command to the provider and note what came of it."""
        with bound_contextvars(call_id=errand.call.call_id):
            try:
                self._send(errand)
            except CallGone:
                self._note_gone(errand)
            except ProviderError as error:
                self._note_failure(errand, error.reason)
            else:
                if errand.speech is not None:
                    self._note_spoken(errand, _SPOKEN[errand.wanted])

    def hang_up_stray(self, call_id: str) -> None:
        """End a call that the provider placed although it is over here. Tried once: its limits end it anyway."""
        with self._db.read() as connection:
            call = call_storage.find_call(connection, call_id)
        if call is None or not call.is_over or call.holds_channel or call.provider_call_id is None:
            return
        log.warning("stray_call_hung_up", call_id=call_id)
        try:
            self._provider.hang_up(HangUpCommand(call_id, call.provider_call_id, f"{call_id}-stray"))
        except ProviderError as error:
            log.warning("command_failed", call_id=call_id, command=Command.HANG_UP.value, reason=error.reason)

    def _take(self, call_id: str) -> Errand | None:
        """Lease the command, with everything re-read: what is over by now is hung up on, not spoken to."""
        with self._db.write() as connection:
            now = self._clock()
            held = call_storage.lock_call(connection, call_id)
            if held is None or not queue.lease_command(connection, call_id, now, now + LEASE):
                return None
            call, verification = held
            wanted, seq, provider_call_id = call.command, call.command_seq, call.provider_call_id
            if wanted is None or provider_call_id is None:
                return None
            if wanted not in _SPOKEN:
                # Set once: a provider that says yes to each repeat must be asked all the same.
                if call.command_attempts == 0:
                    call_storage.update_call(connection, call_id, **_until_it_is_over(now))
                return Errand(call, provider_call_id, wanted, seq, None, now)
            if verification.status_at(now) is not VerificationStatus.PENDING:
                self._turn_into_hang_up(connection, call, now, CallStatus.CANCELED, OVER_REASON)
                return Errand(call, provider_call_id, Command.HANG_UP, seq + 1, None, now)
            try:
                speech = self._render(wanted, verification)
            except LostKey:
                lost_keys_total.labels("code").inc()
                log.error("code_key_lost", hint="a key is missing from ENCRYPTION_KEYS")
                self._turn_into_hang_up(connection, call, now, CallStatus.FAILED, SPEECHLESS_REASON)
                return None
            return Errand(call, provider_call_id, wanted, seq, speech, call.command_leased_until or now)

    def _render(self, wanted: Command, verification: Verification) -> Speech:
        region = region_of(verification.phone)
        if wanted is Command.SPEAK_OFFER:
            return render_offer(brand=self._brand_name, locale=verification.locale, region=region)
        sealed = json.loads(self._vault.decrypt(verification.speech_sealed or ""))
        return render_code(
            sealed["code"],
            brand=self._brand_name,
            locale=verification.locale,
            region=region,
            message=sealed["message"],
        )

    def _send(self, errand: Errand) -> None:
        call = errand.call
        command_id = f"{call.call_id}-{errand.seq}"
        if errand.speech is None:
            self._provider.hang_up(HangUpCommand(call.call_id, errand.provider_call_id, command_id))
            return
        silence_seconds.observe((self._clock() - errand.due_at).total_seconds())
        self._provider.speak(
            SpeakCommand(
                call_id=call.call_id,
                provider_call_id=errand.provider_call_id,
                command_id=command_id,
                command_seq=errand.seq,
                speech=errand.speech,
                valid_digits="1",
                listen_seconds=LISTEN_SECONDS,
            )
        )

    def _note_spoken(self, errand: Errand, spoken: Spoken) -> None:
        has_next = False
        if not self._note_spoken_as_last(errand, spoken):
            # In a transaction of its own: on PostgreSQL an UPDATE that had to wait keeps the call's row although it
            # changes nothing, and everybody else takes the verification's before the call's.
            with self._db.write() as connection:
                call = self._current(connection, errand)
                if call is None:
                    return
                self._update_spoken(connection, errand, spoken)
                has_next = call.command is not None
        speeches_total.labels(spoken.value).inc()
        if spoken is Spoken.CODE and errand.call.spoken is not Spoken.CODE:
            code_delay_seconds.observe((self._clock() - errand.call.created_at).total_seconds())
        if has_next:
            self._wakeups.wake(Topic.CARRY_OUT, errand.call.call_id)

    def _note_spoken_as_last(self, errand: Errand, spoken: Spoken) -> bool:
        """Note it without reading the row first. False where a command has come meanwhile, or the call has ended."""
        values = {"command": None, "command_leased_until": None}
        with self._db.write() as connection:
            return self._update_spoken(connection, errand, spoken, last_seq=errand.seq, **values)

    def _update_spoken(
        self, connection: Connection, errand: Errand, spoken: Spoken, last_seq: int | None = None, **more: Any
    ) -> bool:
        now = self._clock()
        values = {"command_attempts": 0, "spoken": spoken.value, "status": CallStatus.SPEAKING.value, **more}
        is_changed = call_storage.update_call_if(connection, errand.call.call_id, last_seq=last_seq, **values)
        if is_changed:
            call_storage.insert_call_event(connection, errand.call.call_id, now, errand.wanted.value)
        return is_changed

    def _note_gone(self, errand: Errand) -> None:
        """The provider no longer knows the call. Its hang-up event tells why, unless it was our hang-up."""
        is_silent = False
        with self._db.write() as connection:
            now = self._clock()
            call = self._current(connection, errand)
            if call is None:
                return
            if errand.wanted is Command.HANG_UP:
                end_call(connection, call, call.end_status or CallStatus.COMPLETED, call.end_reason, now)
                is_silent = call.command_attempts > 1
            else:
                call_storage.update_call(
                    connection, call.call_id, command=None, command_leased_until=None, ask_provider_at=now
                )
        if is_silent:  # it was hung up before, and nothing told us so
            calls_ended_silently_total.inc()
            log.warning("call_ended_without_event", call_id=errand.call.call_id)
        self._wakeups.wake(Topic.CHANNEL_FREE)

    def _note_failure(self, errand: Errand, reason: str) -> None:
        with self._db.write() as connection:
            now = self._clock()
            call = self._current(connection, errand)
            if call is None or call.command_seq != errand.seq:
                return
            if errand.wanted is not Command.HANG_UP and call.command_attempts >= MAX_TRIES:
                self._turn_into_hang_up(connection, call, now, CallStatus.FAILED, SPEECHLESS_REASON)
                return
            pause = timedelta(seconds=back_off_seconds(call.command_attempts) / 2)
            call_storage.update_call(connection, call.call_id, command_leased_until=now + pause)
        log.warning("command_failed", call_id=errand.call.call_id, command=errand.wanted.value, reason=reason)

    def _turn_into_hang_up(
        self, connection: Connection, call: Call, now: datetime, status: CallStatus, reason: str
    ) -> None:
        values = command(call, Command.HANG_UP, now)
        if status is CallStatus.CANCELED:
            values |= {"command_leased_until": now + LEASE, "command_attempts": 1, **_until_it_is_over(now)}
        call_storage.update_call(connection, call.call_id, **values, end_status=status.value, end_reason=reason)

    def _current(self, connection: Connection, errand: Errand) -> Call | None:
        """The call as it stands now; None when it has ended meanwhile."""
        held = call_storage.lock_call(connection, errand.call.call_id)
        return None if held is None or held[0].is_over else held[0]


def _until_it_is_over(now: datetime) -> dict[str, Any]:
    """The column values for a hang-up that is about to be sent. It is done when the provider says that the call is
    over: until then the command stands, and is sent again when its lease has run out.
    """
    return {"ask_provider_at": now + SILENCE}  # the event that frees the channel may get lost
