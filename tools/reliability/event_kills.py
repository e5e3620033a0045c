"""Whether every event of a committed change arrives, and none of another, while programs are killed at random."""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.receivers import Received, Receiver, Reply, receiving
from tools.reliability.chaos import Outcome, drain
from tools.reliability.fleets import Fleet, keep_logs, running_fleet
from tools.reliability.kills import Killer
from tools.reliability.reports import say
from tools.reliability.verdicts import Promise

OWNER = "acme"
CLIENTS = 4
# Of the webhooks that are received for the first time, every so many are refused: they come again after 5 s.
REFUSED_EVERY = 50
# Without any arrival. A delivery that was lost with its worker comes again after the lease, which is 60 s at most.
MOST_QUIET_SECONDS = 180.0
DUE = "SELECT count(*) AS n FROM verifications WHERE events_due > 0"  # not recorded yet


@dataclass(frozen=True)
class EventPlan:
    """How many events are recorded at least, and how often a program is killed meanwhile (0: never)."""

    events: int = 10_000
    kill_every_seconds: float = 4.0
    servers: int = 2
    workers: int = 2
    telnyx_speed: float = 20.0


class SignatureJudge:
    """Whether each webhook is signed, and stays the same when it comes again.

    It sees each when it comes: a minute later, the library would refuse its time.
    """

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._signed = Promise("Every webhook is signed")
        self._same = Promise("A webhook that comes again has the same id and the same body")
        self._bodies: dict[str, bytes] = {}
        self._count = 0

    def see(self, one: Received) -> None:
        self._count += 1
        try:
            self._webhook.verify(one.body, one.headers)
        except WebhookVerificationError as error:
            self._signed.breaches.append(f"{one.event_id}: {error}")
        if self._bodies.setdefault(one.event_id, one.body) != one.body:
            self._same.breaches.append(f"{one.event_id} changed")

    def promises(self) -> list[Promise]:
        self._signed.measured = f"{self._count} webhooks"
        self._same.measured = f"{len(self._bodies)} ids, {self._count - len(self._bodies)} came again"
        return [self._signed, self._same]


def run_event_kills(plan: EventPlan, logs: Path | None = None) -> Outcome:
    """Record events under kills, wait until each has arrived, and compare them with the database."""
    with (
        tempfile.TemporaryDirectory(prefix="letstalk-reliability-") as name,
        receiving() as receiver,
        running_fleet(
            Path(name),
            servers=plan.servers,
            workers=plan.workers,
            telnyx={"speed": plan.telnyx_speed, "retry_speed": 4.0},
            WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        ) as fleet,
    ):
        Path(name).chmod(0o755)
        token = fleet.issue_token(OWNER, scopes=["read", "write", "webhooks:write"])
        judge = SignatureJudge(_listen(fleet, token, receiver))
        receiver.reply = _refuses_some_first(REFUSED_EVERY, judge)
        killer = Killer(fleet, every_seconds=plan.kill_every_seconds)
        if plan.kill_every_seconds:
            killer.start()
        try:
            _record_events(fleet, token, plan.events)
        finally:
            if plan.kill_every_seconds:
                killer.stop()
        say(f"  {_count_events(fleet)} events, {dict(killer.kills)} kills; waiting for what is on its way")
        drained = drain(fleet)
        arrived = _wait_for_deliveries(fleet)
        promises = [drained, arrived, *judge.promises(), *judge_events(fleet, list(receiver.received))]
        if killer.failures:
            promises.append(Promise("Every program starts again", breaches=killer.failures))
        if logs is not None:
            keep_logs(fleet, logs)
        facts = {"events": _count_events(fleet), "kills": dict(killer.kills), "webhooks": len(receiver.received)}
        return Outcome(promises, facts)


