"""Several server processes on one port: the supervisor opens the socket, starts them, and restarts those that die.

Python's interpreter lock keeps a process on one core; this is how one machine uses more of them.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from letstalk.observability.logs import get_logger

log = get_logger(__name__)

STOP_SECONDS = 9.0  # its processes need 8 at most
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.1
LISTEN_FD_OPTION = "--listen-fd"


class Supervisor:
    def __init__(self, entry: Path, listener: socket.socket, count: int) -> None:
        """`entry` is the program of each of `count` processes, which serve what `listener` accepts."""
        self._entry = entry
        self._listener = listener
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._is_stopping = False

    def run(self) -> None:
        """Keep the processes running until SIGTERM or Ctrl-C, then stop them within `STOP_SECONDS`."""
        signal.signal(signal.SIGTERM, self._note_stop)
        signal.signal(signal.SIGINT, self._note_stop)
        # The Prometheus clients write here, so that each process can report the metrics of all.
        with tempfile.TemporaryDirectory(prefix="letstalk-metrics-") as metrics_folder:
            self._processes = [self._start(metrics_folder) for _ in range(self._count)]
            while not self._is_stopping:
                time.sleep(POLL_SECONDS)
                self._replace_dead(metrics_folder)
            # The last one to close the socket ends it: a connection that nobody accepts must not be completed here.
            self._listener.close()
            self._stop_all()

    def _start(self, metrics_folder: str) -> subprocess.Popen[bytes]:
        fd = self._listener.fileno()
        # `env` adds a variable to the environment: only `settings.py` may read that in Python.
        return subprocess.Popen(  # noqa: S603  # our own program, no shell
            [
                "/usr/bin/env",
                f"PROMETHEUS_MULTIPROC_DIR={metrics_folder}",
                sys.executable,
                str(self._entry),
                LISTEN_FD_OPTION,
                str(fd),
            ],
            pass_fds=[fd],
        )

    def _replace_dead(self, metrics_folder: str) -> None:
        for index, process in enumerate(self._processes):
            if process.poll() is not None and not self._is_stopping:
                log.error("server_process_died", pid=process.pid, returncode=process.returncode)
                time.sleep(RESTART_SECONDS)
                self._processes[index] = self._start(metrics_folder)

    def _stop_all(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def _note_stop(self, *_: Any) -> None:
        self._is_stopping = True
