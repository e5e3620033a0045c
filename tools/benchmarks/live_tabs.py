"""How much fifty open tabs of the dashboard take from `POST /calls/verify`, in one run.

`python -m tools.benchmarks.live_tabs [--tabs 50] [--rounds 5]` checks codes over kept-alive connections, in turns with
and without the tabs, each of which asks for the list as its script does: when the server says so. Prints the median of
both and their ratio, and fails where the tabs take more than `MOST_LOST`.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from statistics import median

import httpx

from letstalk.http.live import LATEST_SECONDS
from tools.benchmarks.dashboard import LIST, signed_in
from tools.benchmarks.installations import Installation, installed, phones
from tools.benchmarks.rows import Prepared
from tools.benchmarks.servers import new_folder, serving_installation

MOST_LOST = 0.10
ROUND_SECONDS = 12.0
CHECKERS = 8
CODES_OF_A_ROUND = 20_000


class Tabs:
    """Open tabs, each a thread that waits as long as the server says."""

    def __init__(self, base: str, cookies: httpx.Cookies, count: int) -> None:
        self._base, self._cookies = base, cookies
        self._closed = threading.Event()
        self.answers: list[int] = []
        self._threads = [threading.Thread(target=self._ask, args=(f"tab-{number}",)) for number in range(count)]

    def open(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, tab: str) -> None:
        headers = {"X-Tab": tab}
        with httpx.Client(base_url=self._base, cookies=self._cookies, timeout=30) as client:
            # People open their tabs one after the other: all at once, they would ask together from then on.
            self._closed.wait(random.uniform(0, LATEST_SECONDS))  # noqa: S311  # spreads load, hides nothing
            while not self._closed.is_set():
                response = client.get(f"{LIST}/live", headers=headers)
                self.answers.append(response.status_code)
                if response.status_code not in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
                    return
                headers["If-None-Match"] = response.headers["ETag"]
                self._closed.wait(int(response.headers["Retry-After"]))


def count_checks(base: str, token: str, codes: list[Prepared]) -> float:
    """Codes that were checked in a second."""
    ends_at = time.monotonic() + ROUND_SECONDS
    lock, checked = threading.Lock(), 0

    def check() -> None:
        nonlocal checked
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
            while time.monotonic() < ends_at:
                one = codes.pop()
                body = {"verification_id": one.verification_id, "code": one.code}
                if client.post("/calls/verify", json=body).status_code != httpx.codes.OK:
                    raise SystemExit("a right code was refused")
                with lock:
                    checked += 1

    threads = [threading.Thread(target=check) for _ in range(CHECKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return checked / ROUND_SECONDS


def run(installation: Installation, tabs: int, rounds: int) -> bool:
    """Print both medians. Returns whether the tabs took little enough."""
    numbers = phones("77")
    with serving_installation(installation) as (port, _):
        base = f"http://127.0.0.1:{port}"
        with signed_in(installation, port) as browser:
            cookies = browser.cookies
        without: list[float] = []
        beside: list[float] = []
        answers: list[int] = []
        for number in range(2 * rounds):
            codes = installation.rows.store_pending(numbers, CODES_OF_A_ROUND)
            opened = Tabs(base, cookies, tabs if number % 2 else 0)
            opened.open()
            if number % 2:
                time.sleep(
                    2 * LATEST_SECONDS
                )  # until each has asked twice: from then on they ask as often as they ever do
            opened.answers.clear()
            (beside if number % 2 else without).append(count_checks(base, installation.token, codes))
            answers += opened.answers
            opened.close()
    ratio = median(beside) / median(without)
    asked = len(answers) / (rounds * ROUND_SECONDS)
    print(f"{median(without):.0f} checks a second without tabs, {median(beside):.0f} beside {tabs} tabs: {ratio:.3f}")
    print(
        f"the tabs asked {asked:.1f} times a second; {answers.count(httpx.codes.NOT_MODIFIED)} of {len(answers)}: 304"
    )
    return ratio >= 1 - MOST_LOST


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with new_folder() as folder, installed(folder) as installation:
        return 0 if run(installation, chosen.tabs, chosen.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
