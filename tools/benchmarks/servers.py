"""The servers that are measured, each alone on the server's core."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tools.benchmarks.installations import ROOT, Installation
from tools.benchmarks.loads import CONNECTIONS, Exchange, expect, request
from tools.benchmarks.machines import SERVER_CORE, on_core
from tools.reliability.programs import Program, free_port

LOG_CHARACTERS = 6_000


def _do_nothing() -> None:
    pass


@dataclass(slots=True)
class Contestant:
    """A server that can be measured: its port, who sends requests to it, and whose processor time counts.

    `beside` are programs that it needs and that run on the load's core. `warm_up_seconds` is for those that need more
    time than the plan gives. `most_turns` is for those that can be asked only once. `before_turn` is called before
    each turn while the server runs and nobody sends a request.
    """

    port: int
    make_exchanges: Callable[[], list[Exchange]]
    server: Program
    beside: dict[str, Program] = field(default_factory=dict)
    warm_up_seconds: float = 0.0
    most_turns: int = sys.maxsize
    before_turn: Callable[[], None] = _do_nothing


# Is given an empty folder and the most requests that will be sent.
OpenContestant = Callable[[Path, int], AbstractContextManager[Contestant]]


@contextmanager
def new_folder() -> Iterator[Path]:
    """An empty folder, deleted at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="letstalk-bench-") as folder:
        yield Path(folder)


@contextmanager
def serving(
    name: str,
    command: list[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    tree: Path = ROOT,
) -> Iterator[Program]:
    """`command`, run in `tree` on the server's core, from its first response at `port` to the end of the block."""
    program = Program(name, command, folder / f"{name}.log", lambda: _responds(port), environment or {}, tree)
    with on_core(SERVER_CORE):
        program.launch()
    try:
        program.wait_until_ready()
        yield program
    except Exception as error:
        error.add_note(f"the last lines of {name}: {program.log()[-LOG_CHARACTERS:]}")
        raise
    finally:
        program.stop()


def _responds(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def serving_installation(installation: Installation) -> Iterator[tuple[int, Program]]:
    """The port and the program of one `python app.py`."""
    port = free_port()
    environment = {**installation.environment, "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    command = [sys.executable, "app.py"]
    with serving("letstalk", command, port, installation.folder, environment, installation.tree) as program:
        yield port, program


@contextmanager
def bare_flask(folder: Path) -> Iterator[Contestant]:
    """The server that all others are compared with."""
    port = free_port()
    command = [sys.executable, "-m", "tools.benchmarks.bare_flask", str(port)]
    with serving("bare-flask", command, port, folder) as program:
        yield Contestant(port, _get_forever, program)


def _get_forever() -> list[Exchange]:
    def exchange() -> Exchange:
        one = request("GET", "/")
        while True:
            expect(200, (yield one))

    return [exchange() for _ in range(CONNECTIONS)]


def paused(contestant: Contestant) -> AbstractContextManager[None]:
    """The server is stopped (SIGSTOP), and continues at the end of the block, because otherwise it could not exit."""
    return _signaled(contestant, signal.SIGSTOP, signal.SIGCONT)


def continued(contestant: Contestant) -> AbstractContextManager[None]:
    """The paused server runs until the end of the block."""
    return _signaled(contestant, signal.SIGCONT, signal.SIGSTOP)


@contextmanager
def _signaled(contestant: Contestant, at_first: signal.Signals, at_last: signal.Signals) -> Iterator[None]:
    group = contestant.server.pid  # the program and those that it has started
    os.killpg(group, at_first)
    try:
        yield
    finally:
        os.killpg(group, at_last)
