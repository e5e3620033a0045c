"""A provider under test and the events that it reports, by webhook or in this process."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from letstalk.core.clock import utc_now
from letstalk.core.errors import InvalidSignature
from letstalk.telephony.events import CallEvent, EventType, WebhookReader, WebhookRequest
from letstalk.telephony.provider import CallProvider, DialCommand, HangUpCommand, SpeakCommand
from letstalk.telephony.simulator.provider import SimulatorProvider
from letstalk.telephony.speech.scripts import Speech
from letstalk.telephony.telnyx.provider import WEBHOOK_PATH, TelnyxProvider
from letstalk.telephony.telnyx.webhooks import TelnyxWebhookReader
from tests.support.fake_telnyx import FakeTelnyx
from tests.support.world import Agenda, StandingClock, TurnedTimers

STATE_KEY = b"a key for the state of test calls"
SPEECH = Speech(ssml="Zero, 1, 2.", language="en-US", text="0 1 2")
PERSON, BUSY, NO_ANSWER, REJECTED, MACHINE, SLOW, PRESSES_1 = (
    f"+25670000{ending}" for ending in ("0000", "9901", "9902", "9903", "9904", "9905", "9906")
)


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@dataclass
class Line:
    """`events` holds what the provider has reported, in the order of arrival."""

    provider: CallProvider
    events: list[CallEvent] = field(default_factory=list)

    def dial(self, phone: str = PERSON, *, detect: bool = True, ring_seconds: int = 30, **ids: str) -> tuple[str, str]:
        """Our call id and the provider's."""
        call_id = ids.get("call_id", str(uuid.uuid4()))
        command_id = ids.get("command_id", str(uuid.uuid4()))
        command = DialCommand(call_id, phone, command_id, detect, ring_seconds, call_limit_seconds=120)
        return call_id, self.provider.dial(command)

    def dial_and_reach(self, phone: str = PERSON) -> tuple[str, str]:
        call_id, provider_call_id = self.dial(phone)
        self.wait_for(call_id, EventType.HUMAN)
        return call_id, provider_call_id

    def speak(self, call_id: str, provider_call_id: str, *, seq: int = 1, command_id: str | None = None) -> None:
        command_id = command_id or str(uuid.uuid4())
        self.provider.speak(SpeakCommand(call_id, provider_call_id, command_id, seq, SPEECH, "1", listen_seconds=4))

    def hang_up(self, call_id: str, provider_call_id: str) -> None:
        self.provider.hang_up(HangUpCommand(call_id, provider_call_id, str(uuid.uuid4())))

    def of(self, call_id: str) -> list[CallEvent]:
        return [event for event in list(self.events) if event.call_id == call_id]

    def wait_for(self, call_id: str, kind: EventType, *, seq: int | None = None) -> CallEvent:
        """Wait for the first such event of the call, and return it."""

        def found() -> list[CallEvent]:
            return [e for e in self.of(call_id) if e.type is kind and seq in (None, e.command_seq)]

        assert wait_until(lambda: bool(found())), f"no {kind} among {[event.type.value for event in self.of(call_id)]}"
        return found()[0]


def connected_line(provider: CallProvider) -> Line:
    """A line whose `events` are what `provider` reports from now on."""
    line = Line(provider)
    provider.connect_events(line.events.append)
    return line


@contextmanager
def simulator_line(speed: float = 50.0, least_wait_seconds: float = 5.0) -> Iterator[Line]:
    provider = SimulatorProvider(speed=speed, least_wait_seconds=least_wait_seconds)
    try:
        yield connected_line(provider)
    finally:
        provider.stop()


class TurnedLine(Line):
    """A line of the simulator whose clock the test moves, so that a slow machine does not matter."""

    def __init__(self, speed: float = 1.0, least_wait_seconds: float = 5.0) -> None:
        self._clock = StandingClock()
        self._agenda = Agenda(self._clock)
        provider = SimulatorProvider(
            speed=speed, clock=self._clock, least_wait_seconds=least_wait_seconds, timers=TurnedTimers(self._agenda)
        )
        super().__init__(provider)
        provider.connect_events(self.events.append)

    def seconds_until(self, call_id: str, kind: EventType) -> float:
        """Move the clock to the call's first event of that kind. Returns the seconds that passed."""
        started = self._clock()
        self._agenda.run_due()
        while kind not in {event.type for event in self.of(call_id)}:
            due = self._agenda.next_due()
            assert due is not None, f"no {kind} among {[event.type.value for event in self.of(call_id)]}"
            self._clock.now = due
            self._agenda.run_due()
        return (self._clock() - started).total_seconds()


@contextmanager
def telnyx_line(telnyx: FakeTelnyx, *, timeout_seconds: float = 5.0) -> Iterator[Line]:
    events: list[CallEvent] = []
    webhooks = TelnyxWebhookReader(public_key=telnyx.public_key, state_key=STATE_KEY)
    with webhook_server(webhooks, events) as public_url:
        provider = TelnyxProvider(
            api_key=telnyx.api_key,
            connection_id="1684641123236054244",
            from_number="+12025550123",
            public_url=public_url,
            brand_name="Let's Talk",
            state_key=STATE_KEY,
            base_url=telnyx.base_url,
            timeout_seconds=timeout_seconds,
        )
        try:
            yield Line(provider, events)
        finally:
            provider.stop()


@contextmanager
def webhook_server(webhooks: WebhookReader, events: list[CallEvent]) -> Iterator[str]:
    """A server that receives webhooks as ours does: each event once, and 403 for an unsigned one."""
    seen: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                event = webhooks.read(WebhookRequest("POST", self.path, headers, body), now=utc_now())
            except InvalidSignature:
                self.send_error(403)
                return
            if event is not None and self.path == WEBHOOK_PATH and event.event_id not in seen:
                seen.add(event.event_id)
                events.append(event)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
