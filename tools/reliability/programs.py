"""Programs that are started, killed, stopped and started again, each with its own log file."""

from __future__ import annotations

import os
import pwd
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.surroundings import environment_for_programs

START_SECONDS = 40.0
STOP_SECONDS = 15.0
# Our own lines have no space after a colon, those of libraries have one.
_ERROR_LINE = re.compile(r'"level": ?"(?:error|critical)"|Traceback \(most recent')


class DidNotStartError(RuntimeError):
    """The program ended, or was not ready in time."""


@dataclass
class Program:
    """One program. `is_ready` says whether it works; `user` is the user that it runs as, None for the current one.

    `outages` and `stops` are seconds since the epoch. A stop is a SIGTERM, an outage lasts until the program is ready.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str | None = None
    down_since: float | None = None
    outages: list[tuple[float, float]] = field(default_factory=list)  # (from, to)
    stops: list[tuple[float, float]] = field(default_factory=list)  # (from, to)
    unplanned_ends: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it, without waiting for it to be ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=environment_for_programs(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                extra_groups=None if self.user is None else [],
            )

    def wait_until_ready(self, seconds: float = START_SECONDS, giving_up: threading.Event | None = None) -> None:
        """Start it again, as systemd would, if it ends before it is ready. Raises DidNotStartError."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if giving_up is not None and giving_up.is_set():
                return
            if time.monotonic() > deadline:
                raise DidNotStartError(f"{self.name}: {self.log_path.read_text(errors='replace')[-3000:]}")
            if not self.is_running:
                self.unplanned_ends += 1
                time.sleep(0.5)
                self.launch()
            time.sleep(0.05)
        if self.down_since is not None:
            self.outages.append((self.down_since, time.time()))
            self.down_since = None

    def start(self, seconds: float = START_SECONDS) -> None:
        self.launch()
        self.wait_until_ready(seconds)

    def kill(self) -> None:
        """SIGKILL, to it and to all programs that it has started."""
        self.down_since = self.down_since or time.time()
        if self._process is not None:
            for pid in (self._process.pid, *_descendants(self._process.pid)):
                _signal(pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> float:
        """Ask it to stop. Returns how many seconds it took; after `seconds` it is killed."""
        self.down_since = self.down_since or time.time()
        asked_at = time.time()
        started = time.monotonic()
        if self.is_running and self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.stops.append((asked_at, time.time()))
        return time.monotonic() - started

    def was_down(self, since: float, until: float) -> bool:
        """Whether it was down at any moment between the two (seconds since the epoch)."""
        if self.down_since is not None and self.down_since <= until:
            return True
        return any(begin <= until and since <= end for begin, end in self.outages)

    def resident_kib(self) -> int | None:
        """Its resident memory; None while it is not running."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), None)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


def count_error_lines(log: str) -> int:
    """How many lines of level `error` or worse, and tracebacks, there are in a program's log."""
    return len(_ERROR_LINE.findall(log))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _descendants(pid: int) -> list[int]:
    """Found by their parents, because PostgreSQL's backends are not in the process group of the server."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def free_port() -> int:
    """A port that the kernel gives to no outgoing connection, so that it stays free while its server is down."""
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
