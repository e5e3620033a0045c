"""Coroutines of tests, and what runs some itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_in_own_thread(call: Callable[[], Result]) -> Result:
    """What `call` returns, in a thread of its own: in that of the tests, Playwright may run an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def run_coroutine(make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """What the coroutine returns that `make` makes."""
    return run_in_own_thread(lambda: asyncio.run(make()))
