"""Growth: the same requests with few and with many verifications and tokens stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tools.benchmarks.contestants import SENDS_TURNS, WAITING_CALLS, installed, sending, shared, verifying
from tools.benchmarks.contests import Results
from tools.benchmarks.histories import store_history
from tools.benchmarks.installations import Installation, phones
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import Contender, Opening, serving_ours

GOAL_SHARE = 0.9
# An installation with a past, and phones to call on it.
Past = tuple[Installation, Iterator[str]]
OpenPast = Callable[[Path], AbstractContextManager[Past]]
SENDS, CHECKS = ("send, few rows", "send, many rows"), ("verify, few rows", "verify, many rows")


class Histories:
    """A small database for each measurement, and a large one for all of them: it takes minutes to fill."""

    def __init__(self, folder: Path, plan: Plan, stack: ExitStack) -> None:
        self._plan = plan
        self._folder = folder
        self._stack = stack
        self._large: Installation | None = None
        self._numbers = phones("77")  # each is called once only: on the large one earlier rounds are remembered

    def openings(self) -> dict[str, Opening]:
        return {
            SENDS[0]: partial(_send, self._few),
            SENDS[1]: partial(_send, self._many),
            CHECKS[0]: partial(_verify, self._few),
            CHECKS[1]: partial(_verify, self._many),
        }

    @contextmanager
    def _few(self, folder: Path) -> Iterator[Past]:
        with installed(folder) as installation:
            store_history(installation, phones("77"), self._plan.few_rows, self._plan.few_rows // 10)
            yield installation, phones("77")

    @contextmanager
    def _many(self, _folder: Path) -> Iterator[Past]:
        if self._large is None:
            self._large = self._stack.enter_context(installed(self._folder))
            store_history(self._large, phones("77"), self._plan.many_rows, self._plan.tokens)
        yield self._large, self._numbers
        self._large.end_everything()


@contextmanager
def _send(open_past: OpenPast, folder: Path, _requests: int) -> Iterator[Contender]:
    with open_past(folder) as (installation, numbers), serving_ours(installation) as (ports, programs):
        yield Contender(ports, partial(shared, sending(installation, numbers), 202), programs, most_turns=SENDS_TURNS)


@contextmanager
def _verify(open_past: OpenPast, folder: Path, requests: int) -> Iterator[Contender]:
    with open_past(folder) as (installation, numbers):
        prepared = installation.await_codes(numbers, requests)
        installation.queue_calls(numbers, WAITING_CALLS)
        with serving_ours(installation) as (ports, programs):
            yield Contender(ports, partial(shared, verifying(installation, prepared), 200), programs)


def compare_growth(results: Results, plan: Plan) -> Section:
    section = Section(
        "Growth",
        f"The same with {plan.few_rows:,} verifications stored and with {plan.many_rows:,}, each with a call and its "
        f"events, {plan.tokens:,} tokens beside the latter.",
        ("", f"{plan.few_rows:,}", f"{plan.many_rows:,}", "many ÷ few", "by processor time"),
    )
    for few, many in (SENDS, CHECKS):
        name = few.split(",")[0]
        between = results.ratio_between(many, few)
        by_cpu = results.ratio_between(many, few, lambda one: one.cpu_ratio)
        shares = results.spread(few).show(), results.spread(many).show()
        section.rows.append((name, *shares, between.show(), by_cpu.show()))
        goal = f"{name} with {plan.many_rows:,} rows at {GOAL_SHARE} or more of that with {plan.few_rows:,}"
        section.goals.append(Goal(goal, between.show(), between.median >= GOAL_SHARE))
    return section
