"""Schemathesis and `python -m tools.attacks` against the scaled-out set-up: each request goes to the next server."""

from __future__ import annotations

import base64
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from sqlalchemy import select, update

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import calls
from letstalk.core.errors import Unavailable
from letstalk.db.crypto import Vault
from letstalk.verifications.repository import verifications
from tests.support.apps import TurnableClock, make_app
from tests.support.described import MUST_MEET, SEED, judge
from tests.support.seeded_app import LIMITS, OWNER, LivedIn
from tools.reliability.chaos import Outcome, drain, error_lines
from tools.reliability.fleets import PASSWORD, ROOT, Fleet, keep_logs, temporary_fleet
from tools.reliability.reports import say
from tools.reliability.verdicts import Promise

CASES = 170  # for each operation, or all if it has fewer
TELNYX_SPEED = 50.0
FULL_QUEUE_SECONDS = 60.0
CALL_SECONDS = 60.0
ATTACK_SECONDS = 1200.0
# The set-up gives these only if no worker runs or nobody takes calls from the queue.
NOT_FORCED = {503}


class FleetData(LivedIn):
    """The data for the cases is made in the servers' database, and the servers' workers carry it out."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self._bases = itertools.cycle(fleet.bases)
        vault = Vault((fleet.environment["ENCRYPTION_KEYS"],))
        # This application serves nothing. Its services write rows, which the servers then find.
        clock, quiet = TurnableClock(), {**fleet.environment, "LOG_LEVEL": "WARNING"}
        super().__init__(make_app(folder, clock, **quiet), clock, vault, fleet.telnyx.webhook_key)
        self._http = _Signing(self.signature)

    def ask(self, case: Case[Any], headers: dict[str, str]) -> schemathesis.Response:
        """The response of the next server."""
        return case.call(base_url=next(self._bases), session=self._http, headers=headers)

    def close(self) -> None:
        self._http.close()
        self.app.extensions["letstalk_background_work"].close()

    def start_verification(self) -> tuple[str, str]:
        deadline = time.monotonic() + FULL_QUEUE_SECONDS
        while True:
            try:
                return super().start_verification()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                self._cancel_what_waits()

    def _cancel_what_waits(self) -> None:
        waiting = select(calls.c.subject_id).where(calls.c.status == CallStatus.QUEUED.value)
        pending = verifications.c.status == "pending"
        with self._db.read() as connection:
            found = connection.execute(
                select(verifications.c.verification_id).where(verifications.c.verification_id.in_(waiting), pending)
            ).scalars()
            ids = list(found)
        for verification_id in ids:
            # One that has just expired, or belongs to another owner, ends without us.
            try:
                self.services.verifications.cancel_verification(OWNER, verification_id)
            except Exception as error:
                say(f"  not canceled: {error!r}")

    def _pass_time(self, operation: str) -> None:
        """Nothing to do: time passes, and workers run."""

    def _end_waiting_calls(self) -> None:
        """Nothing to do: the workers do it."""

    def _end_call_of(self, verification_id: str) -> None:
        """Wait until its call has ended, which takes a moment."""
        deadline = time.monotonic() + CALL_SECONDS
        ended = select(calls.c.ended_at).where(calls.c.subject_id == verification_id)
        while True:
            with self._db.read() as connection:
                if connection.execute(ended).scalar_one() is not None:
                    return
            assert time.monotonic() < deadline, f"the call of {verification_id} does not end"
            time.sleep(0.05)

    def _for_replay_otp(self, case: Any) -> None:
        super()._for_replay_otp(case)
        if self._count % 13 == 0:
            case.headers["Idempotency-Key"] = "the same for other bodies"

    def _let_age(self, verification_id: str, seconds: float) -> None:
        passed = timedelta(seconds=seconds)
        columns = [verifications.c.created_at, verifications.c.last_spoken_for_at, verifications.c.expires_at]
        this_one = verifications.c.verification_id == verification_id
        with self._db.write() as connection:
            row = connection.execute(select(*columns).where(this_one)).one()
            earlier = {column.name: value - passed for column, value in zip(columns, row, strict=True)}
            connection.execute(update(verifications).where(this_one).values(earlier))


class _Signing(requests.Session):
    """Signs requests with the header X-Sign as Telnyx would. Only here are their final bytes known."""

    def __init__(self, signature: Callable[[bytes], dict[str, str]]) -> None:
        super().__init__()
        self._signature = signature
        self.headers.clear()
        self.trust_env = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if request.headers.pop("X-Sign", None):
            body = request.body or b""
            assert isinstance(body, (str, bytes))
            request.headers.update(self._signature(body.encode() if isinstance(body, str) else body))
        return super().send(request, **options)


def check_described(fleet: Fleet, folder: Path, cases: int = CASES) -> list[Promise]:
    """Send `cases` generated requests to each operation, or all if it has fewer, and check every response."""
    lived_in = FleetData(fleet, folder)
    document = httpx.get(f"{fleet.bases[0]}/openapi.json", timeout=20).json()
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config(seed=SEED))
    described = Promise("Every response is documented: no 5xx except the documented 503s")
    met = Promise("Every kind of response occurs")
    found: Counter[int] = Counter()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        statuses = _play(operation, name, lived_in, cases, described)
        found += statuses
        missing = MUST_MEET[name][1] - NOT_FORCED - set(statuses)
        met.breaches += [f"{name} never responded {sorted(missing)}"] if missing and cases >= CASES else []
    lived_in.close()
    described.measured = (
        f"{found.total()} requests to {len(fleet.bases)} servers in turn, of {len(MUST_MEET)} operations"
    )
    met.measured = ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
    return [described, met]


def _play(
    operation: APIOperation[Any, Any, Any, Any], name: str, lived_in: FleetData, cases: int, promise: Promise
) -> Counter[int]:
    statuses: Counter[int] = Counter()

    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case[Any]) -> None:
        headers = lived_in.headers_for(name)
        means_to_be_right = lived_in.prepare(name, case)
        answer = lived_in.ask(case, headers)
        statuses[answer.status_code] += 1
        try:
            judge(name, case, answer, headers, means_to_be_right=means_to_be_right)
        except FailureGroup as failures:  # record it and go on with the next case
            promise.breaches.append(f"{name}: {str(failures)[:600]}")

    ask()
    return statuses


def run_schemathesis(cases: int, logs: Path | None) -> Outcome:
    with temporary_fleet(telnyx={"speed": TELNYX_SPEED}, **LIMITS) as fleet:
        started = time.monotonic()
        promises = check_described(fleet, fleet.folder, cases)
        promises[0].measured += f", in {time.monotonic() - started:.0f} s"
        promises += [drain(fleet), no_error_is_logged(fleet), telnyx_understood(fleet)]
        if logs is not None:
            keep_logs(fleet, logs)
    return Outcome(promises)


def no_error_is_logged(fleet: Fleet) -> Promise:
    lines = error_lines(fleet)
    breaches = [f"{name}: {count} lines" for name, count in lines.items() if count]
    return Promise("No error in any log", f"{sum(lines.values())} lines of level error", breaches)


def telnyx_understood(fleet: Fleet) -> Promise:
    state = fleet.telnyx.state()
    promise = Promise("Telnyx understood every command", f"{len(state['calls'])} calls", list(state["violations"]))
    if state["max_live"] > fleet.channels or state["max_live_per_phone"] > 1:
        promise.breaches.append(f"{state['max_live']} were live, {state['max_live_per_phone']} to one phone")
    return promise


def check_attacks(fleet: Fleet, families: Sequence[str] = (), *, thorough: bool = False) -> tuple[Promise, str]:
    """Run the attacks of `families`, or all. Returns the promise and the table that they print."""
    promise = Promise(f"The attacks find nothing on {len(fleet.bases)} servers")
    seed = base64.b64encode(fleet.telnyx.webhook_key.private_bytes_raw()).decode()
    first, *others = fleet.bases
    command = [
        sys.executable,
        "-m",
        "tools.attacks",
        "--base",
        first,
        "--others",
        *others,
        "--token",
        fleet.admin_token(),
    ]
    command += ["--password", PASSWORD, "--webhook-seed", seed, "--seconds", str(ATTACK_SECONDS)]
    command += ["--only", *families] if families else []
    command += ["--thorough"] if thorough else []
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ATTACK_SECONDS + 300)
    lines = played.stdout.splitlines()
    promise.measured = lines[-1] if lines else ""
    promise.breaches = [line for line in lines[:-1] if line.endswith(("FOUND", "BROKE"))]
    if played.returncode and not promise.breaches:
        promise.breaches.append(f"it exited with {played.returncode}: {played.stderr[-500:]}")
    if fleet.admin_token() in played.stdout:
        promise.breaches.append("the output contains the token")
    return promise, played.stdout


def run_attacks(thorough: bool, logs: Path | None) -> Outcome:
    with temporary_fleet(telnyx={"speed": TELNYX_SPEED}, **LIMITS) as fleet:
        promise, table = check_attacks(fleet, thorough=thorough)
        say(table)
        promises = [promise, drain(fleet), no_error_is_logged(fleet)]
        if logs is not None:
            keep_logs(fleet, logs)
    return Outcome(promises)
