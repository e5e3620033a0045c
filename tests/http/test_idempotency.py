"""Idempotency keys: the same request gets its first answer again, and nothing is done twice."""

from __future__ import annotations

from typing import Any

import pytest

from letstalk.core.errors import InvalidRequest
from letstalk.http.idempotency import IdempotencyKey, read_idempotency_key
from tests.support.world import PHONE, SEND_PATH, World, at_once, phone_number, refusal_of

BODY: dict[str, Any] = {"phone": PHONE, "expires_in": 300}


def a_key(key: str = "one", body: dict[str, Any] = BODY, path: str = SEND_PATH) -> IdempotencyKey:
    made = read_idempotency_key(path, key, body)
    assert made is not None
    return made


def test_a_request_without_a_key_has_none() -> None:
    assert read_idempotency_key(SEND_PATH, None, BODY) is None


@pytest.mark.parametrize("key", ["", "a" * 256, "ü", "a\nb", "a\x7f", "\u200b"])
def test_a_key_that_is_not_printable_ascii_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_idempotency_key(SEND_PATH, key, BODY)
    assert [detail.field for detail in caught.value.details] == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["a", " ", "~" * 255])
def test_any_printable_ascii_will_do(key: str) -> None:
    assert a_key(key).key == key


def test_the_same_body_is_the_same_in_any_order_of_keys() -> None:
    assert a_key(body={"a": 1, "b": {"c": 2, "d": 3}}) == a_key(body={"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": 1, "b": None}, {"a": True}, {}])
def test_another_body_is_another(other: dict[str, Any]) -> None:
    assert a_key(body=other).body_hash != a_key(body={"a": 1}).body_hash


def test_the_first_answer_comes_again_and_one_call_is_placed(world: World) -> None:
    first = world.send(idempotency=a_key())
    world.clock.move(3)
    again = world.send(idempotency=a_key())
    assert first.is_first_response
    assert not again.is_first_response
    assert (again.verification_id, again.call_id, again.expires_in) == (first.verification_id, first.call_id, 300)
    world.pass_time(15)
    assert len(world.provider.dials) == 1


def test_it_comes_again_also_when_the_verification_is_over(world: World) -> None:
    first = world.send(idempotency=a_key())
    world.check(first.verification_id, world.code_of(first.verification_id))
    again = world.send(idempotency=a_key())
    assert (again.verification_id, again.attempts_remaining) == (first.verification_id, 5)


def test_another_body_under_the_same_key_is_refused(world: World) -> None:
    world.send(idempotency=a_key())
    other = a_key(body={**BODY, "expires_in": 60})
    refusal_of(lambda: world.send(phone_number(1), idempotency=other), "idempotency_key_reused")
    assert len(world.calls_of(world.send(idempotency=a_key()).verification_id)) == 1


def test_a_refusal_is_not_kept(world: World) -> None:
    world.send()
    refusal_of(lambda: world.send(idempotency=a_key()), "resend_too_soon")
    world.clock.move(30)
    assert world.send(idempotency=a_key()).is_first_response


def test_a_key_is_remembered_for_24_hours(world: World) -> None:
    first = world.send(idempotency=a_key())
    world.clock.move(24 * 3600 - 1)
    world.sweep_slowly()
    assert world.send(idempotency=a_key()).verification_id == first.verification_id
    world.clock.move(1)
    fresh = world.send(idempotency=a_key())
    assert fresh.verification_id != first.verification_id
    assert world.send(idempotency=a_key()).verification_id == fresh.verification_id


def test_a_key_that_was_forgotten_may_come_with_another_body(world: World) -> None:
    world.send(idempotency=a_key())
    world.clock.move(24 * 3600)
    assert world.send(idempotency=a_key(body={"phone": PHONE})).is_first_response


def test_a_key_is_the_owners_own(world: World) -> None:
    mine = world.send(idempotency=a_key())
    theirs = world.send(owner="globex", idempotency=a_key(body={"other": 1}))
    assert theirs.is_first_response
    assert theirs.verification_id != mine.verification_id


def test_a_key_is_the_paths_own(world: World) -> None:
    first = world.send(idempotency=a_key())
    world.pass_time(25)
    replay_key = a_key(path="/calls/replay", body={"verification_id": first.verification_id})
    again = world.replay(first.verification_id, idempotency=replay_key)
    assert again.is_first_response
    assert again.call_id != first.call_id
    repeated = world.replay(first.verification_id, idempotency=replay_key)
    assert (repeated.call_id, repeated.is_first_response) == (again.call_id, False)
    assert world.verification(first.verification_id).replays_remaining == 2


@pytest.mark.parametrize("repetition", range(2))
def test_of_12_parallel_sends_with_one_key_one_calls_and_all_get_its_answer(world: World, repetition: int) -> None:
    answers: list[str] = []
    key = a_key(f"key {repetition}")
    outcomes = at_once([lambda: answers.append(world.send(idempotency=key).call_id)] * 12)
    assert outcomes == ["ok"] * 12
    assert len(set(answers)) == 1
    world.pass_time(15)
    assert len(world.provider.dials) == 1


def test_of_parallel_sends_with_one_key_and_two_bodies_one_body_wins(world: World) -> None:
    keys = [a_key(body={"which": number % 2}) for number in range(8)]
    outcomes = at_once([lambda key=key: world.send(idempotency=key) for key in keys])  # type: ignore[misc]
    assert sorted(outcomes) == ["idempotency_key_reused"] * 4 + ["ok"] * 4


def test_of_parallel_replays_with_one_key_one_is_spent(world: World) -> None:
    first = world.send()
    world.pass_time(25)
    key = a_key(path="/calls/replay")
    outcomes = at_once([lambda: world.replay(first.verification_id, idempotency=key)] * 6)
    assert outcomes == ["ok"] * 6
    assert world.verification(first.verification_id).replays_remaining == 2
    assert len(world.calls_of(first.verification_id)) == 2
