"""`make bench BENCH=short`: every part of the benchmark runs, and says so; how fast it was is not asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.benchmarks.__main__ import NOT_IN_SHORT, REPORT
from tools.benchmarks.contestants import OURS
from tools.benchmarks.growth import CHECKS, SENDS
from tools.benchmarks.servers import ROOT
from tools.benchmarks.shared_stores import IN_SHORT, are_at_hand


@pytest.mark.timing
@pytest.mark.timeout(300)
def test_the_short_benchmark_measures_everything_but_the_peers() -> None:
    before = REPORT.read_bytes() if REPORT.exists() else None
    done = subprocess.run(
        [sys.executable, "tools/benchmarks/run.py", "short"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    ours = [name for name in OURS if name not in NOT_IN_SHORT]
    stores = IN_SHORT if are_at_hand() else ()
    for name in ("hello", *ours, *SENDS, *CHECKS, *stores):
        assert any(line.startswith(f"| {name} |") for line in rows), name
    for title in ("Growth", "Evenness", "The way to the phone", "Channels at the limit", "Start and memory"):
        assert f"## {title}\n" in done.stdout
    assert (REPORT.read_bytes() if REPORT.exists() else None) == before  # too short to be reported
