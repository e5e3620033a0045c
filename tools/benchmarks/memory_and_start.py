"""How soon the service responds after `python app.py`, and how much memory it takes under load."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.benchmarks.call_delays import TimedTelnyx
from tools.benchmarks.contestants import send_and_verify
from tools.benchmarks.figures import Goal, Section, Spread
from tools.benchmarks.installations import Installation, installed, phones
from tools.benchmarks.loads import CONNECTIONS, parse_response, request, run_load
from tools.benchmarks.machines import SERVER_CORE, on_core, peak_memory_mib
from tools.benchmarks.plans import Plan
from tools.benchmarks.servers import new_folder, serving_installation
from tools.reliability.programs import Program, free_port

MOST_START_SECONDS = 1.5
MOST_MEMORY_MIB = 110.0
TIMEOUT_SECONDS = 60.0


def measure_memory_and_start(plan: Plan) -> Section:
    new, existing, with_telnyx = [], [], []
    with new_folder() as folder, TimedTelnyx() as telnyx:
        for number in range(plan.starts):
            with _installed_in(folder, f"simulator-{number}") as installation:
                existing.append(_seconds_to_response(installation))
                new.append(_seconds_to_response(installation, DATABASE_URL=f"sqlite:///{folder}/new-{number}.db"))
            with _installed_in(folder, f"telnyx-{number}", telnyx.environment) as installation:
                with_telnyx.append(_seconds_to_response(installation))
        memory_mib = _peak_with_simulator(folder, plan)
    section = Section(
        "Start and memory",
        "The start is the time from `python app.py`, on the server's core, to the first response to `GET /health`. "
        "Memory is the peak of one process after sends and verifies over "
        f"{CONNECTIONS} connections, with `MALLOC_ARENA_MAX=2` as in `deploy/`. The peak with Telnyx's SDK is measured "
        "together with the delays of calls.",
        ("", "measured"),
    )
    starts = {"new database": new, "existing database": existing, "existing database, Telnyx": with_telnyx}
    for name, seconds in starts.items():
        spread = Spread.of(seconds)
        section.rows.append((f"start, {name}", f"{spread.show()} s"))
        is_met = spread.median <= MOST_START_SECONDS
        section.goals.append(Goal(f"start, {name}", f"{spread.show()} s", f"≤ {MOST_START_SECONDS:g} s", is_met))
    section.rows.append(("peak memory, simulator", f"{memory_mib:.0f} MiB"))
    is_met = memory_mib < MOST_MEMORY_MIB
    section.goals.append(Goal("peak memory, simulator", f"{memory_mib:.0f} MiB", f"< {MOST_MEMORY_MIB:g} MiB", is_met))
    return section


@contextmanager
def _installed_in(folder: Path, name: str, settings: Mapping[str, str] | None = None) -> Iterator[Installation]:
    own = folder / name
    own.mkdir()
    with installed(own, settings) as installation:
        yield installation


def _seconds_to_response(installation: Installation, **settings: str) -> float:
    port = free_port()
    own = {"PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    environment = {**installation.environment, **own, **settings}
    log_path = installation.folder / "start.log"
    command = [sys.executable, "app.py"]
    program = Program("start", command, log_path, lambda: _responds(port), environment, installation.tree)
    started = time.perf_counter()
    with on_core(SERVER_CORE):
        program.launch()
    try:
        while not _responds(port):
            if not program.is_running or time.perf_counter() - started > TIMEOUT_SECONDS:
                raise RuntimeError(program.log()[-2000:])
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        program.stop()


def _responds(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request("GET", "/health"))
            response = parse_response(connection.recv(65536))
            return response is not None and response.status == 200
    except OSError:
        return False


def _peak_with_simulator(folder: Path, plan: Plan) -> float:
    with _installed_in(folder, "memory") as installation, serving_installation(installation) as (port, program):
        numbers = phones("77")
        exchanges = [send_and_verify(installation, numbers) for _ in range(CONNECTIONS)]
        run_load([port], exchanges, 0.0, 2 * plan.contestant_seconds)
        return peak_memory_mib(program.pid)
