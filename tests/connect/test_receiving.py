"""Deliveries in either database: limits that hold for many at once, and what is forgotten."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import sqlalchemy as sa

from letstalk.audit.service import AuditTrail
from letstalk.connect.models import REFUSED_KEPT
from letstalk.connect.receiving import HookAnswer, HookRequest, HookService, NoCounter
from letstalk.connect.repository import connection_deliveries
from letstalk.connect.service import ConnectionService, IssuedConnection, NewConnection
from letstalk.events.repository import list_newest
from letstalk.verifications.event_objects import render_event
from tests.support.world import World, an_actor, at_once, phone_number

CODE = "048213"
ACME = an_actor("acme")


class Receiving:
    """A connection in a world without HTTP."""

    def __init__(self, world: World, rate_limit: str) -> None:
        self.world = world
        audit = AuditTrail(world.db, clock=world.clock)
        self.connections = ConnectionService(world.db, world.vault, world.clock, audit, None)
        self.hooks = HookService(world.db, world.vault, world.clock, self.connections, world.speaking)
        self.issued: IssuedConnection = self.connections.create_connection(
            ACME, NewConnection("generic", rate_limit=rate_limit)
        )

    def send(self, phone: str, code: str = CODE, secret: str | None = None) -> HookAnswer:
        headers = {"authorization": f"Bearer {secret or self.issued.secret}"}
        body = json.dumps({"phone": phone, "code": code}).encode()
        connection = self.issued.connection
        request = HookRequest(headers, body)
        return self.hooks.receive(connection.kind, connection.address_key, request, NoCounter())

    def stored(self) -> Counter[str]:
        """How many deliveries of each outcome are stored."""
        with self.world.db.read() as connection:
            return Counter(connection.execute(sa.select(connection_deliveries.c.outcome)).scalars())


@pytest.fixture
def receiving(world: World) -> Receiving:
    return Receiving(world, "4 per minute")


def test_of_many_at_once_as_many_are_called_as_the_rate_allows(receiving: Receiving) -> None:
    at_once([lambda number=number: receiving.send(phone_number(number)) for number in range(12)])  # type: ignore[misc]
    assert receiving.stored() == {"called": 4, "refused": 8}
    receiving.world.clock.move(61)
    assert receiving.send(phone_number(50)).error is None


def test_the_same_delivery_many_times_at_once_is_one_call(receiving: Receiving) -> None:
    assert at_once([lambda: receiving.send(phone_number(1)) for _ in range(8)]) == ["ok"] * 8
    assert receiving.stored() == {"called": 1, "repeated": 7}


def test_wrong_deliveries_at_once_are_told_of_once_and_the_oldest_forgotten(receiving: Receiving) -> None:
    at_once([lambda: receiving.send(phone_number(1), secret="not-the-secret") for _ in range(12)])
    with receiving.world.db.read() as connection:
        events = [event.type.value for event in list_newest(connection, frozenset({"acme"}), after=None, limit=50)]
    assert events == ["connection.failing"]
    for _ in range(REFUSED_KEPT):
        receiving.send(phone_number(1), secret="not-the-secret")
    receiving.world.clock.move(1)
    assert receiving.send(phone_number(2)).error is None
    receiving.connections.forget_old()
    assert receiving.stored() == {"called": 1, "refused": REFUSED_KEPT}
    [newest, *_], _ = receiving.connections.list_deliveries(ACME, receiving.issued.connection.connection_id, limit=5)
    assert newest.call_status == "queued"
    receiving.world.clock.move(31 * 86_400)
    receiving.connections.forget_old()
    assert receiving.stored() == {}


def test_the_phone_hears_the_code_of_the_other_system(receiving: Receiving) -> None:
    receiving.send("+12025550142")
    receiving.world.pass_time(20)
    assert receiving.world.heard("+12025550142") == [CODE]
    with receiving.world.db.read() as connection:
        events = list_newest(connection, frozenset({"acme"}), after=None, limit=50)
        told = [render_event(connection, event, shows_phone=False) for event in events]
    assert "call.heard" in [event.type.value for event in events]
    assert {each["reference"] for each in told if each} == {receiving.issued.connection.connection_id}
