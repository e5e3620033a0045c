"""The machine: its cores, what a program has used of it, and its description in a report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ALL = sorted(os.sched_getaffinity(0))
SERVER_CORE = _ALL[0]
LOAD_CORE = _ALL[-1]  # for everything but the server; the same core if there is only one
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("flask", "waitress", "sqlalchemy", "pydantic", "telnyx", "psycopg", "redis")


@contextmanager
def on_core(wanted: int) -> Iterator[None]:
    """This thread, and the programs that it starts within the block, run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {wanted})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """The processor time of a program and of its descendants that are still running."""
    ticks = 0
    for member in _family(pid):
        try:
            fields = _stat(member)
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def peak_memory_mib(pid: int) -> float:
    """The sum of the peaks of a program and of its descendants."""
    kib = 0
    for member in _family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                kib += int(line.split()[1])
    return kib / 1024


def _family(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(_stat(int(entry.name))[1])
        except OSError:
            continue
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on. The name before it may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def describe() -> list[str]:
    """The machine and the versions, a line each."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory_kib = int(Path("/proc/meminfo").read_text().splitlines()[0].split()[1])
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return [
        f"{model}, {os.cpu_count()} cores, {memory_kib / 1024 / 1024:.1f} GiB, Linux {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}",
    ]
