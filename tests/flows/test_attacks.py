"""The attacks find nothing in the service, and find the faults of a weak one."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.installations import installed
from tests.flows.weak_services import weak_service
from tests.support.apps import PASSWORD, ROOT
from tools.attacks import FAMILIES
from tools.attacks.targets import Target
from tools.attacks.timing import compare
from tools.attacks.trials import Trial, Verdict, run_attack
from tools.reliability.programs import count_error_lines

# The default values.
PHONE_LIMITS = {
    "RATE_LIMIT_PHONE": "5 per 10 minutes; 10 per day",
    "RATE_LIMIT_PHONE_ALL": "10 per 10 minutes; 30 per day",
    "RATE_LIMIT_TOKEN_CREATION": "off",  # the attacks would wait for it
}


@pytest.fixture(scope="module")
def weak_target() -> Iterator[Target]:
    with weak_service() as base, Target(base, "lt_x", password=PASSWORD) as target:
        yield target


def attack(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.attacks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=200
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("families", "skipped"),
    [
        pytest.param([family for family in FAMILIES if family != "timing"], 1, id="all but timing"),
        pytest.param(["timing"], 0, id="timing", marks=pytest.mark.timing),
    ],
)
def test_the_attacks_find_nothing(tmp_path: Path, families: list[str], skipped: int) -> None:
    with installed(tmp_path, database_url=None, telnyx=None, **PHONE_LIMITS) as service:
        seed = base64.b64encode(service.telnyx.webhook_key.private_bytes_raw()).decode()
        token = service.admin().token
        known = ["--token", token, "--password", PASSWORD, "--webhook-seed", seed]
        played = attack("--base", service.server.base, *known, "--only", *families)
        log = service.server.log()
    assert played.returncode == 0, played.stdout + played.stderr
    # The skipped one waits for time limits.
    assert played.stdout.splitlines()[-1].endswith(f" held, 0 FOUND, 0 BROKE, {skipped} skipped"), played.stdout
    assert token not in played.stdout
    assert [line for line in log.splitlines() if count_error_lines(line)] == []


@pytest.mark.parametrize(
    "family", [pytest.param(family, marks=[pytest.mark.timing] if family == "timing" else []) for family in FAMILIES]
)
def test_each_family_finds_what_is_wrong_with_a_weak_service(family: str, weak_target: Target) -> None:
    deadline = time.monotonic() + 60
    verdicts = (run_attack(family, chosen, weak_target, deadline).verdict for chosen in FAMILIES[family])
    assert Verdict.FOUND in verdicts


def test_what_is_found_is_in_the_table_and_in_the_exit_status() -> None:
    with weak_service() as base:
        played = attack("--base", base, "--token", "lt_x", "--only", "webhooks")
    assert played.returncode == 1
    assert "FOUND" in played.stdout


def test_requests_go_to_each_of_several_servers_in_turn_and_false_hosts_stay_unchanged() -> None:
    with ExitStack() as stack:
        bases = [stack.enter_context(weak_service()) for _ in range(3)]
        target = stack.enter_context(Target(bases[0], "lt_x", others=bases[1:]))
        http = target.client()
        answers = [http.get("/health") for _ in range(6)]
        asked = [str(answer.request.url).removesuffix("/health") for answer in answers]
        assert asked == bases * 2
        assert [answer.request.headers["Host"] for answer in answers] == [
            base.removeprefix("http://") for base in asked
        ]
        assert http.get("/health", headers={"Host": "evil.example"}).request.headers["Host"] == "evil.example"
        assert target.metrics().count('path="/health"') == 3
        with pytest.raises(ValueError, match="loopback"):
            Target(bases[0], "lt_x", others=["http://192.0.2.1:80"])


@pytest.mark.parametrize("base", ["http://192.0.2.1:80", "http://localhost.example:80", "https://127.0.0.1:80", "x"])
def test_only_loopback_is_attacked(base: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Target(base, "lt_x")
    assert "may be attacked" in attack("--base", base, "--token", "lt_x").stderr


def test_a_broken_promise_is_recorded() -> None:
    trial = Trial()
    trial.see("as promised", holds=True)
    assert not trial.is_broken
    trial.see("otherwise", holds=False)
    assert (trial.tries, trial.is_broken, trial.seen) == (2, True, "otherwise")


def test_a_difference_in_time_is_distinguished_from_noise() -> None:
    noise = [0.001 + 0.0002 * ((number * 7919) % 101) / 101 for number in range(200)]
    shifted = noise[1:] + noise[:1]
    assert not compare(noise, shifted).alarms
    assert compare(noise, [seconds + 0.001 for seconds in shifted]).alarms
