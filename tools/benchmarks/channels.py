"""How busy the account's channels are while calls wait."""

from __future__ import annotations

import heapq
from itertools import islice

from tools.benchmarks.call_delays import CALL_SECONDS, TIMEOUT_SECONDS, TimedTelnyx, request_calls, wait_until_ended
from tools.benchmarks.figures import Goal, Section, percentile
from tools.benchmarks.installations import installed, phones
from tools.benchmarks.plans import Plan
from tools.benchmarks.servers import new_folder, serving_installation

CHANNELS = 10
LEAST_BUSY_SHARE = 0.97
REAL_CALL_SECONDS = 20.0


def measure_channels(plan: Plan) -> Section:
    with (
        new_folder() as folder,
        TimedTelnyx(speed=CALL_SECONDS / plan.call_seconds) as telnyx,
        installed(folder, {**telnyx.environment, "MAX_CONCURRENT_CALLS": str(CHANNELS)}) as installation,
        serving_installation(installation) as (port, _),
    ):
        numbers = phones("77")
        request_calls(installation, port, list(islice(numbers, 2)), 0.1)
        wait_until_ended(telnyx, 2, TIMEOUT_SECONDS + 2 * plan.call_seconds)  # the SDK is loaded from now on
        first = len(telnyx.calls)
        requested_at = request_calls(installation, port, list(islice(numbers, plan.burst)), 0.0)
        wait_until_ended(telnyx, first + plan.burst, 60 + 2 * plan.burst / CHANNELS * plan.call_seconds)
        calls = sorted((call.placed_at, call.ended_at or 0.0) for call in telnyx.calls[first:])
        most_live = telnyx.exchange.max_live
    begun = min(requested_at.values())
    last = calls[-1][0]
    lengths = [ended - placed for placed, ended in calls]
    mean_seconds = sum(lengths) / len(lengths)
    share = busy_share(calls, begun, last, CHANNELS)
    gaps = idle_gaps(calls, CHANNELS)
    gap_ms = [gap * 1000 for gap in gaps]
    share_of_real = REAL_CALL_SECONDS / (REAL_CALL_SECONDS + sum(gaps) / len(gaps))
    row = (
        f"{share:.2%}",
        str(most_live),
        f"{last - begun:.2f} s",
        f"{best_last_start(lengths, CHANNELS):.2f} s",
        f"{percentile(gap_ms, 50):.1f}",
        f"{percentile(gap_ms, 95):.1f}",
        f"{max(gap_ms):.1f}",
    )
    return Section(
        "Channels",
        f"{plan.burst} requests at once with `expires_in: 600`, and {CHANNELS} channels, measured from the first "
        f"request to the last dial. The calls took {mean_seconds:.2f} s on average. With the same gaps between calls "
        f"of {REAL_CALL_SECONDS:g} s, the channels would be busy {share_of_real:.2%} of the time. The best last dial "
        "is the one if each channel dialed again at the moment when its call ended.",
        ("busy", "most live", "last dial", "best last dial", "gap p50 ms", "gap p95 ms", "longest gap ms"),
        [row],
        [
            Goal("channels busy", f"{share:.2%}", f"≥ {LEAST_BUSY_SHARE:.0%}", share >= LEAST_BUSY_SHARE),
            Goal("live calls at once", str(most_live), f"≤ {CHANNELS}", most_live <= CHANNELS),
        ],
    )


def busy_share(calls: list[tuple[float, float]], since: float, until: float, channels: int) -> float:
    """The share of the channels' time between the two moments in which they had calls; each call: (placed, ended)."""
    used = sum(max(0.0, min(ended, until) - max(placed, since)) for placed, ended in calls)
    return used / ((until - since) * channels)


def idle_gaps(calls: list[tuple[float, float]], channels: int) -> list[float]:
    """For how long a channel was free before each call that had to wait for one."""
    ends = sorted(ended for _, ended in calls)
    return [placed - ended for (placed, _), ended in zip(calls[channels:], ends, strict=False)]


def best_last_start(lengths: list[float], channels: int) -> float:
    """The earliest start of the last call if they are placed in this order and no time is lost."""
    free_at = [0.0] * channels
    start = 0.0
    for length in lengths:
        start = heapq.heappop(free_at)
        heapq.heappush(free_at, start + length)
    return start
