"""A small sample of `python -m tools.reliability events`, which records ten thousand events under kills."""

from __future__ import annotations

import json
import time
from collections.abc import Set

import pytest

from letstalk.events.signatures import headers_of
from tests.support.receivers import Received
from tests.support.services import needed, postgres_binaries, redis_binary
from tools.reliability.event_kills import EventPlan, SignatureJudge, compare_events, run_event_kills

SECRET = "whsec_" + "a" * 43 + "="
CREATED, ENDED = "verification.created", "call.ended"


@pytest.mark.timeout(240)
def test_events_outlive_kills_of_a_server_a_worker_postgresql_and_redis() -> None:
    needed("PostgreSQL", postgres_binaries())
    needed("Redis", redis_binary())
    outcome = run_event_kills(EventPlan(events=120, kill_every_seconds=2, servers=1, workers=1, telnyx_speed=50))
    assert {promise.sentence: promise.breaches for promise in outcome.promises if not promise.is_kept} == {}
    assert outcome.facts["events"] >= 120


def content(type_: str, verification_id: str = "v1") -> dict[str, object]:
    return {"type": type_, "data": {"verification_id": verification_id, "call_id": "c1"}}


def breaches(contents: list[dict[str, object]], ended_twice: Set[str] = frozenset()) -> list[int]:
    """How many there are of: lost events, unfounded ones, changes with two events."""
    named = {f"event {number}": one for number, one in enumerate(contents)}
    return [len(promise.breaches) for promise in compare_events({"v1": "canceled"}, {"c1"}, named, ended_twice)]


def test_the_comparison_finds_what_is_lost_made_up_and_told_twice() -> None:
    all_of_them = [content(CREATED), content("verification.canceled"), content(ENDED)]
    assert breaches(all_of_them) == [0, 0, 0]
    assert breaches(all_of_them[1:]) == [1, 0, 0]
    assert breaches(all_of_them[:2]) == [1, 0, 0]
    assert breaches([*all_of_them, content("verification.approved")]) == [0, 1, 0]
    assert breaches([*all_of_them, content(CREATED, "v2")]) == [0, 1, 0]
    assert breaches([*all_of_them, content(ENDED)]) == [0, 0, 1]
    assert breaches([*all_of_them, content(ENDED)], ended_twice={"c1"}) == [0, 0, 0]


def test_the_judge_finds_a_wrong_signature_and_a_body_that_changed() -> None:
    first, second = (json.dumps({"number": number}).encode() for number in (1, 2))
    signed = Received(headers_of([SECRET], "e1", int(time.time()), first), first)
    changed = Received({}, second)
    changed.headers.update(signed.headers)
    judge = SignatureJudge(SECRET)
    judge.see(signed)
    judge.see(signed)
    assert [promise.breaches for promise in judge.promises()] == [[], []]
    judge.see(changed)
    assert [len(promise.breaches) for promise in judge.promises()] == [1, 1]
