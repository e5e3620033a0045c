"""Load while programs are killed at random, and whether the promises were kept."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.reliability.clients import Client, Record
from tools.reliability.fleets import Fleet, keep_logs, running_fleet
from tools.reliability.heard_codes import HeardCodes
from tools.reliability.journeys import Kind
from tools.reliability.kills import Killer
from tools.reliability.loads import Load
from tools.reliability.probes import Probes
from tools.reliability.programs import count_error_lines
from tools.reliability.reports import say
from tools.reliability.verdicts import Evidence, Promise, judge

OWNERS = 6
DRAIN_SECONDS = 240.0


@dataclass
class Outcome:
    promises: list[Promise]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return all(promise.is_kept for promise in self.promises)

    def as_json(self) -> dict[str, Any]:
        return {"good": self.is_good, **self.facts, "promises": [promise.as_json() for promise in self.promises]}


@dataclass(frozen=True)
class Plan:
    """How much load, for how long, and how often a program is killed (0: never)."""

    seconds: float
    kill_every_seconds: float = 0.0
    sends_per_second: float = 3.0
    channels: int = 20
    servers: int = 3
    workers: int = 2
    telnyx_speed: float = 3.0
    retry_speed: float = 1.0
    kinds: tuple[Kind, ...] = tuple(Kind)


def run_load(plan: Plan, logs: Path | None = None, meanwhile: Callable[[Fleet], None] | None = None) -> Outcome:
    """Run `plan`, wait until all calls have ended, and judge. `meanwhile` is called twice a second under load."""
    telnyx = {"speed": plan.telnyx_speed, "retry_speed": plan.retry_speed}
    with (
        tempfile.TemporaryDirectory(prefix="letstalk-reliability-") as name,
        running_fleet(
            Path(name), servers=plan.servers, workers=plan.workers, channels=plan.channels, telnyx=telnyx
        ) as fleet,
    ):
        Path(name).chmod(0o755)
        record, heard_codes = Record(), HeardCodes(fleet.telnyx)
        owners = [f"owner-{number}" for number in range(OWNERS)]
        clients = {owner: Client(fleet.bases, fleet.issue_token(owner), record) for owner in owners}
        load = Load(clients, heard_codes, per_second=plan.sends_per_second, kinds=plan.kinds)
        killer = Killer(fleet, every_seconds=plan.kill_every_seconds)
        probes = Probes(fleet, record)
        heard_codes.start()
        load.start()
        probes.start()
        started = time.monotonic()
        if plan.kill_every_seconds:
            killer.start()
        try:
            _wait(plan.seconds, fleet, load, killer, meanwhile)
        finally:
            if plan.kill_every_seconds:
                killer.stop()
        probes.stop()
        say(f"  no more load after {time.monotonic() - started:.0f} s; draining")
        load.stop()
        drained = drain(fleet)
        heard_codes.stop()
        for client in clients.values():
            client.close()
        promises = judge(Evidence(fleet, record, load.asked))
        promises += probes.promises(killer.kills["Redis"])
        promises += [_everything_came_back(killer)] if plan.kill_every_seconds else []
        promises += [drained]
        if logs is not None:
            keep_logs(fleet, logs)
        return Outcome(promises, _facts(plan, killer, record, fleet))


def _wait(seconds: float, fleet: Fleet, load: Load, killer: Killer, meanwhile: Callable[[Fleet], None] | None) -> None:
    started = time.monotonic()
    next_line = started + 30
    while time.monotonic() - started < seconds:
        time.sleep(0.5)
        if meanwhile is not None:
            meanwhile(fleet)
        if time.monotonic() > next_line:
            next_line += 30
            problems = sum(len(asked.problems) for asked in list(load.asked))
            elapsed_seconds = time.monotonic() - started
            say(
                f"  {elapsed_seconds:4.0f} s: {len(load.asked)} journeys, {sum(killer.kills.values())} kills, "
                f"{problems} problems"
            )


def drain(fleet: Fleet, seconds: float = DRAIN_SECONDS) -> Promise:
    """Wait until no call is open or live and no event waits."""
    promise = Promise("All calls end")
    started = time.monotonic()
    open_calls = "SELECT count(*) AS n FROM calls WHERE ended_at IS NULL OR holds_channel"
    waiting = "SELECT count(*) AS n FROM webhook_events WHERE applied_at IS NULL"
    while True:
        left = (fleet.query(open_calls)[0]["n"], fleet.query(waiting)[0]["n"], fleet.telnyx.state()["live"])
        if not any(left):
            break
        if time.monotonic() - started > seconds:
            promise.breaches.append(
                f"after {seconds:.0f} s: {left[0]} calls open, {left[1]} events wait, {left[2]} live"
            )
            break
        time.sleep(0.5)
    promise.measured = f"{time.monotonic() - started:.0f} s after the last journey"
    return promise


def _everything_came_back(killer: Killer) -> Promise:
    promise = Promise("Killed programs recover", breaches=list(killer.failures))
    promise.measured = ", ".join(
        f"{kind}: {killer.kills[kind]} kills, ready after {statistics.median(seconds):.1f} s (most: {max(seconds):.1f})"
        for kind, seconds in sorted(killer.ready_seconds.items())
    )
    return promise


def _facts(plan: Plan, killer: Killer, record: Record, fleet: Fleet) -> dict[str, Any]:
    seconds = sorted(record.seconds) or [0.0]
    return {
        "seconds": plan.seconds,
        "kill_every_seconds": plan.kill_every_seconds,
        "sends_per_second": plan.sends_per_second,
        "kills": dict(killer.kills),
        "starts_that_ended_early": {program.name: program.unplanned_ends for program in fleet.programs},
        "answer_seconds": {
            "median": statistics.median(seconds),
            "p99": seconds[int(len(seconds) * 0.99)],
            "most": seconds[-1],
        },
        "answers": {
            f"{what} {status} {code}".strip(): count for (what, status, code), count in sorted(record.answers.items())
        },
        "error_lines": error_lines(fleet),
    }


def error_lines(fleet: Fleet) -> dict[str, int]:
    """How many lines of level `error`, and tracebacks, each of the service's programs logged."""
    return {program.name: count_error_lines(program.log()) for program in fleet.ours}
