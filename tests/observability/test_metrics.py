"""What the metrics page counts: every step of a call, in series whose number does not grow with use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.calls.models import CallStatus, Topic
from letstalk.core.clock import utc_now
from letstalk.core.errors import InvalidToken, NotAuthenticated
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.observability import metrics
from letstalk.telephony.events import EventType
from letstalk.telephony.provider import OutcomeUnknown, ProviderBusy
from letstalk.verifications.models import VerificationStatus
from letstalk.worker.heartbeat import Heartbeat
from tests.support.apps import PASSWORD, Api, issue_token, make_app, services_of, working
from tests.support.commands import eventually
from tests.support.token_setup import ADDRESS, TokenSetup
from tests.support.world import BUSY, PHONE, PRESSES_1, World, fails, outcome_of, phone_number, refusal_of

# Every label that there is, and what it may say; any other would have to be shown to be bounded first.
LABELS = {"method", "route", "status", "provider", "command", "outcome", "type", "result", "code", "where", "because",
          "what", "sweep", "kind"}  # fmt: skip


class Growth:
    """How much the counters, and the counts of the histograms, have grown since this was made."""

    def __init__(self) -> None:
        self._before = _values()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return _values().get(key, 0.0) - self._before.get(key, 0.0)


def _values() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.endswith(("_total", "_count", "_sum"))
    }


@pytest.fixture
def grown() -> Growth:
    return Growth()


@pytest.fixture
def world(sqlite_db: Database) -> World:
    return World(sqlite_db)


def all_metrics() -> list[Counter | Gauge | Histogram]:
    return [item for item in vars(metrics).values() if isinstance(item, Counter | Gauge | Histogram)]


def test_every_step_of_a_call_that_is_heard_and_approved_is_counted(world: World, grown: Growth) -> None:
    verification_id = world.send().verification_id
    world.pass_time(20)
    world.guess_wrong(verification_id)
    world.check_phone(PHONE, world.heard()[-1])
    world.pass_time(60)

    assert grown("letstalk_verifications_started_total") == 1
    assert grown("letstalk_queue_seconds_count") == 1
    assert grown("letstalk_dial_delay_seconds_count") == 1
    assert grown("letstalk_answer_seconds_count") == 1
    assert 1 < grown("letstalk_answer_seconds_sum") < 15
    assert grown("letstalk_silence_seconds_count") == 1
    assert grown("letstalk_speeches_total", what="code") == 1
    assert grown("letstalk_code_delay_seconds_count") == 1
    assert grown("letstalk_code_checks_total", result="wrong") == 1
    assert grown("letstalk_code_checks_total", result="right") == 1
    assert grown("letstalk_approval_seconds_count") == 1
    assert grown("letstalk_approval_seconds_sum") == pytest.approx(20, abs=1e-9)
    assert grown("letstalk_verifications_total", outcome=VerificationStatus.APPROVED) == 1
    assert grown("letstalk_calls_ended_total", status=CallStatus.COMPLETED) == 1
    assert grown("letstalk_call_seconds_count", status=CallStatus.COMPLETED) == 1
    for event_type in (EventType.ANSWERED, EventType.HUMAN, EventType.HUNG_UP):
        assert grown("letstalk_provider_events_total", type=event_type, result="applied") == 1
    assert grown("letstalk_provider_event_delay_seconds_count") >= 4
    for command in ("dial", "speak", "hang_up"):
        assert (
            grown("letstalk_provider_command_seconds_count", provider="simulator", command=command, outcome="ok") == 1
        )
    assert grown("letstalk_calls_put_back_total", because="limit") == 0


def test_what_goes_otherwise_is_counted_as_such(world: World, grown: Growth) -> None:
    world.provider.trouble("dial", fails(ProviderBusy("no channel")), fails(ProviderBusy("5xx", not_placed=False)))
    world.send(phone_number(1))
    world.pass_time(60)
    assert grown("letstalk_calls_put_back_total", because="limit") == 1
    assert grown("letstalk_calls_put_back_total", because="error") == 1
    busy = {"provider": "simulator", "command": "dial", "outcome": "ProviderBusy"}
    assert grown("letstalk_provider_command_seconds_count", **busy) == 2

    world.send(BUSY)
    world.pass_time(30)
    assert grown("letstalk_calls_ended_total", status=CallStatus.BUSY) == 1

    world.provider.trouble("speak", fails(OutcomeUnknown("lost")))
    world.send(PRESSES_1)
    world.pass_time(60)
    assert grown("letstalk_speeches_total", what="code") == 3
    assert grown("letstalk_code_delay_seconds_count") == 2
    lost = {"provider": "simulator", "command": "speak", "outcome": "OutcomeUnknown"}
    assert grown("letstalk_provider_command_seconds_count", **lost) == 1

    heard = world.send(phone_number(3)).verification_id
    world.pass_time(60)
    world.replay(heard)
    assert grown("letstalk_replays_total", where="new_call") == 1


def test_a_call_that_ended_silently_and_a_repeated_event_are_counted(world: World, grown: Growth) -> None:
    world.is_lost = lambda event: event.type is EventType.HUNG_UP
    world.send()
    world.pass_time(300)
    assert grown("letstalk_calls_ended_silently_total") == 1
    call_id = world.send(phone_number(2)).call_id
    for _ in range(3):
        world.receive(call_id, EventType.INITIATED, event_id="the same")
    assert grown("letstalk_provider_events_total", type=EventType.INITIATED, result="repeated") == 2


def test_lost_keys_are_counted_and_cost_a_call_no_more_than_its_end(world: World, grown: Growth) -> None:
    token = TokenSetup(world.db, world.vault).issue().secret
    with pytest.raises(InvalidToken):
        TokenSetup(world.db, Vault((make_encryption_key(),))).service.authenticator.authenticate(token, ADDRESS)
    assert grown("letstalk_lost_keys_total", what="token") == 1

    call_id = world.send().call_id
    world.commands._vault = Vault((make_encryption_key(),))
    world.pass_time(30)
    assert grown("letstalk_lost_keys_total", what="code") == 1
    assert world.call(call_id).status is CallStatus.FAILED
    assert world.heard() == []
    assert world.live_calls() == 0


def test_sign_ins_are_counted(sqlite_db: Database, grown: Growth) -> None:
    world = World(sqlite_db)
    sessions = OwnerSessionService(sqlite_db, PASSWORD, world.clock, key=b"k")
    sessions.sign_in(PASSWORD, ADDRESS)
    with pytest.raises(NotAuthenticated):
        sessions.sign_in("wrong", ADDRESS)
    assert grown("letstalk_sign_ins_total", result="accepted") == 1
    assert grown("letstalk_sign_ins_total", result="refused") == 1


def test_sweeps_are_timed_and_failed_ones_counted(tmp_path: Path, grown: Growth) -> None:
    app = make_app(tmp_path)
    with working(app):
        eventually(lambda: grown("letstalk_sweep_seconds_count", sweep="slow"), "no slow sweep was timed")
    assert grown("letstalk_sweep_seconds_count", sweep="fast") >= 1
    assert grown("letstalk_sweep_failures_total", sweep="fast") == 0

    broken = make_app(tmp_path / "broken")
    with working(broken):
        with broken.extensions["letstalk_db"].write() as connection:
            connection.exec_driver_sql("DROP TABLE webhook_events")
        eventually(lambda: grown("letstalk_sweep_failures_total", sweep="fast"), "no failure was counted")


def test_a_task_that_fails_is_counted(tmp_path: Path, grown: Growth) -> None:
    app = make_app(tmp_path)
    with working(app):
        with app.extensions["letstalk_db"].write() as connection:
            connection.exec_driver_sql("DROP TABLE webhook_events")
        services_of(app).sweeps._wakeups.wake(Topic.APPLY_EVENT, "an event")
        eventually(lambda: grown("letstalk_task_failures_total"), "no failure was counted")


def test_limits_counted_here_because_redis_is_away_are_counted(tmp_path: Path, grown: Growth) -> None:
    app = make_app(tmp_path, REDIS_URL="redis://127.0.0.1:1/0", RATE_LIMIT_TOKEN="5 per minute")
    statuses = [Api(app.test_client(), token).get("/calls").status_code for token in [issue_token(app)] * 6]
    assert statuses == [200] * 5 + [429]
    assert grown("letstalk_limit_storage_away_total") >= 1
    assert grown("letstalk_refusals_total", code="rate_limited") == 1


def page_of(app: Flask) -> str:
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    return answer.text


def test_the_page_says_what_waits_and_what_is_live(tmp_path: Path) -> None:
    # As slow as life: a hundred times faster the call would be over in a sixth of a second.
    app = make_app(tmp_path, MAX_CONCURRENT_CALLS="1", SIMULATOR_SPEED="1")
    api = Api(app.test_client(), issue_token(app))
    assert value_of(page_of(app), "letstalk_worker_seen_seconds") == -1
    assert value_of(page_of(app), "letstalk_longest_wait_seconds") == 0
    for number in range(3):
        api.post("/calls/otp", {"phone": phone_number(number)})
    services_of(app).dispatch.dispatch()
    try:
        Heartbeat(app.extensions["letstalk_db"], "a worker", utc_now).beat()
        page = page_of(app)
    finally:
        app.extensions["letstalk_background_work"].stop()
    assert value_of(page, "letstalk_calls_waiting") == 2
    assert value_of(page, "letstalk_calls_live") == 1
    assert value_of(page, "letstalk_channels_total") == 1
    assert value_of(page, "letstalk_database_up") == 1
    assert 0 < value_of(page, "letstalk_longest_wait_seconds") < 60
    assert 0 <= value_of(page, "letstalk_worker_seen_seconds") < 60


def value_of(page: str, name: str) -> float:
    (value,) = [
        sample.value for family in text_string_to_metric_families(page) for sample in family.samples
        if sample.name == name
    ]  # fmt: skip
    return float(value)


def test_the_page_is_there_while_the_database_is_not(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    page_of(app)  # a request is counted when it is over: the next page tells of this one
    with app.extensions["letstalk_db"].write() as connection:
        connection.exec_driver_sql("DROP TABLE call_events")
        connection.exec_driver_sql("DROP TABLE calls")
    page = page_of(app)
    assert value_of(page, "letstalk_database_up") == 0
    assert "letstalk_request_seconds_count" in page


def test_no_label_grows_with_what_clients_send(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    client, api = app.test_client(), Api(app.test_client(), issue_token(app))
    phones = [phone_number(number) for number in range(5)]

    def use(number: int) -> None:
        verification_id = api.post("/calls/otp", {"phone": phones[number]}).get_json()["verification_id"]
        api.post("/calls/verify", {"phone": phones[number], "code": f"{number:06}"})
        api.get(f"/calls/{verification_id}")
        api.get("/calls", phone=phones[number])
        api.get(f"/calls/{number}")
        client.get(f"/nowhere/{number}")
        client.open("/calls", method=f"BREW{number}")
        client.get("/calls", headers={"Authorization": f"Bearer lt_{number}"})
        client.get("/api/tokens", headers={"Host": f"host-{number}.test"})

    def series() -> set[str]:
        return {line.rpartition(" ")[0] for line in page_of(app).splitlines() if line.startswith("letstalk_")}

    use(0)
    page_of(app)  # which counts itself only once it is made
    before = series()
    for number in range(1, 5):
        use(number)
    assert series() == before
    assert not any(phone[1:] in page_of(app) for phone in phones)


def test_every_metric_is_ours_by_name_and_has_known_labels_and_a_sentence() -> None:
    for item in all_metrics():
        (family,) = item.describe()
        assert re.fullmatch(r"letstalk_[a-z_]+", family.name)
        assert family.documentation[0].isupper()
        assert set(item._labelnames) <= LABELS, family.name
        if isinstance(item, Histogram):
            assert family.name.endswith("_seconds")
            assert "Time" in family.documentation or "How long" in family.documentation


def test_every_metric_is_used_somewhere() -> None:
    package = Path(metrics.__file__).parents[1]
    sources = "".join(
        path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path != Path(metrics.__file__)
    )
    names = [name for name, item in vars(metrics).items() if isinstance(item, Counter | Gauge | Histogram)]
    assert [name for name in names if not re.search(rf"\b{name}\b", sources)] == []


def test_nothing_is_counted_when_a_request_changes_nothing(world: World, grown: Growth) -> None:
    world.send()
    assert outcome_of(world.send) == "resend_too_soon"
    refusal_of(lambda: world.send("nobody"), "invalid_phone")
    assert grown("letstalk_verifications_started_total") == 1


def test_a_series_is_found_again_by_its_labels_and_only_by_all_of_them(grown: Growth) -> None:
    metrics.events_total.labels("call.hangup", "ignored").inc()
    metrics.events_total.labels(result="ignored", type="call.hangup").inc()
    metrics.events_total.labels("call.hangup", "ignored").inc()
    assert grown("letstalk_provider_events_total", type="call.hangup", result="ignored") == 3
    for labels in ((), ("call.hangup",), ("call.hangup", "ignored", "again")):
        with pytest.raises(ValueError, match="label"):
            metrics.events_total.labels(*labels)
