"""How even the answers are: the slowest hundredth of code checks beside the median, at half of the most it can take."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.contestants import installed, shared, verifying
from benchmarks.figures import divide, percentile
from benchmarks.installations import phones
from benchmarks.loads import run_closed, run_open
from benchmarks.plans import Plan
from benchmarks.sections import Goal, Section
from benchmarks.servers import serving_ours

MOST_TIMES_THE_MEDIAN = 4.0
KEEPS_UP = 0.98  # a server that answers less than this share of what is asked is not at half its load
DISPATCHED_PER_SECOND = 80  # more than one channel places at the simulator's speed here, so that it never rests
SEARCHED_PER_SECOND = 4_000  # more than any machine here answers


def measure_tail(plan: Plan) -> Section:
    """Finds the most that one server answers, then asks for half of that at a fixed rate, calls going on beside."""
    with tempfile.TemporaryDirectory(prefix="letstalk-bench-") as folder, installed(Path(folder)) as installation:
        numbers = phones("77")
        searching_seconds = plan.pace_seconds + plan.warm_up_seconds
        prepared = installation.await_codes(numbers, int(SEARCHED_PER_SECOND * searching_seconds))
        lasting_seconds = searching_seconds + plan.tail_seconds + plan.warm_up_seconds
        installation.queue_calls(phones("78"), int(DISPATCHED_PER_SECOND * (lasting_seconds + 5)))
        with serving_ours(installation) as (ports, _):
            talks = shared(verifying(installation, prepared), 200)
            most = run_closed(ports, talks, plan.warm_up_seconds, plan.pace_seconds).per_second
            rate = max(most / 2, 1.0)
            prepared = installation.await_codes(numbers, int(rate * (plan.tail_seconds + plan.warm_up_seconds)) + 100)
            asked = verifying(installation, prepared)
            sample = run_open(ports[0], asked, 200, rate, plan.warm_up_seconds, plan.tail_seconds)
    p50, p95, p99 = (percentile(sample.latencies_seconds, percent) * 1000 for percent in (50, 95, 99))
    slowest = percentile(sample.latencies_seconds, 100) * 1000
    kept_up = sample.per_second > KEEPS_UP * rate
    return Section(
        "Evenness",
        "`POST /calls/verify` at a fixed rate, half of the most that one server answered just before; a request's time "
        "counts from when it was due, so that a server that stops shows in all that it kept waiting.",
        ("most a second", "rate asked for", "p50 ms", "p95 ms", "p99 ms", "slowest ms"),
        [(f"{most:.0f}", f"{rate:.0f}", f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}", f"{slowest:.1f}")],
        [
            Goal(
                "p99 of verify under 4 times its median at half the maximum load",
                f"{divide(p99, p50):.1f} times"
                + ("" if kept_up else f", but answered only {sample.per_second:.0f} a second"),
                kept_up and p99 < MOST_TIMES_THE_MEDIAN * p50,
            )
        ],
    )
