"""One phone under two numbers has one phone's limits."""

from __future__ import annotations

from functools import partial

import pytest

from letstalk.db.database import Database
from letstalk.operations.privacy import PrivacyService
from letstalk.verifications.models import VerificationStatus
from letstalk.verifications.schemas import render_approval
from tests.support.world import OWNER_RATES, PHONE_RATES, World, refusal_of, wrong_code

TWINS = [
    ("+390549886377", "+3780549886377"),
    ("+5491123456789", "+541123456789"),
    ("+97022345678", "+97222345678"),
    ("+3534828901234", "+442828901234"),
    ("+380652123456", "+73652123456"),
]


@pytest.mark.parametrize("numbers", TWINS)
def test_the_other_number_does_not_escape_the_wait_between_two_codes(world: World, numbers: tuple[str, str]) -> None:
    one, other = numbers
    world.send(one)
    refusal_of(lambda: world.send(other), "resend_too_soon")
    world.clock.move(31)
    world.send(other)
    refusal_of(lambda: world.send(one), "resend_too_soon")


@pytest.mark.parametrize("numbers", TWINS)
def test_calls_to_both_numbers_are_counted_together(db: Database, numbers: tuple[str, str]) -> None:
    world = World(db, owner_rates=OWNER_RATES, phone_rates=PHONE_RATES)
    for turn in range(5):
        world.send(numbers[turn % 2])
        world.clock.move(31)
    for number in numbers:
        refusal_of(partial(world.send, number), "phone_limit")


def test_wrong_codes_for_both_numbers_are_counted_together(world: World) -> None:
    for number in TWINS[0]:
        accepted = world.send(number)
        wrong = partial(world.check, accepted.verification_id, wrong_code(world.code_of(accepted.verification_id)))
        for _ in range(5):
            refusal_of(wrong, "invalid_code")
        world.clock.move(31)
    for number in TWINS[0]:
        refusal_of(partial(world.send, number), "too_many_failures")


def test_a_newer_code_by_the_other_number_takes_the_place_of_the_older(world: World) -> None:
    one, other = TWINS[0]
    older = world.send(one)
    world.clock.move(31)
    newer = world.send(other)
    assert world.verification(older.verification_id).status is VerificationStatus.SUPERSEDED
    code = world.code_of(newer.verification_id)
    assert world.check_phone(one, code).pending.verification_id == newer.verification_id


@pytest.mark.parametrize("number", [number for numbers in TWINS for number in numbers])
def test_the_number_that_was_given_is_called_shown_and_found(world: World, number: str) -> None:
    accepted = world.send(number)
    assert accepted.phone == number
    world.work()
    assert [dial.phone for dial in world.provider.dials] == [number]
    code = world.code_of(accepted.verification_id)
    approval = world.check_phone(number, code)
    assert approval.pending.verification_id == accepted.verification_id
    assert render_approval(approval)["phone"] == number


def test_erasing_a_phone_erases_it_under_all_its_numbers(world: World) -> None:
    one, other = TWINS[0]
    world.send(one)
    privacy = PrivacyService(world.db, world.clock, default_region=None)
    assert [found["phone"] for found in privacy.export_phone(other)["verifications"]] == [one]
    assert privacy.erase_phone(other) == 1
    assert privacy.export_phone(one)["verifications"] == []
