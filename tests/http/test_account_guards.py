"""Where an API token is taken a person's access token is too: within the role, for the owners granted."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from letstalk.accounts.authentication import ACCOUNT_PREFIX
from letstalk.accounts.models import Device
from tests.support.account_services import Person, a_person
from tests.support.apps import issue_token, make_app, services_of

AN_ID = "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"
STRANGER = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("person-guards"), RATE_LIMIT_PHONE="off", RATE_LIMIT_PHONE_ALL="off")


@pytest.fixture(scope="module")
def people(app: Flask) -> dict[str, Person]:
    return {
        "admin": a_person(app, "admin-1", "admin", owner_ids=()),
        "developer": a_person(app, "developer-1", "developer", owner_ids=("acme",)),
        "both": a_person(app, "developer-2", "developer", owner_ids=("acme", "globex")),
        "viewer": a_person(app, "viewer-1", "viewer", owner_ids=("acme",)),
        "none": a_person(app, "developer-3", "developer", owner_ids=()),
    }


def send(person: Person, number: int, **headers: str) -> str:
    answer = person.post("/calls/otp", {"phone": f"+2567001{number:05d}"}, **headers)
    assert answer.status_code == 202, answer.text
    verification_id: str = answer.get_json()["verification_id"]
    return verification_id


def code_of(person: Person, method: str, path: str, **headers: str) -> tuple[int, str | None]:
    answer = person.call(method, path, None, **headers)
    return answer.status_code, answer.get_json().get("code")


def test_a_developer_s_verifications_are_the_owner_s(app: Flask, people: dict[str, Person]) -> None:
    verification_id = send(people["developer"], 1)
    client = app.test_client()
    for owner, status in (("acme", 200), ("globex", 404)):
        token = {"Authorization": f"Bearer {issue_token(app, owner_id=owner)}"}
        assert client.get(f"/calls/{verification_id}", headers=token).status_code == status
    assert people["viewer"].get(f"/calls/{verification_id}").status_code == 200
    assert people["both"].get(f"/calls/{verification_id}", X_User_Id="acme").status_code == 200
    assert people["both"].get(f"/calls/{verification_id}", X_User_Id="globex").status_code == 404
    assert people["admin"].get(f"/calls/{verification_id}", X_User_Id="acme").status_code == 200
    assert people["admin"].get(f"/calls/{verification_id}").status_code == 404


def test_a_viewer_reads_and_does_nothing_else(people: dict[str, Person]) -> None:
    viewer = people["viewer"]
    assert code_of(viewer, "GET", "/calls") == (200, None)
    assert code_of(viewer, "GET", "/api/tokens") == (200, None)
    for method, path in (
        ("POST", "/calls/otp"),
        ("POST", "/calls/verify"),
        ("POST", "/calls/replay"),
        ("POST", f"/calls/{AN_ID}/cancel"),
        ("POST", "/api/tokens"),
        ("PATCH", f"/api/tokens/{AN_ID}"),
        ("POST", f"/api/tokens/{AN_ID}/rotate"),
        ("DELETE", f"/api/tokens/{AN_ID}"),
        ("GET", "/api/accounts"),
        ("DELETE", f"/api/accounts/{AN_ID}"),
        ("GET", "/metrics"),
    ):
        assert code_of(viewer, method, path) == (403, "insufficient_scope"), path


def test_who_has_several_grants_says_for_which_they_act(people: dict[str, Person]) -> None:
    answer = people["both"].get("/calls")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert [detail["field"] for detail in answer.get_json()["details"]] == ["X-User-Id"]
    assert code_of(people["both"], "GET", "/calls", X_User_Id="globex") == (200, None)
    assert code_of(people["both"], "GET", "/calls", X_User_Id="initech") == (403, "not_granted")


@pytest.mark.parametrize("who", ["developer", "viewer", "both", "none"])
def test_nobody_acts_for_an_owner_that_was_not_granted(people: dict[str, Person], who: str) -> None:
    for owner_id in ("initech", "default_user", "ACME", "acme "):
        status, code = code_of(people[who], "GET", "/calls", X_User_Id=owner_id)
        if (who, owner_id) != ("none", "acme ") and owner_id.strip() == "acme":
            continue  # a header's spaces around it are no part of its value
        assert (status, code) == (403, "not_granted"), owner_id
    assert code_of(people["none"], "GET", "/calls") == (403, "not_granted")


@pytest.mark.parametrize("owner_id", ["", " ", "x" * 129, "letstalk:sign-in", "a\x7fb"])
def test_even_an_admin_acts_only_for_what_can_be_an_owner(people: dict[str, Person], owner_id: str) -> None:
    assert code_of(people["admin"], "GET", "/calls", X_User_Id=owner_id) == (400, "invalid_request")


def test_an_api_token_acts_for_its_own_owner_alone(app: Flask, people: dict[str, Person]) -> None:
    verification_id = send(people["both"], 2, X_User_Id="globex")
    headers = {"Authorization": f"Bearer {issue_token(app, owner_id='acme')}", "X-User-Id": "globex"}
    client = app.test_client()
    refused = client.get(f"/calls/{verification_id}", headers=headers)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "not_granted")
    admin = {"Authorization": f"Bearer {issue_token(app, 'admin', owner_id='acme')}", "X-User-Id": "globex"}
    assert client.get(f"/calls/{verification_id}", headers=admin).get_json()["code"] == "not_granted"
    assert client.get("/calls", headers={**headers, "X-User-Id": "acme"}).status_code == 200
    assert client.get("/calls", headers={**headers, "X-User-Id": "x" * 129}).status_code == 400


def test_an_owner_s_name_may_be_any_text(app: Flask) -> None:
    person = a_person(app, "unicode", owner_ids=("Käse & Co", "acme"))
    named = "Käse & Co".encode().decode("latin-1")
    assert code_of(person, "GET", "/calls", X_User_Id=named) == (200, None)


@pytest.mark.parametrize("who", ["token", "person"])
def test_x_auth_token_is_another_spelling_of_either(app: Flask, people: dict[str, Person], who: str) -> None:
    client = app.test_client()
    good = issue_token(app) if who == "token" else people["developer"].token
    assert client.get("/calls", headers={"X-AUTH-TOKEN": good}, environ_overrides=STRANGER).status_code == 200
    assert client.get("/calls", headers={"x-auth-token": f" {good} "}).status_code == 200
    bad = client.get("/calls", headers={"X-AUTH-TOKEN": good[:-3]}, environ_overrides=STRANGER)
    assert (bad.status_code, bad.get_json()["error"]) == (401, "Invalid or revoked token")
    empty = client.get("/calls", headers={"X-AUTH-TOKEN": ""}, environ_overrides=STRANGER)
    assert empty.get_json()["code"] == "missing_authorization"
    # Authorization is there, so it decides.
    both = {"Authorization": "Bearer lt_nothing", "X-AUTH-TOKEN": good}
    assert client.get("/calls", headers=both).status_code == 401
    half = {"Authorization": "Basic abc", "X-AUTH-TOKEN": good}
    assert client.get("/calls", headers=half).get_json()["code"] == "missing_authorization"
    assert client.get("/metrics", headers={"X-AUTH-TOKEN": good}).status_code == 403


def test_an_admin_reads_the_metrics(people: dict[str, Person]) -> None:
    assert (
        people["admin"]
        .client.get("/metrics", headers={"X-AUTH-TOKEN": people["admin"].token}, environ_overrides=STRANGER)
        .status_code
        == 200
    )


def test_a_developer_manages_the_tokens_of_the_owners_granted_within_their_role(people: dict[str, Person]) -> None:
    developer, both, admin = people["developer"], people["both"], people["admin"]
    made = developer.post("/api/tokens", {"name": "mine"})
    assert (made.status_code, made.get_json()["user_id"]) == (201, "acme")
    assert code_of(both, "GET", f"/api/tokens/{made.get_json()['token_id']}") == (200, None)
    unnamed = both.post("/api/tokens", {})
    assert (unnamed.status_code, unnamed.get_json()["details"][0]["field"]) == (400, "user_id")
    assert both.post("/api/tokens", {}, X_User_Id="globex").get_json()["user_id"] == "globex"
    assert both.post("/api/tokens", {"user_id": "globex"}).status_code == 201
    foreign = developer.post("/api/tokens", {"user_id": "globex"})
    assert (foreign.status_code, foreign.get_json()["code"]) == (403, "not_granted")
    wide = developer.post("/api/tokens", {"scopes": ["admin"]})
    assert (wide.status_code, wide.get_json()["code"]) == (403, "insufficient_scope")
    theirs = admin.post("/api/tokens", {"user_id": "globex", "name": "not theirs"}).get_json()["token_id"]
    for method in ("GET", "PATCH", "DELETE"):
        assert code_of(developer, method, f"/api/tokens/{theirs}") == (404, "not_found")
    owners = {token["user_id"] for token in developer.get("/api/tokens").get_json()["tokens"]}
    assert owners == {"acme"}
    assert {token["user_id"] for token in both.get("/api/tokens").get_json()["tokens"]} == {"acme", "globex"}
    assert developer.get("/api/tokens?user_id=globex").get_json()["tokens"] == []


def test_people_see_all_tokens_of_their_owners_and_change_only_what_they_may_give(people: dict[str, Person]) -> None:
    powerful = people["admin"].post("/api/tokens", {"user_id": "acme", "scopes": ["admin"]}).get_json()["token_id"]
    plain = people["admin"].post("/api/tokens", {"user_id": "acme"}).get_json()["token_id"]
    for who in ("developer", "viewer"):
        listed = {token["token_id"] for token in people[who].get("/api/tokens?limit=100").get_json()["tokens"]}
        assert {powerful, plain} <= listed
        assert code_of(people[who], "GET", f"/api/tokens/{powerful}") == (200, None)
    for method, path in (
        ("PATCH", f"/api/tokens/{powerful}"),
        ("POST", f"/api/tokens/{powerful}/rotate"),
        ("DELETE", f"/api/tokens/{powerful}"),
    ):
        assert code_of(people["developer"], method, path) == (403, "insufficient_scope")
    assert code_of(people["developer"], "DELETE", f"/api/tokens/{plain}") == (200, None)


def test_a_person_has_no_token_of_their_own(people: dict[str, Person]) -> None:
    assert code_of(people["developer"], "GET", "/api/tokens/current") == (404, "not_found")


def test_a_person_s_requests_are_limited_like_a_token_s(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN="3 per minute")
    person, other = a_person(app), a_person(app, "eve")
    assert [person.get("/calls").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert other.get("/calls").status_code == 200


class Browser:
    """A browser with a person's session in its cookie."""

    def __init__(self, app: Flask, person: Person) -> None:
        self.client: FlaskClient = app.test_client()
        secret = services_of(app).accounts.sessions.start_browser_session(
            person.account.account_id, Device("127.0.0.1", "a browser"), "password"
        )
        with self.client.session_transaction() as session:
            session["_user_id"] = f"{ACCOUNT_PREFIX}{secret}"
            session["_fresh"] = True


