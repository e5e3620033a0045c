"""Servers that stand to be measured, each alone on the server's core."""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tools.benchmarks.installations import Installation
from tools.benchmarks.loads import CONNECTIONS, Talk, expect, request
from tools.benchmarks.machines import SERVER_CORE, on_cores
from tools.reliability.programs import Program, free_port

ROOT = Path(__file__).parents[2]
LOG_CHARACTERS = 6_000


@dataclass(slots=True)
class Contender:
    """What stands to be measured: where it listens, who talks to it, and whose processor time counts.

    `beside` are programs that it needs and that run on the load's core. `warm_up_seconds` is for those that need more
    than the plan gives to reach their speed, `most_turns` for those that a pause leads to answer otherwise, and
    `most_seconds` for those that refuse more than they can do later.
    """

    ports: Sequence[int]
    talks: Callable[[], list[Talk]]
    servers: Sequence[Program]
    beside: dict[str, Program] = field(default_factory=dict)
    warm_up_seconds: float = 0.0
    most_turns: int = sys.maxsize
    most_seconds: float = math.inf


# Gets a new folder, and the most requests that will be asked.
Opening = Callable[[Path, int], AbstractContextManager[Contender]]


@contextmanager
def new_folder() -> Iterator[Path]:
    """An empty folder, gone with all that is in it at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="letstalk-bench-") as folder:
        yield Path(folder)


@contextmanager
def serving(
    name: str,
    command: list[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    core: int = SERVER_CORE,
) -> Iterator[Program]:
    """`command`, on one core, from when it answers at `port` to the end of the block."""
    program = Program(name, command, folder / f"{name}.log", lambda: _answers(port), environment or {}, ROOT)
    with on_cores(core):
        program.launch()
    try:
        program.wait_until_ready()
        yield program
    except Exception as error:
        error.add_note(f"{name} wrote last: {program.log()[-LOG_CHARACTERS:]}")
        raise
    finally:
        program.stop()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def bare_flask(folder: Path, _requests: int = 0) -> Iterator[Contender]:
    """What everything is measured against."""
    port = free_port()
    with serving("hello", [sys.executable, "-m", "tools.benchmarks.hello", str(port)], port, folder) as program:
        yield Contender([port], greet_forever, [program])


def greet_forever() -> list[Talk]:
    def talk() -> Talk:
        one = request("GET", "/")
        while True:
            expect(200, (yield one))

    return [talk() for _ in range(CONNECTIONS)]


def paused(contender: Contender) -> AbstractContextManager[None]:
    """Its servers are stopped where they stand, and go on at the end of the block, or they could not end."""
    return _told(contender, signal.SIGSTOP, signal.SIGCONT)


def going_on(contender: Contender) -> AbstractContextManager[None]:
    """The paused servers go on until the end of the block."""
    return _told(contender, signal.SIGCONT, signal.SIGSTOP)


@contextmanager
def _told(contender: Contender, at_first: signal.Signals, at_last: signal.Signals) -> Iterator[None]:
    _tell(contender, at_first)
    try:
        yield
    finally:
        _tell(contender, at_last)


def _tell(contender: Contender, what: signal.Signals) -> None:
    for program in contender.servers:
        os.killpg(program.pid, what)  # those that it has started too


@contextmanager
def serving_ours(installation: Installation, *cores: int) -> Iterator[tuple[list[int], list[Program]]]:
    """The ports and programs of one `python app.py` on each of `cores`, by default one on the server's."""
    ports, programs = [], []
    with ExitStack() as stack:
        for core in cores or (SERVER_CORE,):
            port = free_port()
            environment = {**installation.environment, "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
            command = [sys.executable, "app.py"]
            name = f"letstalk-{port}"
            programs.append(stack.enter_context(serving(name, command, port, installation.folder, environment, core)))
            ports.append(port)
        yield ports, programs
