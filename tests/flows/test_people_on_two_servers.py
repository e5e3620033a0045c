"""What ends for a person on one server has ended on every other, at once: nobody remembers people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import AccountChanges
from tests.support.account_services import OTHER_PASSWORD, PASSWORD, Person, a_person
from tests.support.apps import OWNER, make_app, services_of

Act = Callable[[Flask, Person], object]


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Flask, Flask]]:
    """Two applications with one database and the same keys; on PostgreSQL as on two machines."""
    settings = {}
    if request.param == "postgresql":
        settings["DATABASE_URL"] = request.getfixturevalue("migrated_postgresql_url")
    pair = make_app(tmp_path, **settings), make_app(tmp_path, **settings)
    yield pair
    for app in pair:
        app.extensions["letstalk_db"].close()


def change(changes: AccountChanges) -> Act:
    return lambda app, person: services_of(app).accounts.service.update_account(
        OWNER, person.account.account_id, changes
    )


ENDS: dict[str, Act] = {
    "signing out": lambda _app, person: person.post("/api/auth/logout"),
    "signing out everywhere": lambda _app, person: person.post("/api/auth/logout", {"everywhere": True}),
    "another role": change(AccountChanges(role="viewer")),
    "disabling": change(AccountChanges(disabled=True)),
    "a new password": lambda _app, person: person.call(
        "PUT", "/api/auth/password", {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    ),
    "a password set by an admin": lambda app, person: services_of(app).accounts.passwords.set_password(
        person.account.account_id, OTHER_PASSWORD
    ),
    "deletion": lambda app, person: services_of(app).accounts.service.delete_account(OWNER, person.account.account_id),
    "a spent refresh token": lambda _app, person: [
        person.client.post(
            "/api/auth/refresh", json={"refresh_token": person.refresh_token}, headers={"User-Agent": it}
        )
        for it in ("a program", "another")
    ],
    "ending the session from another one": lambda app, person: _end_from_elsewhere(app, person),
}


def _end_from_elsewhere(app: Flask, person: Person) -> None:
    other = Person(app.test_client(), person.account)
    other.sign_in()
    assert other.call("DELETE", "/api/auth/sessions").status_code == 200


def test_the_old_access_token_is_refused_on_the_second_server_at_once(servers: tuple[Flask, Flask]) -> None:
    first, second = servers
    for number, (what, end) in enumerate(ENDS.items()):
        person = a_person(first, f"ada-{number}")
        headers = {"Authorization": f"Bearer {person.token}"}
        there = second.test_client()
        for path in ("/api/auth/me", "/calls"):
            assert there.get(path, headers=headers).status_code == 200, what
        end(first, person)
        for path in ("/api/auth/me", "/calls"):
            answer = there.get(path, headers=headers)
            assert (answer.status_code, answer.get_json()["error"]) == (401, "Invalid or revoked token"), what


def test_grants_hold_on_the_second_server_at_once(servers: tuple[Flask, Flask]) -> None:
    first, second = servers
    person = a_person(first)
    headers = {"Authorization": f"Bearer {person.token}", "X-User-Id": "globex"}
    there = second.test_client()
    assert there.get("/calls", headers=headers).get_json()["code"] == "not_granted"
    change(AccountChanges(owner_ids=("globex",)))(first, person)
    assert there.get("/calls", headers=headers).status_code == 200
    change(AccountChanges(owner_ids=("acme",)))(first, person)
    assert there.get("/calls", headers=headers).get_json()["code"] == "not_granted"


def test_a_new_signing_key_is_believed_by_the_second_server_at_once(servers: tuple[Flask, Flask]) -> None:
    first, second = servers
    person = a_person(first)
    there = second.test_client()
    assert there.get("/calls", headers={"Authorization": f"Bearer {person.token}"}).status_code == 200
    services_of(first).accounts.access_tokens.rotate_keys()
    before = person.token
    assert person.sign_in().status_code == 200
    for token in (before, person.token):
        assert there.get("/calls", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_wait_after_failures_holds_on_the_second_server_too(servers: tuple[Flask, Flask]) -> None:
    first, second = servers
    a_person(first)
    body = {"username": "ada", "password": "wrong"}
    statuses = [app.test_client().post("/api/auth/login", json=body).status_code for app in (first, second) * 4]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
