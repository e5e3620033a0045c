"""No page, list, feed, CSV or statistic shows an owner anything of another owner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from letstalk.connect.service import NewConnection
from letstalk.test_numbers.models import NewTestNumber
from letstalk.tokens.models import NewToken
from letstalk.verifications.models import NewVerification
from tests.support.apps import OWNER as OWNER_ACTOR
from tests.support.apps import issue_token, make_app, services_of
from tests.support.permissions import Asker, Row, rows
from tests.support.permitted_calls import THEIRS, World

# What the other owner has. Each is a text that nothing else contains.
TOKEN_NAME = "zanzibar-till"
REFERENCE = "zanzibar-order-4711"
PHONE, TEST_PHONE = "+255712345671", "+255712345672"
COUNTRY = "TZ"
URL = "http://127.0.0.1:9/zanzibar-hook"
CONNECTION, CONNECTED_PHONE = "zanzibar-login", "+255712345673"

READERS = (
    Asker("person", "viewer"),
    Asker("person", "developer"),
    Asker("browser", "viewer"),
    Asker("browser", "developer"),
    *(Asker("token", scope) for scope in ("read", "tokens:read", "test_numbers:write", "webhooks:write")),
    Asker("token", "connections:write"),
)
# They say which countries exist, as everybody knows.
GENERAL = {"GET /openapi.json", "GET /docs/assets/{name}", "GET /static/{filename}", "GET /api/languages", "GET /docs"}
GENERAL |= {"GET /dashboard/languages"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder: Path = tmp_path_factory.mktemp("owners")
    app = make_app(folder, RATE_LIMIT_PHONE_ALL="off", MAX_CONCURRENT_CALLS="10000", NUMBER_TYPES="mobile,fixed_line")
    services, theirs = services_of(app), replace(OWNER_ACTOR, owner_id=THEIRS)
    token = issue_token(app, "read", "write", owner_id=THEIRS)
    caller = services.tokens.authenticator.authenticate(token, "127.0.0.1")
    services.tokens.create_token(OWNER_ACTOR, NewToken(owner_id=THEIRS, name=TOKEN_NAME, scopes=("read",)))
    services.sends.start(caller, NewVerification(PHONE, None, None, 6, 300, reference=REFERENCE))
    services.test_numbers.create_test_number(OWNER_ACTOR, NewTestNumber(TEST_PHONE, owner_id=THEIRS))
    services.app_events.endpoints.create_endpoint(theirs, URL)
    connection = services.connections.service.create_connection(theirs, NewConnection("logto", name=CONNECTION))
    services.connections.hooks.send_test(theirs, connection.connection.connection_id, CONNECTED_PHONE)
    services.usage.flush()
    services.audit.flush()
    return World(app)


def readable(reader: Asker) -> list[Row]:
    return [row for row in rows() if row.method == "GET" and row.outcome(reader) == "yes" and row.call not in GENERAL]


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_nothing_of_another_owner_is_shown(world: World, reader: Asker) -> None:
    asked = readable(reader)
    assert asked
    found = []
    for row in asked:
        text = world.ask(row, reader).get_data(as_text=True)
        found += [
            (row.name, word)
            for word in (TOKEN_NAME, REFERENCE, PHONE, TEST_PHONE, URL, CONNECTION, CONNECTED_PHONE, THEIRS)
            if word in text
        ]
        if f">{COUNTRY}<" in text or f'"{COUNTRY}"' in text:
            found.append((row.name, COUNTRY))
    assert found == []


def test_an_admin_sees_all_of_it_so_that_the_search_can_find_something(world: World) -> None:
    admin = Asker("browser", "admin")
    texts = [world.ask(row, admin).get_data(as_text=True) for row in readable(admin)]
    shown = {word for word in (TOKEN_NAME, TEST_PHONE, CONNECTION, THEIRS) for text in texts if word in text}
    assert shown == {TOKEN_NAME, TEST_PHONE, CONNECTION, THEIRS}
