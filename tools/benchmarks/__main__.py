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

from tools.benchmarks import channels, footprints, phone_paths, shared_stores, tails
from tools.benchmarks.contestants import OURS, compare_with_goals
from tools.benchmarks.contests import HELLO, Results, run_contests
from tools.benchmarks.growth import CHECKS, SENDS, Histories, compare_growth
from tools.benchmarks.machines import LOAD_CORE
from tools.benchmarks.peers import contestants as peers
from tools.benchmarks.plans import FULL, SHORT, Plan
from tools.benchmarks.reports import write_report
from tools.benchmarks.sections import Section
from tools.benchmarks.servers import Opening, new_folder

REPORT = Path(__file__).parent / "README.md"
PARTS: dict[str, Callable[[Plan], Section]] = {
    "evenness": tails.measure_tail,
    "phone": phone_paths.measure_phone_paths,
    "channels": channels.measure_channels,
    "footprint": footprints.measure_footprint,
}
GROUPS = ("growth", "stores", "peers")
NOT_IN_SHORT = ("peers", "verify-wrong", "verify-alone")
LIFE_SECONDS = 20.0


def main() -> int:
    given = _read_arguments()
    plan = SHORT if given.mode == "short" else FULL
    plan = replace(
        plan,
        rounds=given.rounds or plan.rounds,
        pace_seconds=given.seconds or plan.pace_seconds,
        call_seconds=LIFE_SECONDS if given.real_time else plan.call_seconds,
    )
    os.sched_setaffinity(0, {LOAD_CORE})
    started = time.monotonic()
    with ExitStack() as stack:
        openings = _open(_names(given, plan), plan, stack)
        results = run_contests(openings, plan, _say) if openings else Results()
    sections = _compare(results, plan)
    for name in _names(given, plan):
        if name in PARTS:
            _say(f"{name} …")
            sections.append(PARTS[name](plan))
    report = write_report(plan, results, list(openings), sections)
    _say("\n" + report)
    if given.mode == "full" and not given.only:
        REPORT.write_text(report, encoding="utf-8")
    _say(f"{time.monotonic() - started:.0f} s")
    return 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/benchmarks/run.py", description="How fast it is, beside bare Flask")
    parser.add_argument("mode", nargs="?", choices=("full", "short"), default="full")
    everything = ", ".join((*OURS, *GROUPS, *PARTS))
    parser.add_argument("--only", help=f"separated by commas; the report is then printed only: {everything}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="how long each contestant is measured in a round")
    parser.add_argument("--real-time", action="store_true", help="channels: calls of 20 s, which takes seven minutes")
    return parser.parse_args()


def _names(given: argparse.Namespace, plan: Plan) -> list[str]:
    if given.only:
        return [name for name in given.only.split(",") if name != HELLO]
    left_out = NOT_IN_SHORT if plan.is_short else ()
    return [name for name in (*OURS, *GROUPS, *PARTS) if name not in left_out]


def _open(names: list[str], plan: Plan, stack: ExitStack) -> dict[str, Opening]:
    """Every contestant, in the order in which they are measured."""
    openings = {name: OURS[name] for name in names if name in OURS}
    if "growth" in names:
        folder = stack.enter_context(new_folder())
        openings |= Histories(folder, plan, stack).openings()
    if "stores" in names:
        if shared_stores.are_at_hand():
            openings |= shared_stores.openings(plan)
        else:
            _say("PostgreSQL or Redis is not on this machine: left out")
    if "peers" in names:
        openings |= peers.openings(_say)
    return openings


def _compare(results: Results, plan: Plan) -> list[Section]:
    """What the contests say about the goals, of those that took part."""
    measured = set(results.by_name)
    sections = [compare_with_goals(results)]
    if {*SENDS, *CHECKS} <= measured:
        sections.append(compare_growth(results, plan))
    if shared_stores.NAMES[2] in measured:
        sections.append(shared_stores.compare_stores(results))
    if measured & {*peers.BETTER_AUTH, *peers.DJANGO}:
        sections.append(peers.compare_peers(results))
    return sections


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
