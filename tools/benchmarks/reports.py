"""The report, as Markdown: what was reached, then what was measured and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools.benchmarks import machines
from tools.benchmarks.contests import HELLO, LOAD, Results
from tools.benchmarks.loads import CONNECTIONS
from tools.benchmarks.peers.contestants import BETTER_AUTH, DJANGO
from tools.benchmarks.peers.installs import describe_peers
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section

HEADER = ("", "share of bare Flask", "by processor time", "requests a second", "p50 ms", "p99 ms", "core used", "load")
TRIES = Path(__file__).parent / "tries.md"
INTRODUCTION = """\
# How fast it is

Written by `make bench`. A share is what a server answers in a second beside what bare Flask answers with "hello" as
JSON on Waitress with four threads on the same core. Both take short turns, {turns} in {seconds:g} s, and whoever has
not its turn is stopped (SIGSTOP): a machine that others share is fast in one second and slow in the next, for both.
Sends have one long turn between two, since a call that a pause prolongs would have the queue refuse them.
Every server runs on one core, the load on another, over {connections} kept-alive connections. Of {rounds} rounds,
in each of which every contestant is measured once, the median stands first and the least and the most in brackets.
Ours is `python app.py` in production with everything switched on and only the request limits' thresholds raised; the
simulator runs at 1,000 times the speed of life with one channel: calls are placed all the time beside the requests.

"send" is `POST /calls/otp`, each to another phone; "verify" is `POST /calls/verify` with the right code, each of
another verification; "verify-wrong" with a wrong one; "verify-alone" with no call waiting to be placed. A "journey" is
a send and then its code: two requests.

"By processor time" compares what was answered for each second of processor time: other work on the machine disturbs it
less. "Core used" is how much of its core a server had, "load" what the load took of the other one.

The peers keep their own promises, not ours. Each was given the best of the choices that its documentation leaves
(SQLite in WAL mode with `synchronous=NORMAL`, thresholds raised, codes that go nowhere), and those that compile as they
run were warmed up longer. "verify, Better Auth" is its HTTP endpoint, "consume" the function of its server API that
knows no user. otpgateway is written in Go and in neither npm nor PyPI: it is left out.
"""


def write_report(plan: Plan, results: Results, names: Sequence[str], sections: Iterable[Section]) -> str:
    sections = list(sections)
    introduction = INTRODUCTION.format(
        connections=CONNECTIONS, rounds=plan.rounds, turns=plan.turns, seconds=plan.pace_seconds
    )
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [introduction, "\n".join(f"- {line}" for line in (moment, *machines.describe(), *_peers(results))) + "\n"]
    goals = [goal for section in sections for goal in section.goals]
    if goals:
        parts.append("## Goals\n\n" + table(("goal", "measured", "met"), [_goal_row(goal) for goal in goals]))
    if HELLO in results.by_name:
        rows = [contest_row(results, name) for name in (HELLO, *names)]
        parts.append("## Requests\n\n" + table(HEADER, rows))
    for section in sections:
        if section.rows:
            parts.append(f"## {section.title}\n\n{section.words}\n\n" + table(section.header, section.rows))
    return "\n".join((*parts, TRIES.read_text(encoding="utf-8")))


def contest_row(results: Results, name: str) -> tuple[str, ...]:
    def of(pick: str, digits: int) -> str:
        return results.spread(name, lambda one: float(getattr(one, pick))).show(digits)

    used = results.spread(name, lambda one: one.cores_used).median
    load = results.spread(name, lambda one: one.used_beside[LOAD]).median
    figures = (of("ratio", 2), of("cpu_ratio", 2), of("per_second", 0), of("p50_ms", 1), of("p99_ms", 1))
    return name, *figures, f"{used:.0%}", f"{load:.0%}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _peers(results: Results) -> list[str]:
    return [describe_peers()] if {*BETTER_AUTH, *DJANGO} & set(results.by_name) else []


def _goal_row(goal: Goal) -> tuple[str, str, str]:
    return goal.sentence, goal.measured, "yes" if goal.is_met else "**no**"
