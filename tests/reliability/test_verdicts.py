"""Each promise is found broken by evidence that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tools.reliability import verdicts
from tools.reliability.clients import Broken, Record
from tools.reliability.journeys import Asked, Kind
from tools.reliability.programs import Program, count_error_lines
from tools.reliability.soaks import growth
from tools.reliability.verdicts import Evidence, Promise

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CODE = "<speak>1 2 3 4 5 6</speak>"
OFFER = "<speak>To hear it, press one.</speak>"


def a_call(**fields: Any) -> dict[str, Any]:
    return {
        "user_id": "acme",
        "phone": "+256700000001",
        "status": "completed",
        "reason": "The code was read.",
        "created_at": NOON,
        "ended_at": NOON,
        "holds_channel": False,
        "dial_round": 1,
        "dial_attempts": 1,
        **fields,
    }


def placed(**fields: Any) -> dict[str, Any]:
    return {"phone": "person", "heard": [CODE], "hangup_cause": "normal_clearing", **fields}


def a_verification(**fields: Any) -> dict[str, Any]:
    return {"status": "approved", "user_id": "acme", "phone": "+256700000001", "created_at": NOON, **fields}


@dataclass
class Found:
    """Evidence of one journey without a breach, which a test then changes."""

    asked: list[Asked] = field(
        default_factory=lambda: [
            Asked(
                Kind.SIMPLE, "acme", "+256700000001", "v", ["c"], frozenset({"approved"}), approvals=1, was_heard=True
            )
        ]
    )
    verifications: dict[str, Any] = field(default_factory=lambda: {"v": a_verification()})
    calls: dict[str, Any] = field(default_factory=lambda: {"c": a_call()})
    placed: dict[str, Any] = field(default_factory=lambda: {"c": [placed()]})
    state: dict[str, Any] = field(
        default_factory=lambda: {"max_live": 1, "max_live_per_phone": 1, "live": 0, "unanswered": {}, "violations": []}
    )
    record: Record = field(default_factory=Record)
    waiting_events: list[Any] = field(default_factory=list)
    put_aside: list[Any] = field(default_factory=list)
    gave_up: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fleet: Any = field(
        default_factory=lambda: SimpleNamespace(
            channels=2, servers=[Program("server 1", [], cast(Any, None), lambda: True)]
        )
    )


def broken(found: Found) -> set[str]:
    return {promise.sentence for promise in verdicts.judge(cast(Evidence, found)) if not promise.is_kept}


def test_a_journey_without_a_breach_breaks_nothing() -> None:
    assert broken(Found()) == set()


def sent_again(found: Found) -> None:
    found.verifications["w"] = a_verification(created_at=NOON + timedelta(seconds=29))
    found.asked.append(Asked(Kind.SIMPLE, "acme", "+256700000001", "w", [], frozenset({"approved"}), approvals=1))


def called_six_times(found: Found) -> None:
    for number in range(5):
        found.calls[f"c{number}"] = a_call()
        found.placed[f"c{number}"] = [placed()]


def reset_by_sigterm(found: Found) -> None:
    """The server is down in the end, so that only this promise is broken."""
    found.fleet.servers[0].outages.append((100.5, 103.0))
    found.fleet.servers[0].stops.append((100.5, 102.0))
    found.record.broken.append(Broken(0, 100.0, 101.0, "POST /calls/otp: ReadError"))


def machine_that_heard(found: Found, payload: str, status: str) -> None:
    found.placed["c"] = [placed(phone="machine", heard=[payload])]
    found.calls["c"].update(status=status)


BREACHES: list[tuple[str, Callable[[Found], object]]] = [
    ("No accepted call is lost", lambda found: found.calls.pop("c")),
    ("No accepted call is lost", lambda found: found.verifications.pop("v")),
    ("No accepted call is lost", lambda found: found.asked.pop()),
    ("Every accepted call was placed, or ended with a reason", lambda found: found.calls["c"].update(status="ringing")),
    (
        "Every accepted call was placed, or ended with a reason",
        lambda found: (found.placed.pop("c"), found.calls["c"].update(reason=None)),
    ),
    ("No call is placed twice", lambda found: found.placed["c"].append(placed())),
    ("No call is placed twice", lambda found: found.placed.update(stranger=[placed()])),
    ("Each call ends as Telnyx's events imply", lambda found: found.calls["c"].update(status="busy")),
    ("Each call ends as Telnyx's events imply", lambda found: found.waiting_events.append("e")),
    ("Each call ends as Telnyx's events imply", lambda found: machine_that_heard(found, CODE, "machine")),
    ("Each call ends as Telnyx's events imply", lambda found: machine_that_heard(found, OFFER, "completed")),
    (
        "Each verification ends in the state that its client was told",
        lambda found: found.verifications["v"].update(status="canceled"),
    ),
    ("Exactly one approval per code", lambda found: setattr(found.asked[0], "approvals", 2)),
    ("Exactly one approval per code", lambda found: setattr(found.asked[0], "approvals", 0)),
    ("At most 2 live calls, and one per phone", lambda found: found.state.update(max_live=3)),
    ("At most 2 live calls, and one per phone", lambda found: found.state.update(max_live_per_phone=2)),
    ("No channel is leaked", lambda found: found.calls["c"].update(holds_channel=True)),
    ("No 5xx except the documented 503s", lambda found: found.record.undescribed.append("POST /calls/otp: 500")),
    (
        "Connections break only with their server",
        lambda found: found.record.broken.append(Broken(0, 100.0, 101.0, "GET /calls: ReadError")),
    ),
    ("No accepted request is reset by SIGTERM", reset_by_sigterm),
    ("Phone limits and minimum waits hold", sent_again),
    ("Phone limits and minimum waits hold", called_six_times),
    ("Telnyx understood every command", lambda found: found.state["violations"].append("dial: no number")),
    ("Clients saw what the contract says", lambda found: found.problems.append("a used code was answered 200")),
]


@pytest.mark.parametrize(("sentence", "break_it"), BREACHES, ids=[f"{n}: {each[0]}" for n, each in enumerate(BREACHES)])
def test_a_breach_is_found(sentence: str, break_it: Callable[[Found], object]) -> None:
    found = Found()
    break_it(found)
    assert sentence in broken(found)


def test_a_machine_that_was_told_of_too_late_may_be_asked_to_press_a_key() -> None:
    found = Found()
    machine_that_heard(found, OFFER, "no_answer")
    assert "Each call ends as Telnyx's events imply" not in broken(found)


def test_a_connection_may_break_while_its_server_is_down() -> None:
    found = Found()
    found.fleet.servers[0].outages.append((99.0, 100.5))
    found.record.broken.append(Broken(0, 100.0, 101.0, "GET /calls: ReadError"))
    assert broken(found) == set()


@pytest.mark.parametrize(
    "broken_request",
    [
        Broken(0, 100.6, 101.0, "POST /calls/otp: ReadError"),  # sent after SIGTERM
        Broken(0, 100.0, 101.0, "POST /calls/otp: ConnectError", was_connected=False),
    ],
)
def test_a_request_that_was_not_accepted_may_be_reset_by_sigterm(broken_request: Broken) -> None:
    found = Found()
    found.fleet.servers[0].outages.append((100.5, 103.0))
    found.fleet.servers[0].stops.append((100.5, 102.0))
    found.record.broken.append(broken_request)
    assert broken(found) == set()


def test_a_reset_by_sigkill_is_not_one_by_sigterm() -> None:
    found = Found()
    found.fleet.servers[0].outages.append((100.5, 103.0))
    found.record.broken.append(Broken(0, 100.0, 101.0, "POST /calls/otp: ReadError"))
    assert broken(found) == set()


def test_an_error_in_a_log_is_found_in_lines_of_all_libraries() -> None:
    ours, theirs = '{"event":"task_failed","level":"error"}', '{"event": "Broken", "level": "error"}'
    harmless = '{"event":"call_ended","level":"info","reason":"an error"}'
    assert count_error_lines("\n".join([ours, harmless, theirs, "Traceback (most recent call last):"])) == 3


def test_growth_is_measured_from_the_warm_up_to_the_end() -> None:
    samples = [50_000, 80_000, *[102_400] * 60, *[104_448] * 20]
    before, after, grown = growth(samples)
    assert (before, after) == (100.0, 102.0)
    assert grown == pytest.approx(0.02)


def test_a_promise_says_how_often_it_was_broken() -> None:
    promise = Promise("It holds", "often", [f"breach {number}" for number in range(20)])
    assert promise.as_json()["breach_count"] == 20
    assert len(promise.as_json()["breaches"]) == verdicts.SHOWN
