"""Channels at the account's limit: how close they are kept to always busy while calls wait."""

from __future__ import annotations

import heapq
from itertools import islice

from tools.benchmarks.contestants import installed
from tools.benchmarks.figures import percentile
from tools.benchmarks.installations import phones
from tools.benchmarks.phone_paths import PATIENCE_SECONDS, ask_for_calls, wait_until_over
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import new_folder, serving_ours
from tools.benchmarks.timed_telnyx import CALL_SECONDS, TimedTelnyx

CHANNELS = 10
GOAL_SHARE = 0.97
LIFE_SECONDS = 20.0  # how long the goal's calls are


def measure_channels(plan: Plan) -> Section:
    with (
        new_folder() as folder,
        TimedTelnyx(speed=CALL_SECONDS / plan.call_seconds) as telnyx,
        installed(folder, **telnyx.environment, MAX_CONCURRENT_CALLS=str(CHANNELS)) as installation,
        serving_ours(installation) as (ports, _),
    ):
        numbers = phones("77")
        ask_for_calls(installation, ports[0], list(islice(numbers, 2)), 0.1)
        wait_until_over(telnyx, 2, PATIENCE_SECONDS + 2 * plan.call_seconds)  # until the SDK is loaded
        first = len(telnyx.calls)
        asked_at = ask_for_calls(installation, ports[0], list(islice(numbers, plan.burst)), 0.0)
        wait_until_over(telnyx, first + plan.burst, 60 + 2 * plan.burst / CHANNELS * plan.call_seconds)
        calls = sorted((call.placed_at, call.ended_at or 0.0) for call in telnyx.calls[first:])
        most_live = telnyx.exchange.max_live
    begun = min(asked_at.values())
    last = calls[-1][0]
    lengths = [ended - placed for placed, ended in calls]
    mean_seconds = sum(lengths) / len(lengths)
    share = busy_share(calls, begun, last, CHANNELS)
    gaps = idle_gaps(calls, CHANNELS)
    gap_ms = [gap * 1000 for gap in gaps]
    wait, best = last - begun, best_last_start(lengths, CHANNELS)
    times = LIFE_SECONDS / mean_seconds
    in_life = LIFE_SECONDS / (LIFE_SECONDS + sum(gaps) / len(gaps))
    return Section(
        "Channels at the limit",
        f"A burst of {plan.burst} sent with `expires_in: 600` to {CHANNELS} channels of a Telnyx that is played over "
        f"HTTP. Its calls took {mean_seconds:.2f} s on average, {times:.1f} times less than the {LIFE_SECONDS:g} s of "
        "life: what the service needs between two calls weighs as many times more here, and the share is less than it "
        f"would be. (With the gaps measured, calls of {LIFE_SECONDS:g} s would keep the channels busy {in_life:.2%} of "
        "the time.) Counted from the first request to the last dial. The best is every channel dialling again in the "
        "moment in which its call ends, from the first request on.",
        ("channels busy", "most calls at once", "last waits", "at best", "gap p50 ms", "gap p95 ms", "longest gap ms"),
        [
            (
                f"{share:.2%}",
                str(most_live),
                f"{wait:.2f} s",
                f"{best:.2f} s",
                f"{percentile(gap_ms, 50):.1f}",
                f"{percentile(gap_ms, 95):.1f}",
                f"{max(gap_ms):.1f}",
            )
        ],
        [
            Goal(f"channels busy {GOAL_SHARE:.0%} of the time or more", f"{share:.2%}", share >= GOAL_SHARE),
            Goal(f"no more than {CHANNELS} calls at once", str(most_live), most_live <= CHANNELS),
        ],
    )


def busy_share(calls: list[tuple[float, float]], since: float, until: float, channels: int) -> float:
    """Which share of the channels' time between the two was used by calls, (placed, ended) each."""
    used = sum(max(0.0, min(ended, until) - max(placed, since)) for placed, ended in calls)
    return used / ((until - since) * channels)


def idle_gaps(calls: list[tuple[float, float]], channels: int) -> list[float]:
    """How long a channel was free before each call that had to wait for one."""
    ends = sorted(ended for _, ended in calls)
    return [placed - ended for (placed, _), ended in zip(calls[channels:], ends, strict=False)]


def best_last_start(lengths: list[float], channels: int) -> float:
    """When the last of the calls would start at the earliest, placed in this order with no moment lost."""
    free_at = [0.0] * channels
    start = 0.0
    for length in lengths:
        start = heapq.heappop(free_at)
        heapq.heappush(free_at, start + length)
    return start