def _listen(fleet: Fleet, token: str, receiver: Receiver) -> str:
    """The secret of a new endpoint of all events of the owner."""
    answer = httpx.post(
        f"{fleet.bases[0]}/api/webhook-endpoints",
        json={"url": receiver.url},
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


def _refuses_some_first(every: int, judge: SignatureJudge) -> Any:
    """A reply to each webhook: 500 to every so many that were never received, 204 to all others."""
    seen: set[str] = set()
    numbers = count(1)
    lock = threading.Lock()

    def reply(received: Received) -> Reply:
        with lock:
            judge.see(received)
            is_new = received.event_id not in seen
            seen.add(received.event_id)
            return Reply(500) if is_new and next(numbers) % every == 0 else Reply()

    return reply


def _record_events(fleet: Fleet, token: str, wanted: int) -> None:
    """Send codes, check some wrongly, cancel half of them, until there are so many events."""
    stopped = threading.Event()
    numbers = count(1)

    def ask() -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=10) as http:
            while not stopped.is_set():
                phone = f"+2567{next(numbers):08}"
                with suppress(httpx.HTTPError):  # its server was killed
                    sent = http.post(f"{random.choice(fleet.bases)}/calls/otp", json={"phone": phone})
                    if sent.status_code != 202:
                        stopped.wait(0.05)  # the queue is full, or the database is away
                    elif random.random() < 0.5:
                        verification_id = sent.json()["verification_id"]
                        http.post(f"{random.choice(fleet.bases)}/calls/{verification_id}/cancel")

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            while _count_events(fleet) < wanted and not any(each.done() for each in asking):
                time.sleep(0.5)
        finally:
            stopped.set()
        for each in asking:
            each.result()


def _count_events(fleet: Fleet) -> int:
    """0 while the database is away."""
    with suppress(Exception):
        recorded = fleet.query("SELECT count(*) AS n FROM app_events")[0]["n"]
        return int(recorded) + int(fleet.query(DUE)[0]["n"])
    return 0


def _wait_for_deliveries(fleet: Fleet) -> Promise:
    promise = Promise("Every delivery is accepted at last")
    open_deliveries = "SELECT count(*) AS n FROM webhook_deliveries WHERE delivered_at IS NULL"
    waiting = "SELECT count(*) AS n FROM app_events WHERE is_waiting"
    started = last_arrival = time.monotonic()
    left = before = -1
    while time.monotonic() - last_arrival < MOST_QUIET_SECONDS:
        left = sum(int(fleet.query(each)[0]["n"]) for each in (open_deliveries, waiting, DUE))
        if not left:
            break
        if left != before:
            last_arrival, before = time.monotonic(), left
        time.sleep(0.5)
    promise.measured = f"{time.monotonic() - started:.0f} s after the last change"
    if left:
        promise.breaches.append(f"{left} have not arrived")
    return promise


def judge_events(fleet: Fleet, received: list[Received]) -> list[Promise]:
    """Compare what was received with what the database says that happened."""
    contents = {one.event_id: json.loads(one.body) for one in received}
    statuses = {row["verification_id"]: row["status"] for row in fleet.query("SELECT * FROM verifications")}
    ended_calls = {row["call_id"] for row in fleet.query("SELECT call_id FROM calls WHERE ended_at IS NOT NULL")}
    # Nobody could say whether these exist, until Telnyx told of them: they end twice.
    unknown = {row["call_id"] for row in fleet.query("SELECT call_id FROM call_events WHERE type = 'unknown'")}
    return compare_events(statuses, ended_calls, contents, unknown)


def compare_events(
    statuses: Mapping[str, str],
    ended_calls: Set[str],
    contents: Mapping[str, dict[str, Any]],
    ended_twice: Set[str] = frozenset(),
) -> list[Promise]:
    """Compare the events by their ids with the statuses of the verifications, and the calls that have ended.

    `ended_twice` are calls that may have.
    """
    arrived: dict[str, Counter[str]] = defaultdict(Counter)
    unfounded = Promise("None is sent of a change that was rolled back", f"{len(contents)} events compared")
    for event_id, content in contents.items():
        about, type_ = content["data"], content["type"]
        verification_id = about["verification_id"]
        arrived[about["call_id"] if type_.startswith("call.") else verification_id][type_] += 1
        status = statuses.get(verification_id)
        said = type_.removeprefix("verification.")
        if status is None or (type_.startswith("verification.") and said not in ("created", status)):
            unfounded.breaches.append(f"{event_id} {type_}: the verification is {status}")
    lost = Promise("Every event of a committed change arrives")
    for verification_id, status in statuses.items():
        expected = {"verification.created", *(() if status == "pending" else (f"verification.{status}",))}
        lost.breaches += [f"{verification_id} {type_}" for type_ in expected - set(arrived[verification_id])]
    lost.breaches += [f"{call_id} call.ended" for call_id in ended_calls if not arrived[call_id]["call.ended"]]
    lost.measured = f"{len(statuses)} verifications, {len(ended_calls)} calls that ended"
    once = Promise("Each change has one event", f"{sum(types.total() for types in arrived.values())} events")
    for subject, types in arrived.items():
        most = 2 if subject in ended_twice else 1
        once.breaches += [f"{subject} {type_}: {times} ids" for type_, times in types.items() if times > most]
    return [lost, unfounded, once]
