"""The services of verifications and calls on a real database, with a simulator and a time that tests move by hand.

Nothing runs by itself: `World.work` does what wake-ups have asked for, `World.pass_time` lets time go by, with the
simulator's events and the sweeps at their moments.
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from letstalk.audit.service import AuditTrail
from letstalk.calls import queue as queue
from letstalk.calls import repository as call_storage
from letstalk.calls.commands import CommandService
from letstalk.calls.dispatcher import DispatchService
from letstalk.calls.events import EventService
from letstalk.calls.limits import CallLimits, LimitPolicy
from letstalk.calls.models import Call, Topic
from letstalk.calls.scheduling import CallPolicy
from letstalk.calls.sweeper import SweepService
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.errors import LetsTalkError
from letstalk.core.rates import Rate
from letstalk.core.scopes import ALL_SCOPES
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.http.idempotency import IdempotencyKey, delete_expired_keys
from letstalk.operations.retention import RetentionService
from letstalk.speaking.service import SpeakPolicy, SpeakService
from letstalk.telephony.events import CallEvent, EventType, HangupCause
from letstalk.telephony.provider import DialCommand, HangUpCommand, SpeakCommand
from letstalk.telephony.simulator.phone import SimulatedPhone
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.simulator.timers import Action, IsWanted, Timers
from letstalk.telephony.speech.scripts import Speech
from letstalk.test_numbers.destinations import DestinationRules, Destinations
from letstalk.test_numbers.service import TestNumberService
from letstalk.tokens.usage import UsageCounter
from letstalk.verifications import repository as verification_storage
from letstalk.verifications.codes import DigestKeys
from letstalk.verifications.destinations import DestinationLimits, DestinationPolicy
from letstalk.verifications.models import Approval, CallAccepted, NewVerification, Verification, VerificationRef
from letstalk.verifications.sends import SendPolicy, SendService
from letstalk.verifications.service import VerificationService, cancel_test_verifications
from letstalk.worker.heartbeat import Heartbeat

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PHONE = "+256700123456"
BUSY, NO_ANSWER, REJECTED, MACHINE, SLOW, PRESSES_1 = (
    f"+25670000{ending}" for ending in ("9901", "9902", "9903", "9904", "9905", "9906")
)
NO_RATES: tuple[Rate, ...] = ()
OWNER_RATES = (Rate(5, 600), Rate(10, 86400))
PHONE_RATES = (Rate(10, 600), Rate(30, 86400))
NO_DESTINATION_LIMITS = DestinationPolicy()
SEND_PATH = "/calls/otp"

Carry = Callable[[], Any]
Trouble = Callable[[Carry], Any]


def an_actor(owner_id: str = "acme") -> Actor:
    return Actor(kind=ActorKind.TOKEN, owner_id=owner_id, scopes=ALL_SCOPES)


def phone_number(number: int) -> str:
    """One of a hundred thousand phones whose person listens."""
    return f"+2567001{number:05d}"


def wrong_code(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


@dataclass
class StandingClock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Agenda:
    """Things to do, each at its time."""

    def __init__(self, clock: StandingClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []

    def add(self, action: Callable[[], None], in_seconds: float = 0.0) -> None:
        with self._lock:
            due = self._clock() + timedelta(seconds=in_seconds)
            heapq.heappush(self._heap, (due, next(self._order), action))

    def next_due(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> bool:
        """Do what is due. False when nothing was."""
        is_any = False
        while (action := self._take_due()) is not None:
            action()
            is_any = True
        return is_any

    def _take_due(self) -> Callable[[], None] | None:
        with self._lock:
            if self._heap and self._heap[0][0] <= self._clock():
                return heapq.heappop(self._heap)[2]
            return None

    def clear(self) -> None:
        self._heap.clear()


class TurnedTimers(Timers):
    """The simulator's timers, run by an agenda instead of a thread."""

    def __init__(self, agenda: Agenda) -> None:
        super().__init__("turned")
        self._agenda = agenda

    def after(self, seconds: float, action: Action, _is_wanted: IsWanted | None = None) -> None:
        self._agenda.add(action, seconds)

    def stop(self) -> None:
        self._agenda.clear()