def test_a_person_s_browser_acts_within_the_role_and_needs_the_csrf_token(
    app: Flask, people: dict[str, Person]
) -> None:
    developer, viewer = Browser(app, people["developer"]).client, Browser(app, people["viewer"]).client
    me = developer.get("/api/auth/me").get_json()
    assert (me["username"], me["session"]["kind"]) == ("developer-1", "browser")
    assert developer.get("/api/accounts").get_json()["code"] == "insufficient_scope"
    assert developer.post("/api/tokens", json={}).get_json()["code"] == "csrf_failed"
    assert viewer.get("/api/tokens").status_code == 200
    assert viewer.get("/calls").get_json()["code"] == "missing_authorization"  # no cookie opens /calls
    assert developer.post("/api/auth/logout", json={}).get_json()["code"] == "csrf_failed"
    assert developer.get("/api/auth/me").status_code == 200


def test_a_browser_whose_session_was_ended_elsewhere_is_out(app: Flask, people: dict[str, Person]) -> None:
    browser = Browser(app, people["developer"]).client
    page = browser.get("/api/tokens/dashboard")
    assert page.status_code == 200
    assert people["developer"].call("DELETE", "/api/auth/sessions").status_code == 200
    assert browser.get("/api/auth/me").status_code == 401
    assert browser.get("/api/tokens/dashboard").status_code == 302
