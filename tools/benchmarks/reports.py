"""The report, as Markdown: the goals, then what was measured and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tools.benchmarks import machines
from tools.benchmarks.contests import LOAD, REFERENCE, Results
from tools.benchmarks.figures import Goal, Section
from tools.benchmarks.loads import CONNECTIONS
from tools.benchmarks.plans import Plan

HEADER = ("", "share of bare Flask", "by processor time", "requests a second", "p50 ms", "p99 ms", "core used", "load")
INTRODUCTION = """\
# Benchmarks

This page is written by `make bench`, which measures everything on it in one run of less than half an hour. Run it on a
machine that does nothing else. `make bench BENCH=short` takes about a minute, only shows that every part runs, and
writes nothing. `python tools/benchmarks/run.py --only verify,send` measures a part and prints it.

To compare two checkouts, run `python -m tools.benchmarks.before_and_after OLD_TREE NEW_TREE`. It prints the new tree's
speed divided by the old tree's, for verify and send on SQLite.
"""
METHOD = """\
## Method

A *share* is the number of requests per second divided by that of a bare Flask application, which returns
`{{"hello": "world"}}` on Waitress with four threads. Both run on the same core and take short turns: {turns} turns in
{seconds:g} s. While one server has its turn, the others are stopped (SIGSTOP). The load runs on another core, over
{connections} kept-alive connections. Each contestant is measured once in each of {rounds} rounds. Tables show the
median, and the lowest and the highest in brackets.

The service is `python app.py` in production. Everything is switched on, and only the thresholds of the request limits
are raised. The simulator runs calls 1,000 times faster than real ones, with one channel, so calls are placed all the
time beside the requests. *send* is `POST /calls/otp`, each to another phone. *verify* is `POST /calls/verify` with the
right code, each of another verification.

*By processor time* compares the requests per second of processor time, which other work on the machine disturbs less.
*Core used* is the server's share of its core. *Load* is the load's share of the other core.

The peers keep their own promises, which differ from ours. Each uses the fastest options in its documentation: SQLite
in WAL mode with `synchronous=NORMAL`, raised limits, and codes that are sent nowhere. Those that compile at run time
are warmed up for longer. "verify, Better Auth" is its HTTP endpoint. "consume, Better Auth" is the function of its
server API that knows no user. otpgateway is left out, because it is written in Go and in neither npm nor PyPI.
"""


def write_report(
    plan: Plan, results: Results, sections: Iterable[Section], peer_versions: Sequence[str], seconds: float
) -> str:
    """The whole page. `peer_versions` are further lines about what was measured, `seconds` is how long it took."""
    sections = list(sections)
    measured_at = f"Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC in {seconds / 60:.0f} minutes"
    lines = (measured_at, *machines.describe(), *peer_versions)
    parts = [INTRODUCTION, "".join(f"- {line}\n" for line in lines)]
    goals = [goal for section in sections for goal in section.goals]
    if goals:
        header = ("what", "measured", "goal", "verdict")
        parts.append("## Goals\n\n" + table(header, [goal_row(goal) for goal in goals]))
    if REFERENCE in results.by_name:
        parts.append("## Requests\n\n" + table(HEADER, [contest_row(results, name) for name in results.by_name]))
    for section in sections:
        if section.rows:
            parts.append(f"## {section.title}\n\n{section.text}\n\n" + table(section.header, section.rows))
    method = METHOD.format(
        connections=CONNECTIONS, rounds=plan.rounds, turns=plan.turns, seconds=plan.contestant_seconds
    )
    return "\n".join((*parts, method))


def contest_row(results: Results, name: str) -> tuple[str, ...]:
    def of(attribute: str, digits: int) -> str:
        return results.spread(name, lambda one: float(getattr(one, attribute))).show(digits)

    used = results.spread(name, lambda one: one.cores_used).median
    load = results.spread(name, lambda one: one.used_beside[LOAD]).median
    figures = (of("share", 2), of("cpu_share", 2), of("per_second", 0), of("p50_ms", 1), of("p99_ms", 1))
    return name, *figures, f"{used:.0%}", f"{load:.0%}"


def goal_row(goal: Goal) -> tuple[str, str, str, str]:
    return goal.name, goal.measured, goal.required, "met" if goal.is_met else "**missed**"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
