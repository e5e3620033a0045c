"""Compare the speed of two checkouts: `python -m tools.benchmarks.before_and_after OLD_TREE [NEW_TREE]`.

Each tree's `python app.py` gets the same requests, on SQLite, and the two servers take short turns on one core. The
ratios are the new tree's results divided by the old tree's: above 1 means that the new tree is faster.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from tools.benchmarks.contestants import send, verify
from tools.benchmarks.contests import Contest, Results, run_contests
from tools.benchmarks.installations import ROOT
from tools.benchmarks.machines import LOAD_CORE
from tools.benchmarks.plans import FULL
from tools.benchmarks.servers import Contestant

ROUNDS = 5


class OpenInTree(Protocol):
    def __call__(self, folder: Path, requests: int, /, *, tree: Path) -> AbstractContextManager[Contestant]: ...


REQUESTS: dict[str, OpenInTree] = {"verify": verify, "send": send}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.before_and_after")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=FULL.contestant_seconds, help="for each tree in each round")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    plan = replace(FULL, rounds=given.rounds, contestant_seconds=given.seconds)
    print(
        "\n".join(compare_trees(given.old.resolve(), given.new.resolve(), partial(run_contests, plan=plan, say=print)))
    )


def compare_trees(old: Path, new: Path, run: Callable[[Sequence[Contest]], Results]) -> list[str]:
    """A line for each kind of request, with the ratios of new to old."""
    contests: list[Contest] = [
        {f"{name}, old": partial(open_one, tree=old), f"{name}, new": partial(open_one, tree=new)}
        for name, open_one in REQUESTS.items()
    ]
    results = run(contests)
    lines = []
    for name in REQUESTS:
        pair = f"{name}, new", f"{name}, old"
        by_cpu = results.ratio_between(*pair, lambda one: one.cpu_share)
        lines.append(f"{name}: new ÷ old {results.ratio_between(*pair).show()}, by processor time {by_cpu.show()}")
    return lines


if __name__ == "__main__":
    main()
