"""`python -m tools.reliability --help`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.reliability.chaos import Outcome, Plan, run_load
from tools.reliability.event_kills import EventPlan, run_event_kills
from tools.reliability.faults import run_faults
from tools.reliability.reports import print_promises, say, write_json
from tools.reliability.scaled_out_checks import CASES, run_attacks, run_schemathesis
from tools.reliability.soaks import soak


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.reliability", description="Check the service while parts of it fail."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    chaos = commands.add_parser("chaos", help="load, and programs killed at random")
    chaos.add_argument("--minutes", type=float, default=10.0)
    chaos.add_argument("--kill-every", type=float, default=5.0, metavar="SECONDS")
    quiet = commands.add_parser("soak", help="the same load without kills: memory and logs")
    quiet.add_argument("--minutes", type=float, default=30.0)
    for command in (chaos, quiet):
        command.add_argument("--sends-per-second", type=float, default=3.0)
    faults = commands.add_parser("faults", help="each fault by itself")
    faults.add_argument("names", nargs="*", help="only these")
    events = commands.add_parser("events", help="webhooks, and programs killed at random: none is lost or made up")
    events.add_argument("--events", type=int, default=10_000)
    events.add_argument("--kill-every", type=float, default=4.0, metavar="SECONDS")
    described = commands.add_parser("schemathesis", help="requests from the OpenAPI description, to all servers")
    described.add_argument("--cases", type=int, default=CASES, help="for each operation (%(default)s)")
    attacked = commands.add_parser("attacks", help="`python -m tools.attacks`, to all servers")
    attacked.add_argument("--thorough", action="store_true", help="more tries, and those that wait for time limits")
    for command in (chaos, quiet, faults, events, described, attacked):
        command.add_argument("--json", type=Path, help="where to write all figures")
        command.add_argument("--logs", type=Path, help="a folder for the logs of all programs")
    outcome = _run(parser.parse_args())
    return 0 if outcome.is_good else 1


def _run(given: argparse.Namespace) -> Outcome:
    if given.command == "chaos":
        title = f"Chaos for {given.minutes:g} min, a kill every {given.kill_every:g} s"
        say(title)
        outcome = run_load(Plan(given.minutes * 60, given.kill_every, given.sends_per_second), given.logs)
    elif given.command == "soak":
        title = f"Soak for {given.minutes:g} min"
        say(title)
        outcome = soak(Plan(given.minutes * 60, sends_per_second=given.sends_per_second), given.logs)
    elif given.command == "events":
        title = f"{given.events:,} events, a kill every {given.kill_every:g} s"
        outcome = run_event_kills(EventPlan(given.events, given.kill_every), given.logs)
    elif given.command == "schemathesis":
        title = "Schemathesis over three servers and two workers"
        outcome = run_schemathesis(given.cases, given.logs)
    elif given.command == "attacks":
        title = "Attacks on three servers and two workers"
        outcome = run_attacks(given.thorough, given.logs)
    else:
        title = "Faults"
        outcome = run_faults(given.names, given.logs)
    print_promises(title, outcome.promises)
    write_json(given.json, outcome.as_json())
    return outcome


if __name__ == "__main__":
    sys.exit(main())
