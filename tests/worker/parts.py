"""A worker whose handlers note what they were called with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import REGISTRY

from letstalk.worker.pool import SharedQueue, Worker

PATIENCE_SECONDS = 20.0


def eventually(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def count(name: str) -> float:
    value = REGISTRY.get_sample_value(f"letstalk_{name}_total")
    assert value is not None
    return value


def _has(items: list[float], wanted: int) -> bool:
    return len(items) >= wanted


def waits_of(worker: Worker, handled_at: list[float]) -> list[float]:
    """Seconds from wake-up to handler, of a hundred wake-ups one after the other, shortest first."""
    waits = []
    for number in range(1, 101):
        woken_at = time.monotonic()
        worker.wake("dial", str(number))
        eventually(partial(_has, handled_at, number))
        waits.append(handled_at[-1] - woken_at)
    return sorted(waits)


class Held:
    """A handler that notes its keys, and each time waits until it may go on."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.keys: list[str] = []
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        if is_open:
            self.may_go_on.set()

    def __call__(self, key: str) -> None:
        self.keys.append(key)
        self.begun.set()
        assert self.may_go_on.wait(PATIENCE_SECONDS)
        if key == "fails":
            raise RuntimeError("a failure on purpose")


def worker_with(handler: Callable[[str], object], *, threads: int = 2, shared: SharedQueue | None = None) -> Worker:
    """A worker that handles "dial" so. It is not started."""
    worker = Worker(threads=threads, shared=shared)
    worker.handle("dial", handler)
    return worker
