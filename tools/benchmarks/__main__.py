"""`python -m tools.benchmarks --help`"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tools.benchmarks import contestants
from tools.benchmarks.call_delays import measure_call_delays
from tools.benchmarks.channels import measure_channels
from tools.benchmarks.contestants import OWN, SENDS, VERIFIES, VERIFY_POSTGRESQL
from tools.benchmarks.contests import Contest, Results, run_contests
from tools.benchmarks.figures import Section
from tools.benchmarks.machines import LOAD_CORE
from tools.benchmarks.memory_and_start import measure_memory_and_start
from tools.benchmarks.peers import contestants as peers
from tools.benchmarks.peers.installs import describe_peers
from tools.benchmarks.plans import FULL, SHORT, Plan
from tools.benchmarks.reports import write_report
from tools.benchmarks.servers import new_folder

REPORT = Path(__file__).parent / "README.md"
MEASUREMENTS: dict[str, Callable[[Plan], Section]] = {
    "calls": measure_call_delays,
    "channels": measure_channels,
    "start": measure_memory_and_start,
}
GROUPS = ("growth", "postgresql", "peers")
NOT_IN_SHORT = ("peers",)
REAL_CALL_SECONDS = 20.0


def main() -> int:
    given = _read_arguments()
    plan = SHORT if given.mode == "short" else FULL
    plan = replace(
        plan,
        rounds=given.rounds or plan.rounds,
        contestant_seconds=given.seconds or plan.contestant_seconds,
        call_seconds=REAL_CALL_SECONDS if given.real_time else plan.call_seconds,
    )
    names = _names(given, plan)
    os.sched_setaffinity(0, {LOAD_CORE})
    started = time.monotonic()
    with ExitStack() as stack:
        contests = _make_contests(names, plan, stack)
        results = run_contests(contests, plan, _say) if contests else Results()
    sections = _compare(results, plan)
    for name in names:
        if name in MEASUREMENTS:
            _say(f"{name} …")
            sections.append(MEASUREMENTS[name](plan))
    versions = [describe_peers()] if "peers" in names and peers.were_measured(results) else []
    report = write_report(plan, results, sections, versions, time.monotonic() - started)
    _say("\n" + report)
    if given.mode == "full" and not given.only:
        REPORT.write_text(report, encoding="utf-8")
    return 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/benchmarks/run.py", description="Measure the service beside bare Flask and similar products."
    )
    parser.add_argument("mode", nargs="?", choices=("full", "short"), default="full")
    everything = ", ".join((*OWN, *GROUPS, *MEASUREMENTS))
    parser.add_argument("--only", help=f"separated by commas; the report is printed, not written: {everything}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="how long each contestant is measured in a round")
    parser.add_argument("--real-time", action="store_true", help="channels: calls of 20 s, which takes seven minutes")
    return parser.parse_args()


def _names(given: argparse.Namespace, plan: Plan) -> list[str]:
    known = [*OWN, *GROUPS, *MEASUREMENTS]
    if given.only:
        wanted = given.only.split(",")
        if unknown := [name for name in wanted if name not in known]:
            sys.exit(f"--only: {', '.join(unknown)} is none of {', '.join(known)}")
        return [name for name in known if name in wanted]
    return [name for name in known if not (plan.is_short and name in NOT_IN_SHORT)]


def _make_contests(names: list[str], plan: Plan, stack: ExitStack) -> list[Contest]:
    """The contests in the order in which they are run."""
    contests: list[Contest] = [{name: OWN[name]} for name in OWN if name in names]
    if "growth" in names:
        folder = stack.enter_context(new_folder())
        contests += contestants.GrownInstallations(folder, plan, stack).contests()
    if "postgresql" in names:
        if contestants.has_postgresql_and_redis():
            contests.append({VERIFY_POSTGRESQL: contestants.verify_on_postgresql})
        else:
            _say("PostgreSQL or Redis is not installed: left out")
    if "peers" in names:
        contests += [{name: open_one} for name, open_one in peers.open_peers(_say).items()]
    return contests


def _compare(results: Results, plan: Plan) -> list[Section]:
    """The goals that the contests decide, of the contestants that were measured."""
    measured = set(results.by_name)
    sections = [contestants.compare_with_reference(results), peers.compare_peers(results)]
    if {*SENDS, *VERIFIES} <= measured:
        sections.append(contestants.compare_growth(results, plan))
    if VERIFY_POSTGRESQL in measured:
        sections.append(contestants.compare_postgresql(results))
    return sections


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
