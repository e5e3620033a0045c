"""The same load without faults: memory that does not grow, and logs without errors."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path

from tools.reliability.chaos import Outcome, Plan, run_load
from tools.reliability.fleets import Fleet
from tools.reliability.verdicts import Promise

SAMPLE_SECONDS = 10.0
WARM_UP_SHARE = 0.2
WINDOW_SHARE = 0.15  # of all samples: what "after the warm-up" and "at the end" mean
GROWTH_ALLOWED = 0.05


class MemorySamples:
    """The resident memory of each process, every ten seconds."""

    def __init__(self) -> None:
        self.kib: defaultdict[str, list[int]] = defaultdict(list)
        self._next = 0.0

    def __call__(self, fleet: Fleet) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SAMPLE_SECONDS
        for program in [*fleet.ours, fleet.redis]:
            resident = program.resident_kib()
            if resident is not None:
                self.kib[program.name].append(resident)


def growth(samples: list[int]) -> tuple[float, float, float]:
    """MiB after the warm-up, MiB at the end (medians of a window each), and the growth from one to the other."""
    window = max(1, round(len(samples) * WINDOW_SHARE))
    first = round(len(samples) * WARM_UP_SHARE)
    before = statistics.median(samples[first : first + window]) / 1024
    after = statistics.median(samples[-window:]) / 1024
    return before, after, after / before - 1


def soak(plan: Plan, logs: Path | None = None) -> Outcome:
    memory_samples = MemorySamples()
    outcome = run_load(plan, logs, meanwhile=memory_samples)
    memory = Promise(f"The memory of each process grows by {GROWTH_ALLOWED:.0%} at most")
    measured = []
    for name, samples in memory_samples.kib.items():
        before, after, grown = growth(samples)
        measured.append(f"{name}: {before:.1f} → {after:.1f} MiB ({grown:+.1%})")
        if grown > GROWTH_ALLOWED and name != "Redis":
            memory.breaches.append(f"{name} grew from {before:.1f} to {after:.1f} MiB ({grown:+.1%})")
    memory.measured = "; ".join(measured)
    errors = Promise("No error in any log")
    lines: dict[str, int] = outcome.facts["error_lines"]
    errors.breaches = [f"{name}: {count} lines" for name, count in lines.items() if count]
    errors.measured = f"{sum(lines.values())} lines of level error"
    outcome.promises += [memory, errors]
    outcome.facts["resident_kib"] = dict(memory_samples.kib)
    return outcome
