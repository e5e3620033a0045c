"""On PostgreSQL a check waits for other transactions that change its verification, and then judges what they left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Connection

from letstalk.db.database import Database
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.repository import end_verification, lock_verification, spend_attempt, spend_replay
from tests.support.lock_waits import await_who_waits
from tests.support.world import PHONE, World, at_once, outcome_of, refusal_of, wrong_code

MOST_SECONDS = 10.0


@pytest.fixture
def world(postgresql_db: Database) -> World:
    return World(postgresql_db)


def hear_a_code(world: World) -> tuple[str, str]:
    """The id of a verification whose call is over, and its code."""
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.pass_time(60)
    assert world.heard()
    assert [call.is_over for call in world.calls_of(accepted.verification_id)] == [True]
    return accepted.verification_id, code


def check_before(world: World, verification_id: str, code: str, change: Callable[[Connection], object]) -> str:
    """What becomes of a check that waits for a transaction that makes `change`."""
    with ThreadPoolExecutor(1) as threads:
        with world.db.write() as connection:
            assert lock_verification(connection, verification_id) is not None
            outcome = threads.submit(outcome_of, lambda: world.check(verification_id, code))
            assert await_who_waits(world.db).endswith("FOR NO KEY UPDATE")
            change(connection)
        return outcome.result(MOST_SECONDS)


def test_it_spends_its_attempt_erases_the_code_and_is_accepted_once(world: World) -> None:
    verification_id, code = hear_a_code(world)
    approval = world.check(verification_id, code)
    assert (approval.pending.verification_id, approval.pending.phone, approval.approved_at) == (
        verification_id,
        PHONE,
        world.clock(),
    )
    approved = world.verification(verification_id)
    assert (approved.status, approved.attempts_used) == (VerificationStatus.APPROVED, 1)
    assert (approved.speech_sealed, approved.approved_at) == (None, world.clock())
    refusal_of(lambda: world.check(verification_id, code), "code_used")
    assert world.verification(verification_id).attempts_used == 1


def test_of_parallel_right_codes_one_is_accepted(world: World) -> None:
    verification_id, code = hear_a_code(world)
    counted = Counter(at_once([lambda: world.check(verification_id, code)] * 24))
    assert counted == {"ok": 1, "code_used": 23}
    assert world.verification(verification_id).attempts_used == 1


def test_of_parallel_guesses_no_more_than_five_are_judged(world: World) -> None:
    verification_id, code = hear_a_code(world)
    guesses = [wrong_code(code)] * 40 + [code] * 2
    counted = Counter(at_once([partial(world.check, verification_id, guess) for guess in guesses]))
    verification = world.verification(verification_id)
    assert counted["ok"] + counted["invalid_code"] == verification.attempts_used <= 5
    assert counted["ok"] == (1 if verification.status is VerificationStatus.APPROVED else 0)


def test_a_guess_that_is_judged_between_is_counted_beside_it(world: World) -> None:
    verification_id, code = hear_a_code(world)
    outcome = check_before(world, verification_id, code, lambda held: spend_attempt(held, verification_id))
    approved = world.verification(verification_id)
    assert (outcome, approved.status, approved.attempts_used) == ("ok", VerificationStatus.APPROVED, 2)


@pytest.mark.parametrize(
    ("ending", "refusal"),
    [
        (VerificationStatus.ATTEMPTS_EXCEEDED, "attempts_exceeded"),
        (VerificationStatus.CANCELED, "verification_canceled"),
        (VerificationStatus.SUPERSEDED, "verification_superseded"),
    ],
)
def test_what_ends_it_between_refuses_the_right_code(world: World, ending: VerificationStatus, refusal: str) -> None:
    verification_id, code = hear_a_code(world)
    outcome = check_before(
        world, verification_id, code, lambda held: end_verification(held, verification_id, ending, world.clock())
    )
    ended = world.verification(verification_id)
    assert (outcome, ended.status, ended.attempts_used, ended.approved_at) == (refusal, ending, 0, None)


def test_a_replay_between_has_it_judged_with_the_new_call(world: World) -> None:
    verification_id, code = hear_a_code(world)
    outcome = check_before(
        world, verification_id, code, lambda held: spend_replay(held, verification_id, world.clock())
    )
    assert (outcome, world.verification(verification_id).attempts_used) == ("ok", 1)
