"""The first hour of a developer without an account: no Telnyx, no credentials, a terminal that is every phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.flows.installations import NO_PHONE_LIMITS, Owner, eventually
from tests.support.apps import ServerProcess


@dataclass
class Laptop:
    server: ServerProcess
    owner: Owner

    def heard(self, phone: str) -> list[str]:
        """What the terminal says that the phone has heard."""
        return re.findall(rf"{re.escape(phone)} hears +(\d+) ", self.server.log())

    def code(self, phone: str) -> str:
        return eventually(lambda: self.heard(phone), f"{phone} heard nothing")[0]


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    settings = {"FLASK_ENV": "development", "SIMULATOR_SPEED": "8", **NO_PHONE_LIMITS}
    with ServerProcess(tmp_path_factory.mktemp("laptop"), **settings) as server:
        created = httpx.post(f"{server.base}/api/tokens", timeout=30)
        assert created.status_code == 201
        assert "Warning" in created.headers
        token = created.json()["token"]
        with server.client(token) as http:
            yield Laptop(server, Owner(http, token))


def test_the_terminal_tells_a_code_which_is_accepted_once(laptop: Laptop) -> None:
    owner, phone = laptop.owner, "+256700800001"
    verification_id = owner.send(phone)
    code = laptop.code(phone)

    assert owner.verify(phone, f"{(int(code) + 1) % 1_000_000:06}").json()["attempts_remaining"] == 4
    assert owner.verify(phone, code).json()["verified"] is True
    assert owner.verify(phone, code).json()["code"] == "code_used"
    assert owner.ended_call(verification_id)["status"] == "completed"
    assert code not in "".join(answer.text for answer in owner.answers)
    assert len(laptop.heard(phone)) == 1


@pytest.mark.parametrize(
    ("phone", "status", "reason"),
    [
        ("+256700809901", "busy", "The line was busy."),
        ("+256700809902", "no_answer", "Nobody picked up."),
        ("+256700809903", "rejected", "The call was declined."),
        ("+256700809904", "machine", "A machine picked up. It was told nothing."),
    ],
)
def test_a_number_with_a_fate_meets_it_and_hears_nothing(laptop: Laptop, phone: str, status: str, reason: str) -> None:
    verification_id = laptop.owner.send(phone)
    call = laptop.owner.ended_call(verification_id)
    assert (call["status"], call["reason"]) == (status, reason)
    assert laptop.owner.verification(verification_id)["status"] == "pending"
    assert laptop.heard(phone) == []


def test_the_number_that_presses_1_hears_the_same_code_again(laptop: Laptop) -> None:
    phone = "+256700809906"
    verification_id = laptop.owner.send(phone)
    assert laptop.owner.ended_call(verification_id)["status"] == "completed"
    codes = laptop.heard(phone)
    assert len(codes) == 2
    assert len(set(codes)) == 1


def test_a_cancel_takes_the_call_back_before_anything_is_heard(laptop: Laptop) -> None:
    phone = "+256700809905"  # answers late: in 20 s of a real call, 2.5 of ours
    verification_id = laptop.owner.send(phone)
    eventually(lambda: laptop.owner.last_call(verification_id)["status"] == "ringing", "it did not ring")
    assert laptop.owner.cancel(verification_id).status_code == 200
    assert laptop.owner.ended_call(verification_id)["status"] == "canceled"
    assert laptop.heard(phone) == []
