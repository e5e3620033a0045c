"""Carrying out the next command of a live call: speak the code, speak the offer, or hang up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from letstalk.calls import queue, repository
from letstalk.calls.lifecycle import command, end_call
from letstalk.calls.models import SPOKEN_BY, Call, CallStatus, Command, Script, Spoken, Topic
from letstalk.calls.scheduling import SILENCE, back_off_seconds
from letstalk.core.clock import Clock
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.observability import metrics
from letstalk.observability.logs import bound_contextvars, get_logger
from letstalk.telephony.phone_numbers import region_of
from letstalk.telephony.provider import CallGone, CallProvider, CallRefused, HangUpCommand, ProviderError, SpeakCommand
from letstalk.telephony.speech.scripts import Speech, render_code, render_offer
from letstalk.worker.wakeups import Wakeups

log = get_logger(__name__)

LEASE = timedelta(seconds=8)  # longer than the provider's time-out of 5 s
LISTEN_SECONDS = 4  # for a key, once the speech is over
MAX_TRIES = 6  # to speak. A hang-up is tried until the call is over

OVER_REASON = "The verification was over before the code could be read."
SPEECHLESS_REASON = "The provider could not read the code."


@dataclass(frozen=True, slots=True)
class LeasedCommand:
    """A command of a call, ready to be sent by the worker that has leased it. `due_at` is when it was decided."""

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
        """Carry out the call's command, unless another worker does. After a failure the sweep tries again."""
        leased = self._take(call_id)
        if leased is not None:
            self.run(leased)

    def take_new(
        self, call: Call, provider_call_id: str | None, decided: dict[str, Any], now: datetime
    ) -> LeasedCommand | None:
        """Lease for this thread the command in `decided`, the values about to be written to the row of `call`.

        The lease is added to `decided`. A person is waiting in silence, so the thread that decides the command carries
        it out. Returns None where it must be left to `carry_out`, because the provider's id is not known yet or the
        code can't be decrypted.
        """
        if provider_call_id is None:
            return None
        wanted = Command(decided["command"])
        try:
            speech = self._render(wanted, call) if wanted in SPOKEN_BY else None
        except LostKey:
            return None
        decided |= {"command_leased_until": now + LEASE, "command_attempts": 1}
        if speech is None:
            decided |= _until_it_is_over(now)
        return LeasedCommand(call, provider_call_id, wanted, decided["command_seq"], speech, now)

    def run(self, leased: LeasedCommand) -> None:
        """Send a leased command to the provider and record the result."""
        with bound_contextvars(call_id=leased.call.call_id):
            try:
                self._send(leased)
            except CallGone:
                self._note_gone(leased)
            except ProviderError as error:
                self._note_failure(leased, error)
            else:
                if leased.speech is not None:
                    self._note_spoken(leased, SPOKEN_BY[leased.wanted])

    def hang_up_stray(self, call_id: str) -> None:
        """Hang up a call that the provider placed although it is over here. Tried once: its limits end it too."""
        with self._db.read() as connection:
            call = repository.find_call(connection, call_id)
        if call is None or not call.is_over or call.holds_channel or call.provider_call_id is None:
            return
        log.warning("stray_call_hung_up", call_id=call_id)
        try:
            self._provider.hang_up(HangUpCommand(call_id, call.provider_call_id, f"{call_id}-stray"))
        except ProviderError as error:
            log.warning("command_failed", call_id=call_id, command=Command.HANG_UP.value, reason=error.reason)

    def _take(self, call_id: str) -> LeasedCommand | None:
        """Lease the command after reading everything again. A call that is no longer wanted is hung up instead."""
        with self._db.write() as connection:
            now = self._clock()
            call = repository.lock_call(connection, call_id)
            if call is None or not queue.lease_command(connection, call_id, now, now + LEASE):
                return None
            wanted, seq, provider_call_id = call.command, call.command_seq, call.provider_call_id
            if wanted is None or provider_call_id is None:
                return None
            if wanted not in SPOKEN_BY:
                # Set once: a provider that accepts each repeat must still be asked some time.
                if call.command_attempts == 0:
                    repository.update_call(connection, call_id, **_until_it_is_over(now))
                return LeasedCommand(call, provider_call_id, wanted, seq, None, now)
            if not call.is_wanted_at(now):
                self._turn_into_hang_up(connection, call, now, CallStatus.CANCELED, OVER_REASON)
                return LeasedCommand(call, provider_call_id, Command.HANG_UP, seq + 1, None, now)
            try:
                speech = self._render(wanted, call)
            except LostKey:
                metrics.lost_keys_total.labels("code").inc()
                log.error("code_key_lost", hint="a key is missing from ENCRYPTION_KEYS")
                self._turn_into_hang_up(connection, call, now, CallStatus.FAILED, SPEECHLESS_REASON)
                return None
            return LeasedCommand(call, provider_call_id, wanted, seq, speech, call.command_leased_until or now)

    def _render(self, wanted: Command, call: Call) -> Speech:
        """What to speak. Raises LostKey."""
        script = Script.from_json(self._vault.decrypt(call.script_sealed or ""))
        brand, region = script.brand or self._brand_name, region_of(call.e164)
        if wanted is Command.SPEAK_OFFER:
            return render_offer(brand=brand, locale=call.locale, region=region)
        return render_code(script.code, brand=brand, locale=call.locale, region=region, message=script.message)

    def _send(self, leased: LeasedCommand) -> None:
        call = leased.call
        command_id = f"{call.call_id}-{leased.seq}"
        if leased.speech is None:
            self._provider.hang_up(HangUpCommand(call.call_id, leased.provider_call_id, command_id))
            return
        metrics.silence_seconds.observe((self._clock() - leased.due_at).total_seconds())
        self._provider.speak(
            SpeakCommand(
                call_id=call.call_id,
                provider_call_id=leased.provider_call_id,
                command_id=command_id,
                command_seq=leased.seq,
                speech=leased.speech,
                valid_digits="1",
                listen_seconds=LISTEN_SECONDS,
            )
        )

    def _note_spoken(self, leased: LeasedCommand, spoken: Spoken) -> None:
        has_next = False
        done = {"command": None, "command_leased_until": None}
        with self._db.write() as connection:
            # The row is read only when a newer command has come, or the call has ended.
            if not self._update_spoken(connection, leased, spoken, last_seq=leased.seq, **done):
                call = self._current(connection, leased)
                if call is None:
                    return
                self._update_spoken(connection, leased, spoken)
                has_next = call.command is not None
        metrics.speeches_total.labels(spoken.value).inc()
        if spoken is Spoken.CODE and leased.call.spoken is not Spoken.CODE:
            metrics.code_delay_seconds.observe((self._clock() - leased.call.created_at).total_seconds())
        if has_next:
            self._wakeups.wake(Topic.CARRY_OUT, leased.call.call_id)

    def _update_spoken(
        self, connection: Connection, leased: LeasedCommand, spoken: Spoken, last_seq: int | None = None, **more: Any
    ) -> bool:
        now = self._clock()
        values = {"command_attempts": 0, "spoken": spoken.value, "status": CallStatus.SPEAKING.value, **more}
        is_changed = repository.update_call_if(connection, leased.call.call_id, last_seq=last_seq, **values)
        if is_changed:
            repository.insert_call_event(connection, leased.call.call_id, now, leased.wanted.value)
        return is_changed

    def _note_gone(self, leased: LeasedCommand) -> None:
        """The provider no longer knows the call. Its hang-up event says why, unless we hung up."""
        is_silent = False
        with self._db.write() as connection:
            now = self._clock()
            call = self._current(connection, leased)
            if call is None:
                return
            if leased.wanted is Command.HANG_UP:
                end_call(connection, call, call.end_status or CallStatus.COMPLETED, call.end_reason, now)
                is_silent = call.command_attempts > 1
            else:
                values = {"command": None, "command_leased_until": None, "ask_provider_at": now}
                repository.update_call(connection, call.call_id, **values)
        if is_silent:  # it was hung up earlier, and no event has come
            metrics.calls_ended_silently_total.inc()
            log.warning("call_ended_without_event", call_id=leased.call.call_id)
        self._wakeups.wake(Topic.CHANNEL_FREE)

    def _note_failure(self, leased: LeasedCommand, error: ProviderError) -> None:
        """Try again later. Speech that the provider refuses for good, or that failed too often, ends the call."""
        with self._db.write() as connection:
            now = self._clock()
            call = self._current(connection, leased)
            if call is None or call.command_seq != leased.seq:
                return
            is_refused = isinstance(error, CallRefused)
            is_given_up = leased.wanted is not Command.HANG_UP and (is_refused or call.command_attempts >= MAX_TRIES)
            if is_given_up:
                reason = error.reason if is_refused else SPEECHLESS_REASON
                self._turn_into_hang_up(connection, call, now, CallStatus.FAILED, reason)
            else:
                pause = timedelta(seconds=back_off_seconds(call.command_attempts) / 2)
                repository.update_call(connection, call.call_id, command_leased_until=now + pause)
        log.warning("command_failed", call_id=call.call_id, command=leased.wanted.value, reason=error.reason)
        if is_given_up:
            self._wakeups.wake(Topic.CARRY_OUT, call.call_id)

    def _turn_into_hang_up(
        self, connection: Connection, call: Call, now: datetime, status: CallStatus, reason: str
    ) -> None:
        values = command(call, Command.HANG_UP, now)
        if status is CallStatus.CANCELED:
            values |= {"command_leased_until": now + LEASE, "command_attempts": 1, **_until_it_is_over(now)}
        repository.update_call(connection, call.call_id, **values, end_status=status.value, end_reason=reason)

    def _current(self, connection: Connection, leased: LeasedCommand) -> Call | None:
        """The call as it is now, locked; None when it has ended meanwhile."""
        call = repository.lock_call(connection, leased.call.call_id)
        return None if call is None or call.is_over else call


def _until_it_is_over(now: datetime) -> dict[str, Any]:
    """The column values for a hang-up that is about to be sent. It is sent again until the call is over."""
    return {"ask_provider_at": now + SILENCE}  # the event that frees the channel may get lost