@dataclass
class RecordingListener:
    """Keeps what phones heard, and how they rang and ended."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    rang: list[str] = field(default_factory=list)
    ended: list[tuple[str, HangupCause]] = field(default_factory=list)

    def rings(self, phone: str) -> None:
        self.rang.append(phone)

    def hears(self, phone: str, speech: Speech) -> None:
        self.heard.append((phone, speech.text))

    def ends(self, phone: str, cause: HangupCause) -> None:
        self.ended.append((phone, cause))


class TroubledProvider(SimulatorProvider):
    """The simulator, save that the next commands can be given trouble. Keeps what it was asked."""

    def __init__(self, agenda: Agenda, receive: Callable[[CallEvent], None], clock: StandingClock) -> None:
        self.recorder = RecordingListener()
        self.heard = self.recorder.heard
        super().__init__(clock=clock, listener=self.recorder, timers=TurnedTimers(agenda))
        self.connect_events(receive)
        self._troubles: dict[str, deque[Trouble]] = defaultdict(deque)
        self.dials: list[DialCommand] = []
        self.speeches: list[SpeakCommand] = []
        self.hang_ups: list[HangUpCommand] = []

    def trouble(self, command: str, *troubles: Trouble) -> None:
        """What happens to the next `dial`, `speak`, `hang_up` or `is_alive`, and to those after it."""
        self._troubles[command].extend(troubles)

    def recover(self) -> None:
        """No more trouble."""
        self._troubles.clear()

    def _meet(self, command: str, carry: Carry) -> Any:
        waiting = self._troubles[command]
        return waiting.popleft()(carry) if waiting else carry()

    def _dial(self, command: DialCommand) -> str:
        self.dials.append(command)
        answer: str = self._meet("dial", lambda: super(TroubledProvider, self)._dial(command))
        return answer

    def _speak(self, command: SpeakCommand) -> None:
        self.speeches.append(command)
        self._meet("speak", lambda: super(TroubledProvider, self)._speak(command))

    def _hang_up(self, command: HangUpCommand) -> None:
        self.hang_ups.append(command)
        self._meet("hang_up", lambda: super(TroubledProvider, self)._hang_up(command))

    def _is_alive(self, provider_call_id: str) -> bool:
        alive: bool = self._meet("is_alive", lambda: super(TroubledProvider, self)._is_alive(provider_call_id))
        return alive


def fails(error: Exception, *actions: Callable[[], object]) -> Trouble:
    """The command is not carried out; before that is known, something else happens."""

    def trouble(_carry: Carry) -> Any:
        for action in actions:
            action()
        raise error

    return trouble


def loses_the_answer(error: BaseException) -> Trouble:
    """The command is carried out, and nobody is told."""

    def trouble(carry: Carry) -> Any:
        carry()
        raise error

    return trouble


def meanwhile(*actions: Callable[[], object]) -> Trouble:
    """The command is carried out, and before its answer arrives something else happens."""

    def trouble(carry: Carry) -> Any:
        answer = carry()
        for action in actions:
            action()
        return answer

    return trouble


class WaitingWakeups:
    """Wake-ups that wait until a test has them handled. `is_deaf` loses them all, as a crash does."""

    def __init__(self, world: World, agenda: Agenda) -> None:
        self._agenda = agenda
        self.is_deaf = False
        self._handlers: dict[str, Callable[[str], None]] = {
            Topic.DISPATCH: lambda _: world.dispatch.dispatch(),
            Topic.PUT_BACK: lambda _: world.dispatch.dispatch(),
            Topic.CHANNEL_FREE: lambda _: world.dispatch.dispatch(is_channel_free=True),
            Topic.DIAL: lambda call_id: world.dispatch.dial(call_id),
            Topic.APPLY_EVENT: lambda event_id: world.events.apply_event(event_id),
            Topic.CARRY_OUT: lambda call_id: world.commands.carry_out(call_id),
            Topic.HANG_UP_STRAY: lambda call_id: world.commands.hang_up_stray(call_id),
            Topic.OFFER_CODE: lambda call_id: world.events.offer_code(call_id),
            Topic.OFFER_CODES: lambda _: world.sweeps.offer_codes(),
        }

    def wake(self, topic: str, key: str = "", *, delay_seconds: float = 0.0) -> None:
        handle = self._handlers[topic]
        if not self.is_deaf:
            self._agenda.add(lambda: handle(key), delay_seconds)


@dataclass
class World:
    """One instance of the service. `provider` calls phones that behave as their last digits say."""

    db: Database
    channels: int = 10
    detect_machines: bool = True
    owner_rates: tuple[Rate, ...] = NO_RATES
    phone_rates: tuple[Rate, ...] = NO_RATES
    destination_policy: DestinationPolicy = NO_DESTINATION_LIMITS
    simulator_speed: float = 1.0
    # Whether a person may take the calls: see `attend` of the phone.
    has_phone: bool = False
    # Rarer than in life, where they come every 2 s: what waits for one shows as a wait.
    sweep_seconds: float = 10.0
    encryption_keys: tuple[str, ...] = field(default_factory=lambda: (make_encryption_key(),))
    clock: StandingClock = field(default_factory=StandingClock)
    # Events of the simulator that shall not reach us.
    is_lost: Callable[[CallEvent], bool] = lambda _event: False

    def __post_init__(self) -> None:
        self._phones_agenda, self._work_agenda = Agenda(self.clock), Agenda(self.clock)
        self.vault = Vault(self.encryption_keys)
        self.wakeups = WaitingWakeups(self, self._work_agenda)
        self.provider = TroubledProvider(self._phones_agenda, self._hear_of, self.clock)
        self.phone = SimulatedPhone(
            self.db,
            self.vault,
            self.clock,
            TurnedTimers(self._phones_agenda),
            records_all=False,
            listener=self.provider.recorder,
        )
        if self.has_phone:
            self.provider.phone = self.phone
        self.policy = CallPolicy(
            channels=self.channels, detect_machines=self.detect_machines, speed=self.simulator_speed
        )
        self._next_sweep = self.clock()
        self.start()

    def start(self) -> None:
        """Services with nothing in their memory, as after a restart."""
        send_policy = SendPolicy(brand_name="Let's Talk", default_region=None)
        limit_policy = LimitPolicy(self.owner_rates, self.phone_rates, self.channels, self.simulator_speed)
        db, wakeups, clock, provider = self.db, self.wakeups, self.clock, self.provider
        self.keys = DigestKeys(db, self.vault, clock)
        audit = AuditTrail(db, clock=clock)
        self.destinations = DestinationLimits(db, audit, clock, self.destination_policy)
        self.limits = CallLimits(limit_policy, self.destinations)
        allowed = Destinations(db, DestinationRules(blocked_countries=frozenset({"KP"})))
        self.sends = SendService(db, self.vault, self.keys, wakeups, clock, send_policy, self.limits, allowed)
        speak_policy = SpeakPolicy("Let's Talk", frozenset({"Acme"}), None)
        self.speaking = SpeakService(
            db, self.vault, self.keys.digest, wakeups, clock, speak_policy, self.limits, allowed
        )
        self.verifications = VerificationService(db, self.keys, wakeups, clock)
        self.test_numbers = TestNumberService(
            db, self.vault, audit, clock, cancel_test_verifications, default_region=None, may_be_endless=False
        )
        self.commands = CommandService(db, self.vault, provider, wakeups, clock, brand_name="Let's Talk")
        self.dispatch = DispatchService(db, provider, wakeups, clock, self.policy, self.verifications)
        self.events = EventService(db, self.commands, wakeups, clock, self.policy, self.verifications, None)
        self.phone.connect(self.events)
        usage = UsageCounter(db, clock=clock, audit=audit)
        self.retention = RetentionService(db, audit, usage, clock, days=90, audit_days=400)
        self.heartbeat = Heartbeat(db, "worker", clock)
        self.sweeps = SweepService(db, self.dispatch, provider, wakeups, clock, self.policy)

    def sweep_slowly(self) -> None:
        """What runs every minute."""
        self.sweeps.sweep_slowly()
        self.verifications.sweep()
        self.destinations.forget_old()
        self.retention.forget_old()
        delete_expired_keys(self.db, self.clock)

    def crash(self) -> None:
        """Lose what is in memory. The phones and the database know nothing of it."""
        self._work_agenda.clear()
        self.start()

    def send(
        self,
        phone: str = PHONE,
        *,
        owner: str = "acme",
        idempotency: IdempotencyKey | None = None,
        message: str | None = None,
        code_length: int = 6,
        ttl_seconds: int = 300,
        session: str | None = None,
        locale: str | None = None,
    ) -> CallAccepted:
        wanted = NewVerification(phone, message, locale, code_length, ttl_seconds, session=session)
        return self.sends.start(an_actor(owner), wanted, idempotency)

    def let_a_moment_pass(self) -> None:
        """Two calls of the very same moment may be placed in either order."""
        self.clock.now += timedelta(microseconds=1)

    def replay(
        self, verification_id: str, *, owner: str = "acme", idempotency: IdempotencyKey | None = None
    ) -> CallAccepted:
        return self.sends.replay(an_actor(owner), VerificationRef(None, verification_id), idempotency)

    def check(self, verification_id: str, code: str, *, owner: str = "acme") -> Approval:
        return self.verifications.check_code(an_actor(owner), VerificationRef(None, verification_id), code)

    def check_phone(self, phone: str, code: str, *, owner: str = "acme", session: str | None = None) -> Approval:
        ref = self.verifications.make_ref(an_actor(owner), phone=phone, verification_id=None, session=session)
        return self.verifications.check_code(an_actor(owner), ref, code)

    def cancel(self, verification_id: str, *, owner: str = "acme") -> None:
        self.verifications.cancel_verification(an_actor(owner), verification_id)

    def guess_wrong(self, verification_id: str, times: int = 1, *, owner: str = "acme") -> None:
        code = self.code_of(verification_id, owner=owner)
        for _ in range(times):
            refusal_of(lambda: self.check(verification_id, wrong_code(code), owner=owner), "invalid_code")

    def work(self) -> None:
        """Do all that is due, and what follows from it."""
        while self._phones_agenda.run_due() or self._work_agenda.run_due():
            pass

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` go by: phones ring, answer and speak, wake-ups are handled, sweeps come."""
        end = self.clock() + timedelta(seconds=seconds)
        self.work()
        while True:
            dues = [due for agenda in (self._phones_agenda, self._work_agenda) if (due := agenda.next_due())]
            moment = min([*dues, self._next_sweep, end])
            self.clock.now = max(moment, self.clock())
            self.work()
            if self.clock() >= self._next_sweep:
                self.heartbeat.beat()
                self.sweeps.sweep()
                if self.has_phone:
                    self.phone.settle()
                self._next_sweep = self.clock() + timedelta(seconds=self.sweep_seconds)
                self.work()
            if self.clock() >= end:
                return

    def receive(self, call_id: str, type_: EventType, **fields: Any) -> CallEvent:
        """An event of the call, as its provider reports it; applied at once."""
        event = CallEvent(
            event_id=fields.pop("event_id", f"{call_id}-{type_}-{self.clock().isoformat()}"),
            type=type_,
            occurred_at=self.clock(),
            call_id=call_id,
            provider_call_id=fields.pop("provider_call_id", f"provider-{call_id}"),
            **fields,
        )
        self.events.receive_event(event)
        self.events.apply_event(event.event_id)
        return event

    def hang_up(self, call_id: str, cause: HangupCause) -> None:
        self.receive(call_id, EventType.HUNG_UP, cause=cause)

    def call(self, call_id: str) -> Call:
        with self.db.read() as connection:
            found = call_storage.find_call(connection, call_id)
        assert found is not None
        return found

    def change_call(self, call_id: str, **values: Any) -> None:
        with self.db.write() as connection:
            assert call_storage.update_call_if(connection, call_id, **values)

    def verification(self, verification_id: str, *, owner: str = "acme") -> Verification:
        """The verification with the status that it has now."""
        with self.db.read() as connection:
            found = verification_storage.find_verification(connection, owner, verification_id)
        assert found is not None
        return replace(found, status=found.status_at(self.clock()))

    def calls_of(self, verification_id: str) -> list[Call]:
        with self.db.read() as connection:
            return call_storage.list_calls(connection, verification_id)

    def events_of(self, call_id: str) -> list[str]:
        with self.db.read() as connection:
            return [type_ for _, type_ in call_storage.list_call_events(connection, [call_id])[call_id]]

    def live_calls(self) -> int:
        with self.db.read() as connection:
            return queue.count_live(connection)

    def code_of(self, verification_id: str, *, owner: str = "acme") -> str:
        """The code of a verification that is still pending, as the voice will read it."""
        sealed = self.verification(verification_id, owner=owner).speech_sealed
        assert sealed is not None
        return str(json.loads(self.vault.decrypt(sealed))["code"])

    def heard(self, phone: str = PHONE) -> list[str]:
        """The codes that this phone was read, in order; an offer to press 1 holds none."""
        digits = ("".join(c for c in text if c.isdigit()) for to, text in self.provider.heard if to == phone)
        return [found[: len(found) // 2] for found in digits if len(found) > 1]

    def _hear_of(self, event: CallEvent) -> None:
        if not self.is_lost(event):
            self.events.receive_event(event)


def refusal_of(action: Callable[[], object], code: str) -> LetsTalkError:
    """The error that `action` raises, which must have this code."""
    with pytest.raises(LetsTalkError) as caught:
        action()
    assert caught.value.code == code, caught.value.message
    return caught.value


def outcome_of(action: Callable[[], object]) -> str:
    """`ok`, or the code of the error that `action` raises."""
    try:
        action()
    except LetsTalkError as error:
        return error.code
    return "ok"


def at_once(actions: list[Callable[[], object]]) -> list[str]:
    """The outcomes of all actions, each in a thread of its own, released together."""
    barrier = threading.Barrier(len(actions))
    outcomes: list[str] = [""] * len(actions)

    def run(place: int, action: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            outcomes[place] = outcome_of(action)
        except Exception as error:
            outcomes[place] = repr(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes
