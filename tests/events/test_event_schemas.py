"""Every type of event is in the OpenAPI document, and what is sent is as that says: real events and examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from letstalk.core.clock import utc_now
from letstalk.db.database import Database
from letstalk.events.models import AppEventType
from letstalk.events.publishing import content_of
from letstalk.events.recording import record_all_due_events
from letstalk.events.repository import list_newest
from letstalk.verifications.event_objects import make_example, render_event
from tests.support.apps import make_app
from tests.support.world import BUSY, MACHINE, World


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    found: dict[str, Any] = make_app(folder).test_client().get("/openapi.json").get_json()
    return found


def problems(document: dict[str, Any], content: dict[str, Any]) -> list[str]:
    """What is wrong with an event by the document's schema for its type."""
    described = document["webhooks"][content["type"]]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{content['type']}: {error.instance_path} {error.message}" for error in validator.iter_errors(content)]


def test_every_type_is_described_and_its_example_fits(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == set(AppEventType)
    examples = [make_example(utc_now, type_, "acme") for type_ in AppEventType]
    assert [problem for example in examples for problem in problems(document, example)] == []


def test_an_event_of_another_shape_does_not_fit(document: dict[str, Any]) -> None:
    example = make_example(utc_now, AppEventType.CALL_ENDED, "acme")
    assert problems(document, {**example, "data": {**example["data"], "status": "rung"}})
    assert problems(document, {**example, "sequence": "first"})


def test_real_events_fit(document: dict[str, Any], sqlite_db: Database) -> None:
    world = World(sqlite_db)
    accepted = world.send()
    code = world.code_of(accepted.verification_id)
    world.send(BUSY)
    world.send(MACHINE)
    world.pass_time(60)
    world.check(accepted.verification_id, code)
    record_all_due_events(world.db)
    with world.db.read() as connection:
        events = list_newest(connection, None, after=None, limit=100)
        contents = [
            content_of(event, render_event(connection, event, shows_phone=shows))
            for event in events
            for shows in (False, True)
        ]
    assert len({content["type"] for content in contents}) >= 7
    assert [problem for content in contents for problem in problems(document, content)] == []
