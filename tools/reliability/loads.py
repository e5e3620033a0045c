"""The load: when journeys begin, and how many run at a time."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from tools.reliability.clients import Client
from tools.reliability.heard_codes import HeardCodes
from tools.reliability.journeys import Asked, Journey, Kind

WEIGHTS = {
    Kind.SIMPLE: 42,
    Kind.WRONG_FIRST: 12,
    Kind.AT_ONCE: 10,
    Kind.REPLAY: 8,
    Kind.CANCEL: 8,
    Kind.GUESS: 6,
    Kind.ABANDON: 4,
    Kind.AGAIN: 4,
    Kind.UNANSWERED: 6,
}
ENDINGS = ("9901", "9902", "9903", "9904")


class Load:
    """Starts `per_second` journeys a second, at most `at_most` at a time, until told to stop."""

    def __init__(
        self,
        clients: dict[str, Client],
        heard_codes: HeardCodes,
        *,
        per_second: float,
        kinds: tuple[Kind, ...] = tuple(Kind),
        at_most: int = 80,
    ) -> None:
        self._clients = clients
        self._heard_codes = heard_codes
        self._per_second = per_second
        self._kinds = kinds
        self._weights = [WEIGHTS[kind] for kind in kinds]
        self._pool = ThreadPoolExecutor(at_most, thread_name_prefix="person")
        self._free = threading.Semaphore(at_most)
        self._numbers = itertools.count(random.randrange(1000) * 1000)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.asked: list[Asked] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Start no more journeys, and wait for those that have begun."""
        self._stopped.set()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        while not self._stopped.wait(random.expovariate(self._per_second)):
            if self._free.acquire(blocking=False):
                self._pool.submit(self._go)

    def _go(self) -> None:
        kind = random.choices(self._kinds, self._weights)[0]
        owner = random.choice(list(self._clients))
        journey = Journey(self._clients[owner], self._heard_codes, self.asked, owner, self._phone(kind), kind)
        try:
            journey.go()
        except Exception as error:  # record it and go on
            journey.current.problems.append(f"the journey itself failed: {error!r}")
        finally:
            self._free.release()

    def _phone(self, kind: Kind) -> str:
        number = next(self._numbers)
        if kind is Kind.UNANSWERED:
            return f"+25677{number % 1000:03}{random.choice(ENDINGS)}"
        # None of the endings that the stand-in treats in a special way.
        return f"+25670{number // 9000 % 1000:03}{number % 9000:04}"
