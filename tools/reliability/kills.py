"""SIGKILL to a server, a worker, PostgreSQL or Redis, at random."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

from tools.reliability.fleets import Fleet
from tools.reliability.programs import DidNotStartError, Program

DOWN_SECONDS = (1.0, 3.0)


class Killer:
    """Kills one program every `every_seconds` and starts it again 1 to 3 s later. Each kind is killed equally often."""

    def __init__(self, fleet: Fleet, *, every_seconds: float) -> None:
        self._fleet = fleet
        self._every_seconds = every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._restarts: list[threading.Thread] = []
        self.kills: Counter[str] = Counter()
        self.failures: list[str] = []
        self.ready_seconds: dict[str, list[float]] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop killing, and wait until everything runs again."""
        self._stopped.set()
        self._thread.join()
        for restart in self._restarts:
            restart.join()

    def _run(self) -> None:
        kinds = self._shuffled()
        while not self._stopped.wait(self._every_seconds):
            if not kinds:
                kinds = self._shuffled()
            victims = [program for program in kinds.pop() if program.is_running and program.down_since is None]
            if not victims:
                continue
            victim = random.choice(victims)
            self.kills[victim.name.split()[0]] += 1
            victim.kill()
            restart = threading.Thread(target=self._restart, args=(victim,), name=f"restart {victim.name}")
            self._restarts.append(restart)
            restart.start()

    def _shuffled(self) -> list[list[Program]]:
        kinds = [self._fleet.servers, self._fleet.workers, [self._fleet.postgresql], [self._fleet.redis]]
        random.shuffle(kinds)
        return kinds

    def _restart(self, program: Program) -> None:
        time.sleep(random.uniform(*DOWN_SECONDS))
        started = time.monotonic()
        program.launch()
        try:
            program.wait_until_ready(60)
        except DidNotStartError as error:
            self.failures.append(str(error))
        else:
            self.ready_seconds.setdefault(program.name.split()[0], []).append(time.monotonic() - started)
