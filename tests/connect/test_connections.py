"""What a connection may do and when its owner is told, and that a stolen secret is worth little."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from letstalk.connect.kinds import KINDS
from letstalk.connect.models import FAILING_AFTER, REFUSED_KEPT
from letstalk.connect.repository import connection_deliveries
from letstalk.core.errors import NotFound
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.events.repository import list_newest
from letstalk.test_numbers.models import NewTestNumber
from letstalk.verifications.models import NewVerification
from tests.support.apps import OWNER, Api, TurnableClock, issue_token, make_app, services_of
from tests.support.hooks import ConnectedSystem
from tests.support.recorded_hooks import shown_to_user

CODE = "048213"
UNCOUNTED = dict.fromkeys(("RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK"), "off")
Connect = Callable[..., ConnectedSystem]


@pytest.fixture
def settings() -> dict[str, str]:
    return {}


@pytest.fixture
def connect(tmp_path: Path, settings: dict[str, str]) -> Connect:
    clock, key = TurnableClock(), make_encryption_key()
    app = make_app(tmp_path, clock, ENCRYPTION_KEYS=key, RATE_LIMIT_PHONE_ALL="off", **settings)
    return lambda kind="logto", owner=None, **fields: ConnectedSystem(app, clock, Vault((key,)), kind, fields, owner)


def events_of(system: ConnectedSystem) -> list[dict[str, Any]]:
    """What the events `connection.failing` of its owner say."""
    with system.app.extensions["letstalk_db"].read() as connection:
        found = list_newest(connection, frozenset({system.actor.owner_id}), after=None, limit=50)
    return [dict(event.detail) for event in found if event.type == "connection.failing"]


def send_wrong(system: ConnectedSystem, times: int = 1) -> None:
    body = system.body(system.phone(), CODE)
    for _ in range(times):
        assert system.post(body, {}).status_code == 401


def test_a_connection_has_a_rate_of_its_own(connect: Connect) -> None:
    system, other = connect(rate_limit="3 per minute; 4 per day"), connect()
    phones = [system.phone() for _ in range(5)]
    assert [system.send(phone, CODE).status_code for phone in phones] == [200, 200, 200, 429, 429]
    assert system.send(phones[0], CODE).status_code == 200, "a retry is not one more call"
    assert other.send(other.phone(), CODE).status_code == 200
    system.clock.move(61)
    first, second = system.send(phones[3], CODE), system.send(phones[4], CODE)
    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["Retry-After"]) > 80_000
    assert [phone for phone, _, _ in system.called()] == phones[:4]


@pytest.mark.parametrize("settings", [{"MAX_CONCURRENT_CALLS": "1", "SIMULATOR_SPEED": "1", **UNCOUNTED}])
def test_a_full_queue_is_said_as_each_system_shows_it(connect: Connect) -> None:
    filling = connect(rate_limit="1000 per minute")
    while filling.send(filling.phone(), CODE).status_code == 200:
        assert len(filling.called()) < 100
    for kind in KINDS:
        system = connect(kind, owner=filling.actor.owner_id)  # other owners have their turn
        answer = system.send(system.phone(), CODE)
        shown = shown_to_user(kind, answer.status_code, answer.mimetype, answer.text)
        if shown is not None:
            assert shown[0] == 503
            assert "Too many calls wait" in shown[1]
        if kind == "authgear":
            assert answer.get_json()["code"] == "rate_limited"
        if kind == "supabase":
            assert (answer.status_code, "Retry-After" in answer.headers) == (200, False)
        assert system.outcomes() == [("refused", "queue_full")]


def test_the_owner_is_told_once_when_it_fails_and_again_only_after_a_success(connect: Connect) -> None:
    system = connect(name="Shop")
    send_wrong(system, FAILING_AFTER - 1)
    assert events_of(system) == []
    send_wrong(system, 3)
    [told] = events_of(system)
    assert (told["kind"], told["name"], told["user_id"]) == ("logto", "Shop", system.actor.owner_id)
    assert "Authorization" in told["reason"]
    service = services_of(system.app).connections.service
    assert service.get_connection(system.actor, system.connection_id).status == "failing"
    assert system.send("+85021234567x", CODE).status_code == 400  # well-formed, but no success
    send_wrong(system, FAILING_AFTER)
    assert len(events_of(system)) == 1
    assert system.send(system.phone(), CODE).status_code == 200
    assert service.get_connection(system.actor, system.connection_id).status == "active"
    send_wrong(system, FAILING_AFTER)
    assert len(events_of(system)) == 2


def test_wrong_requests_between_good_ones_are_no_failure(connect: Connect) -> None:
    system = connect()
    for _ in range(FAILING_AFTER):
        send_wrong(system, FAILING_AFTER - 1)
        assert system.send(system.phone(), CODE).status_code == 200
    assert events_of(system) == []


def test_a_test_number_is_not_called(connect: Connect) -> None:
    system = connect()
    phone = system.phone()
    services_of(system.app).test_numbers.create_test_number(OWNER, NewTestNumber(phone, owner_id=system.actor.owner_id))
    assert system.send(phone, CODE).get_json()["call_status"] == "completed"


def test_an_address_of_another_kind_and_an_unknown_one_lead_nowhere(connect: Connect) -> None:
    system = connect()
    body = system.body(system.phone(), CODE)
    for path in (system.path.replace("logto", "generic"), system.path[:-1], "/connect/logto/ltc_", "/connect/x/y"):
        answer = system.post(body, system.sign(body), path)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
    assert system.client.get(system.path).status_code == 405
    assert system.deliveries() == []


@pytest.mark.parametrize("settings", [{"RATE_LIMIT_ADDRESS": "5 per minute"}])
def test_a_stranger_is_counted_by_address_and_leaves_few_traces(connect: Connect) -> None:
    system = connect()
    answers = [system.client.post(system.path, data=b"{}").status_code for _ in range(9)]
    assert answers == [401] * 5 + [429] * 4
    assert len(system.deliveries()) == 5
    assert system.send(system.phone(), CODE).status_code == 200, "who has the secret is not counted with strangers"


@pytest.mark.parametrize("settings", [{"RATE_LIMIT_TOKEN": "3 per minute"}])
def test_requests_with_the_secret_are_limited_as_those_of_a_token(connect: Connect) -> None:
    system = connect("authentik")
    answers = [system.send(system.phone(), CODE) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
    assert answers[4].mimetype == "text/plain"
    assert answers[4].text.startswith("Too many calls are asked for. Wait before asking again.")


def test_only_the_newest_refusals_and_the_deliveries_of_a_month_are_kept(connect: Connect) -> None:
    system = connect()
    assert system.send(system.phone(), CODE).status_code == 200
    send_wrong(system, REFUSED_KEPT + 5)
    service, db = services_of(system.app).connections.service, system.app.extensions["letstalk_db"]

    def stored() -> int:
        with db.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(connection_deliveries)).scalar_one())

    assert stored() == REFUSED_KEPT + 6
    service.forget_old()
    assert stored() == REFUSED_KEPT + 1
    system.clock.move(31 * 86_400)
    service.forget_old()
    assert stored() == 0


def test_what_is_stored_of_a_phone_can_be_had_and_erased(connect: Connect) -> None:
    system = connect()
    phone = system.phone()
    system.send(phone, CODE)
    services = services_of(system.app)
    [told] = services.privacy.export_phone(phone)["connection_deliveries"]
    assert (told["connection_id"], told["outcome"]) == (system.connection_id, "called")
    services.privacy.erase_phone(phone)
    assert system.deliveries() == []
    assert services.privacy.export_phone(phone)["connection_deliveries"] == []


def test_secrets_are_encrypted_and_no_page_or_list_of_the_api_has_one(connect: Connect) -> None:
    system = connect("supabase")
    [secret] = system.secrets
    key = secret.removeprefix("v1,whsec_")
    with system.app.extensions["letstalk_db"].read() as connection:
        assert key not in str(connection.execute(sa.text("SELECT * FROM connections")).all())
        assert key not in str(connection.execute(sa.text("SELECT * FROM audit_events")).all())
    api = Api(system.client, issue_token(system.app, "connections:write", owner_id=system.actor.owner_id))
    for path in ("/api/connections", f"/api/connections/{system.connection_id}"):
        assert key not in api.get(path).text


THEFT = {**UNCOUNTED, "RATE_LIMIT_OWNER": "6 per hour", "BLOCKED_COUNTRIES": "KP"}


@pytest.mark.parametrize("settings", [THEFT])
def test_a_stolen_secret_says_codes_within_the_limits_and_can_do_nothing_else(connect: Connect) -> None:
    system = connect("generic", rate_limit="4 per minute")
    victim = connect("generic")
    [secret] = system.secrets

    def attack(content: dict[str, Any], path: str = "") -> int:
        body = json.dumps(content).encode()
        return system.post(body, system.sign(body), path).status_code

    # No text, no name and no number that costs money is spoken to anybody.
    for said in ("Your bank asks you to call +256 700 999999", "<break/>1234", "Abcd", "12345678901", "123"):
        assert attack({"phone": system.phone(), "code": said}) == 400
    for phone in ("+85021234567", "+19005550123", "+881612345678"):
        assert attack({"phone": phone, "code": CODE}) in (400, 403)
    assert system.called() == []
    # Fields that the kind does not name change nothing.
    assert (
        attack({"phone": system.phone(), "code": CODE, "brand": "Your bank", "message": "x", "user_id": "globex"})
        == 200
    )
    assert system.called()[0][1] == CODE
    # The rate of the connection, and behind it the owner's, hold whatever it does.
    statuses = [attack({"phone": system.phone(), "code": f"{number:06}"}) for number in range(30)]
    assert (statuses.count(200), statuses.count(429)) == (3, 27)
    for _ in range(3):
        system.clock.move(61)
        statuses += [attack({"phone": system.phone(), "code": CODE}) for _ in range(5)]
    assert statuses.count(200) == 5, "the owner's 6 calls an hour, one of which was before"
    # One phone is not called again and again.
    assert len({phone for phone, _, _ in system.called()}) == len(system.called())
    # It opens no other connection, and no call of the API.
    assert attack({"phone": system.phone(), "code": CODE}, victim.path) == 401
    assert victim.called() == []
    thief = Api(system.client, secret)
    for path in (
        "/calls",
        "/api/connections",
        f"/api/connections/{system.connection_id}",
        "/api/tokens",
        "/api/events",
    ):
        assert thief.get(path).status_code == 401
    for path in (
        "/calls/otp",
        "/calls/speak",
        "/calls/verify",
        f"/api/connections/{system.connection_id}/rotate-secret",
    ):
        assert thief.post(path, {"phone": system.phone(), "code": CODE}).status_code == 401
    # Nor does a token that may speak open a connection, or a connection's right to speak a verification.
    token = issue_token(system.app, "otp:speak", owner_id=system.actor.owner_id)
    body = system.body(system.phone(), CODE)
    assert system.post(body, {"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_call_of_a_connection_leaves_verifications_alone(connect: Connect) -> None:
    system = connect()
    phone = system.phone()
    wanted = NewVerification(phone=phone, message=None, locale=None, code_length=6, ttl_seconds=300)
    services_of(system.app).sends.start(system.actor, wanted)
    assert system.send(phone, CODE).status_code == 200
    page = services_of(system.app).verifications.list_verifications(
        system.actor, phone=None, status=None, limit=10, cursor=None
    )
    assert len(page.verifications) == 1


def test_another_owner_finds_nothing_of_it(connect: Connect) -> None:
    system = connect()
    stranger = replace(system.actor, owner_id="globex", scopes=frozenset())
    connections = services_of(system.app).connections
    for look in (connections.service.get_connection, connections.service.delete_connection):
        with pytest.raises(NotFound):
            look(stranger, system.connection_id)
    with pytest.raises(NotFound):
        connections.hooks.send_test(stranger, system.connection_id, system.phone())
