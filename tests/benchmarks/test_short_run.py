"""`make bench BENCH=short`: every part of the benchmark runs. How fast it was is not checked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.benchmarks.__main__ import REPORT
from tools.benchmarks.contestants import OWN, SENDS, VERIFIES, VERIFY_POSTGRESQL, has_postgresql_and_redis
from tools.benchmarks.contests import REFERENCE
from tools.benchmarks.installations import ROOT


@pytest.mark.timing
@pytest.mark.timeout(300)
def test_the_short_benchmark_measures_everything_but_the_peers() -> None:
    before = REPORT.read_bytes() if REPORT.exists() else None
    done = subprocess.run(
        [sys.executable, "tools/benchmarks/run.py", "short"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    postgresql = (VERIFY_POSTGRESQL,) if has_postgresql_and_redis() else ()
    for name in (REFERENCE, *OWN, *SENDS, *VERIFIES, *postgresql):
        assert any(line.startswith(f"| {name} |") for line in rows), name
    for title in ("Goals", "Growth", "Delays of calls", "Channels", "Start and memory"):
        assert f"## {title}\n" in done.stdout
    assert sum(line.endswith(("| met |", "| **missed** |")) for line in rows) >= 12
    assert (REPORT.read_bytes() if REPORT.exists() else None) == before  # too short to be reported
