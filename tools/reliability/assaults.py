"""`python -m tools.attacks` against the scaled-out set-up: each request to the next server, all of it on one
service."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.seeded_app import LIMITS
from tools.reliability.chaos import Outcome, drain
from tools.reliability.descriptions import TELNYX_SPEED, no_error_is_logged
from tools.reliability.fleets import PASSWORD, ROOT, Fleet, keep_logs, temporary_fleet
from tools.reliability.reports import say
from tools.reliability.verdicts import Promise

PLAY_SECONDS = 1200.0


def nothing_is_found(fleet: Fleet, families: Sequence[str] = (), *, thorough: bool = False) -> tuple[Promise, str]:
    """What became of the attacks (of all families, if none is named), and the table that they print."""
    promise = Promise(f"The attacks find nothing on {len(fleet.bases)} servers")
    seed = base64.b64encode(fleet.telnyx.webhook_key.private_bytes_raw()).decode()
    first, *others = fleet.bases
    command = [sys.executable, "-m", "attacks", "--base", first, "--others", *others, "--token", fleet.admin_token()]
    command += ["--password", PASSWORD, "--webhook-seed", seed, "--seconds", str(PLAY_SECONDS)]
    command += ["--only", *families] if families else []
    command += ["--thorough"] if thorough else []
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PLAY_SECONDS + 300)
    lines = played.stdout.splitlines()
    promise.measured = lines[-1] if lines else ""
    promise.breaches = [line for line in lines[:-1] if line.endswith(("FOUND", "BROKE"))]
    if played.returncode and not promise.breaches:
        promise.breaches.append(f"it ended with {played.returncode}: {played.stderr[-500:]}")
    if fleet.admin_token() in played.stdout:
        promise.breaches.append("the token stands in what it printed")
    return promise, played.stdout


def attack_all(thorough: bool, logs: Path | None) -> Outcome:
    with temporary_fleet(telnyx={"speed": TELNYX_SPEED}, **LIMITS) as fleet:
        promise, table = nothing_is_found(fleet, thorough=thorough)
        say(table)
        promises = [promise, drain(fleet), no_error_is_logged(fleet)]
        if logs is not None:
            keep_logs(fleet, logs)
    return Outcome(promises)
