"""How soon the service answers after `python app.py`, and how much memory it takes under load."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.benchmarks.contestants import installed, journey
from tools.benchmarks.figures import Spread
from tools.benchmarks.installations import Installation, phones
from tools.benchmarks.loads import CONNECTIONS, parse_answer, request, run_closed
from tools.benchmarks.machines import SERVER_CORE, on_cores, peak_memory_mib
from tools.benchmarks.plans import Plan
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import ROOT, new_folder, serving_ours
from tools.benchmarks.timed_telnyx import TimedTelnyx
from tools.reliability.programs import Program, free_port

START_GOAL_SECONDS = 1.5
MEMORY_GOAL_MIB = 100.0
PATIENCE_SECONDS = 30.0


def measure_footprint(plan: Plan) -> Section:
    with new_folder() as folder, TimedTelnyx() as telnyx:
        first, again, with_telnyx = [], [], []
        for number in range(plan.starts):
            with _installed_in(folder, f"simulator-{number}") as installation:
                again.append(_seconds_to_answer(installation))
                first.append(_seconds_to_answer(installation, DATABASE_URL=f"sqlite:///{folder}/new-{number}.db"))
            with _installed_in(folder, f"telnyx-{number}", **telnyx.environment) as installation:
                with_telnyx.append(_seconds_to_answer(installation))
        memory_mib = _peak_with_simulator(folder, plan)
    section = Section(
        "Start and memory",
        "From `python app.py` on the server's core to the first answer of `GET /health`: on a new database, whose "
        "tables it makes, and on one that is there. Memory is the peak of one process after journeys over "
        f"{CONNECTIONS} connections; that with Telnyx's SDK in use was measured on the way to the phone.",
        ("", "measured"),
    )
    for name, seconds in (
        ("start, new database", first),
        ("start, simulator", again),
        ("start, Telnyx", with_telnyx),
    ):
        spread = Spread.of(seconds)
        section.rows.append((name, f"{spread.show()} s"))
        goal = f"{name}: ready to answer within {START_GOAL_SECONDS:g} s"
        section.goals.append(Goal(goal, f"{spread.show()} s", spread.median <= START_GOAL_SECONDS))
    section.rows.append(("peak memory, simulator", f"{memory_mib:.0f} MiB"))
    goal = f"peak memory under {MEMORY_GOAL_MIB:g} MB with the simulator"
    section.goals.append(Goal(goal, f"{memory_mib:.0f} MiB", memory_mib < MEMORY_GOAL_MIB))
    return section


@contextmanager
def _installed_in(folder: Path, name: str, **settings: str) -> Iterator[Installation]:
    own = folder / name
    own.mkdir()
    with installed(own, **settings) as installation:
        yield installation


def _seconds_to_answer(installation: Installation, **settings: str) -> float:
    port = free_port()
    own = {"PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    environment = {**installation.environment, **own, **settings}
    log_path = installation.folder / "start.log"
    program = Program("start", [sys.executable, "app.py"], log_path, lambda: _answers(port), environment, ROOT)
    started = time.perf_counter()
    with on_cores(SERVER_CORE):
        program.launch()
    try:
        while not _answers(port):
            if not program.is_running or time.perf_counter() - started > PATIENCE_SECONDS:
                raise RuntimeError(program.log()[-2000:])
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        program.stop()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request("GET", "/health"))
            answer = parse_answer(connection.recv(65536))
            return answer is not None and answer.status == 200
    except OSError:
        return False


def _peak_with_simulator(folder: Path, plan: Plan) -> float:
    with _installed_in(folder, "memory") as installation, serving_ours(installation) as (ports, programs):
        numbers = phones("77")
        talks = [journey(installation, numbers) for _ in range(CONNECTIONS)]
        run_closed(ports, talks, 0.0, 2 * plan.pace_seconds)
        return peak_memory_mib(programs[0].pid)
