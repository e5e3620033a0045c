"""Few channels and many calls: each placed once and heard, never too many at a time, whatever breaks meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.installations import Installation, Owner, installed
from tests.support.apps import heard_code
from tests.support.fake_telnyx import holds_code

CHANNELS = 4
# One database for each of the longest: the other has the tests of `quiet_service`, and those of tools/reliability.
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Asked:
    owner: Owner
    phone: str
    verification_id: str


def ask_for_calls(service: Installation, count: int, owners: int = 3, prefix: str = "+256700200") -> list[Asked]:
    """That many phones, asked for at once by several owners."""
    apps = [service.owner(f"owner-{number}") for number in range(owners)]

    def ask(number: int) -> Asked:
        owner, phone = apps[number % owners], f"{prefix}{number:03}"
        return Asked(owner, phone, owner.send(phone))

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def check_each_was_heard_once(service: Installation, asked: list[Asked], seconds: float = 80) -> None:
    """Every call ended well, was placed once and heard, with a code that is right; and all channels are free again."""
    deadline = time.monotonic() + seconds
    for each in asked:
        call = each.owner.ended_call(each.verification_id, max(1.0, deadline - time.monotonic()))
        assert (call["status"], call["reason"]) == ("completed", "The code was read.")
        assert len(each.owner.verification(each.verification_id)["calls"]) == 1

    state = service.telnyx.wait_until(lambda state: state["live"] == 0)
    phones = [each.phone for each in asked]
    calls = [call for call in state["calls"] if call["to"] in phones]
    assert Counter(call["to"] for call in calls) == Counter(phones)
    assert state["max_live_per_phone"] == 1
    # A person who picked up right before a kill may first be asked to press 1: who it is was told to a dead server.
    heard = {call["to"]: [payload for payload in call["heard"] if holds_code(payload)] for call in calls}
    assert [len(payloads) for payloads in heard.values()] == [1] * len(asked)
    codes = {phone: heard_code(payloads[0]) for phone, payloads in heard.items()}
    for each in asked:
        assert each.owner.verify(each.phone, codes[each.phone]).status_code == 200
    assert (service.metric("letstalk_calls_live"), service.metric("letstalk_calls_waiting")) == (0, 0)


def placed(service: Installation, count: int) -> dict[str, Any]:
    return service.telnyx.wait_until(lambda state: len(state["calls"]) >= count)


def kill_and_restart(service: Installation, down_seconds: float) -> None:
    service.server.kill()
    time.sleep(down_seconds)
    service.server.start()


def test_thirty_calls_at_once_share_four_channels(tmp_path: Path, database_url: str) -> None:
    with installed(
        tmp_path, database_url=database_url, telnyx={"speed": 60}, MAX_CONCURRENT_CALLS=str(CHANNELS)
    ) as service:
        asked = ask_for_calls(service, 30)
        check_each_was_heard_once(service, asked)
        assert service.telnyx.state()["max_live"] == CHANNELS


@ON_POSTGRESQL
def test_thirty_calls_survive_a_kill_in_the_middle_and_three_failed_dials(tmp_path: Path, database_url: str) -> None:
    with installed(
        tmp_path, database_url=database_url, telnyx={"speed": 12}, MAX_CONCURRENT_CALLS=str(CHANNELS)
    ) as service:
        service.telnyx.fail_next("dial", "500", count=3)
        asked = ask_for_calls(service, 30)
        placed(service, 11)
        kill_and_restart(service, down_seconds=2.5)
        check_each_was_heard_once(service, asked)
        assert service.telnyx.state()["max_live"] <= CHANNELS


@ON_POSTGRESQL
def test_an_account_with_fewer_channels_than_we_were_told_serves_all_the_same(
    tmp_path: Path, database_url: str
) -> None:
    with installed(
        tmp_path, database_url=database_url, telnyx={"channels": 2, "speed": 40}, MAX_CONCURRENT_CALLS=str(CHANNELS)
    ) as service:
        asked = ask_for_calls(service, 30)
        check_each_was_heard_once(service, asked)
        state = service.telnyx.state()
        assert state["refused_over_channels"] > 0
        assert state["max_live"] == 2


def test_an_accepted_call_survives_a_kill_right_after_the_answer(quiet_service: Installation) -> None:
    owner = quiet_service.owner()
    asked = Asked(owner, "+256700200900", owner.send("+256700200900"))
    kill_and_restart(quiet_service, down_seconds=0)
    check_each_was_heard_once(quiet_service, [asked])


@ON_SQLITE
def test_three_kills_in_a_row_lose_nothing_and_repeat_nothing(tmp_path: Path, database_url: str) -> None:
    with installed(
        tmp_path, database_url=database_url, telnyx={"speed": 6}, MAX_CONCURRENT_CALLS=str(CHANNELS)
    ) as service:
        asked = ask_for_calls(service, 10)
        for number in (1, 4, 7):
            placed(service, number)
            kill_and_restart(service, down_seconds=0.2)
        check_each_was_heard_once(service, asked)
        assert service.telnyx.state()["max_live"] <= CHANNELS


def test_a_dial_whose_answer_is_lost_or_useless_or_late_is_no_second_call(quiet_service: Installation) -> None:
    for fault in ("lost", "500_done", "empty", "garbage"):
        quiet_service.telnyx.fail_next("dial", fault)
    quiet_service.telnyx.fail_next("dial", "slow", seconds=6)  # longer than we wait
    check_each_was_heard_once(quiet_service, ask_for_calls(quiet_service, 6, prefix="+256700201"))


def test_a_speech_command_that_fails_is_given_again_and_heard_once(quiet_service: Installation) -> None:
    for fault in ("lost", "500", "429", "500_done"):
        quiet_service.telnyx.fail_next("gather_using_speak", fault)
    check_each_was_heard_once(quiet_service, ask_for_calls(quiet_service, 5, prefix="+256700202"))


def test_a_hang_up_that_fails_is_tried_again(quiet_service: Installation) -> None:
    for fault in ("lost", "500", "429"):
        quiet_service.telnyx.fail_next("hangup", fault)
    check_each_was_heard_once(quiet_service, ask_for_calls(quiet_service, 4, prefix="+256700203"))
