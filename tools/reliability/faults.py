"""Each fault by itself: what is promised while it lasts, and what was measured."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.reliability import clock_faults, kill_faults, restart_faults, storage_faults, telephony_faults
from tools.reliability.chaos import Outcome
from tools.reliability.reports import say
from tools.reliability.verdicts import Promise

Fault = tuple[str, Callable[[Path, Promise], None]]

FAULTS: dict[str, Fault] = {
    **kill_faults.FAULTS,
    **telephony_faults.FAULTS,
    **storage_faults.FAULTS,
    **clock_faults.FAULTS,
    **restart_faults.FAULTS,
}


def run_fault(name: str, folder: Path) -> Promise:
    """Cause the fault and return its promise. `folder` keeps the logs."""
    sentence, run = FAULTS[name]
    promise = Promise(f"{name}: {sentence}")
    try:
        run(folder, promise)
    except Exception as error:  # a fault that cannot be measured is a breach, and the next one is still run
        promise.breaches.append(f"it could not be measured: {error!r}"[:500])
    return promise


def run_faults(names: list[str], logs: Path | None) -> Outcome:
    """The promises of the faults in `names`, or of all. Raises SystemExit for an unknown name."""
    unknown = set(names) - set(FAULTS)
    if unknown:
        raise SystemExit(f"Unknown faults: {', '.join(sorted(unknown))}. Known faults: {', '.join(FAULTS)}.")
    promises = []
    for name in names or list(FAULTS):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="letstalk-reliability-") as temporary:
            folder = Path(temporary) if logs is None else logs / name
            if logs is not None:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            promise = run_fault(name, folder)
        promises.append(promise)
        say(f"  {'kept' if promise.is_kept else 'BROKEN':<6}  {name} ({time.monotonic() - started:.0f} s)")
    return Outcome(promises)
