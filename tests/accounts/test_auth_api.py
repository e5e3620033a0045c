"""`/api/auth`: the requests and responses of signing in."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from flask import Flask

from tests.support.account_services import OTHER_PASSWORD, PASSWORD, Person, a_person, someone_called
from tests.support.apps import TurnableClock, issue_token, make_app, services_of
from tests.support.world import StandingClock

LOGIN = "/api/auth/login"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("auth"))


@pytest.fixture
def person(app: Flask) -> Person:
    return a_person(app, f"ada-{uuid.uuid4().hex[:8]}")


def test_a_sign_in_answers_what_the_contract_says(app: Flask, person: Person) -> None:
    for name in (person.account.username, person.account.email.upper()):
        answer = app.test_client().post(LOGIN, json={"username": name, "password": PASSWORD})
        assert answer.status_code == 200
        body = answer.get_json()
        assert set(body) == {"token", "refresh_token", "token_type", "expires_in", "user_id", "username", "role"}
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
        assert body["user_id"] == person.account.account_id == str(uuid.UUID(body["user_id"]))
        assert (body["username"], body["role"]) == (person.account.username, "developer")
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(app: Flask, person: Person) -> None:
    client = app.test_client()
    answers = [
        client.post(LOGIN, json={"username": name, "password": "wrong"}, environ_overrides={"REMOTE_ADDR": address})
        for name, address in ((person.account.username, "203.0.113.1"), ("nobody", "203.0.113.2"))
    ]
    bodies = [{**answer.get_json(), "request_id": None} for answer in answers]
    assert bodies[0] == bodies[1]
    assert bodies[0]["code"] == "invalid_credentials"
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="letstalk"'
        assert "Retry-After" not in answer.headers


def test_too_many_failures_wait_with_retry_after_also_for_names_that_nobody_has(tmp_path: Path) -> None:
    app = make_app(tmp_path, StandingClock())
    person, client = a_person(app), app.test_client()
    seen = []
    for name, address in ((person.account.username, "203.0.113.3"), ("nobody-else", "203.0.113.4")):
        statuses = []
        for _ in range(7):
            answer = client.post(
                LOGIN, json={"username": name, "password": "wrong"}, environ_overrides={"REMOTE_ADDR": address}
            )
            statuses.append((answer.status_code, answer.get_json()["code"]))
        assert answer.headers["Retry-After"] == str(answer.get_json()["retry_after"])
        seen.append(statuses)
    assert seen[0] == seen[1]
    assert seen[0][:5] == [(401, "invalid_credentials")] * 5
    assert seen[0][-1] == (429, "sign_in_throttled")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "ada"},
        {"password": PASSWORD},
        {"username": "", "password": PASSWORD},
        {"username": "ada\0", "password": PASSWORD},
        {"username": ["ada"], "password": PASSWORD},
        {"username": "ada", "password": 7},
        {"username": "ada", "password": ""},
        {"username": "ada", "password": "half \ud83d"},
        {"username": "ada", "password": "x" * 1025},
        {"username": "x" * 300, "password": PASSWORD},
        {"username": "ada", "password": PASSWORD, "role": "admin"},
    ],
)
def test_a_request_that_is_none_is_400_and_shows_no_password(app: Flask, body: dict[str, object]) -> None:
    answer = app.test_client().post(LOGIN, json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert PASSWORD not in answer.text


def test_a_refresh_gives_the_next_pair_and_a_spent_one_ends_everything(person: Person) -> None:
    first_token, first_refresh = person.token, person.refresh_token
    answer = person.client.post("/api/auth/refresh", json={"refresh_token": first_refresh})
    assert answer.status_code == 200
    person.keep(answer)
    assert first_token != person.token
    assert first_refresh != person.refresh_token
    assert person.get("/api/auth/me").status_code == 200

    again = person.client.post("/api/auth/refresh", json={"refresh_token": first_refresh})
    assert (again.status_code, again.get_json()["refresh_token"]) == (200, person.refresh_token)
    thief = {"User-Agent": "somebody else's program"}
    again = person.client.post("/api/auth/refresh", json={"refresh_token": first_refresh}, headers=thief)
    assert (again.status_code, again.get_json()["error"]) == (401, "Invalid or revoked token")
    assert person.get("/api/auth/me").status_code == 401
    dead = person.client.post("/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert (dead.status_code, dead.get_json()["code"]) == (401, "invalid_token")


def test_a_sign_in_takes_the_address_as_email_too_and_exactly_one_name(person: Person) -> None:
    def sign_in(**names: object) -> int:
        body = {**names, "password": PASSWORD}
        return person.client.post("/api/auth/login", json=body).status_code

    account = person.account
    assert sign_in(email=account.email) == 200
    assert sign_in(email=account.email.upper()) == 200
    assert sign_in(username=account.email) == 200
    assert sign_in(username=account.username, email=account.email) == 400
    assert sign_in() == 400
    assert sign_in(email=account.username) == 400, "no address"
    refused = person.client.post("/api/auth/login", json={"email": "ada", "password": PASSWORD}).get_json()
    assert (refused["error"], refused["details"][0]["field"]) == ("email must be an e-mail address.", "email")
    assert sign_in(email="nobody@example.com") == 401


def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(person: Person) -> None:
    swapped = person.client.post("/api/auth/refresh", json={"refresh_token": person.token[:200]})
    assert swapped.status_code == 401
    answer = person.client.get("/api/auth/me", headers={"Authorization": f"Bearer {person.refresh_token}"})
    assert (answer.status_code, answer.get_json()["error"]) == (401, "Invalid or revoked token")


def test_me_is_the_account_its_role_grants_and_session(person: Person) -> None:
    body = person.get("/api/auth/me").get_json()
    assert (body["user_id"], body["account_id"]) == ("acme", person.account.account_id)
    assert {"otp:send", "tokens:write"} < set(body["scopes"])
    assert "admin" not in body["scopes"]
    assert (body["username"], body["email"]) == (person.account.username, person.account.email)
    assert (body["role"], body["state"], body["user_ids"]) == ("developer", "active", ["acme"])
    assert body["session"]["current"] is True
    assert (body["session"]["kind"], body["session"]["method"]) == ("api", "password")
    assert body["session"]["address"] == "127.0.0.1"
    assert body["session"]["user_agent"].startswith("Werkzeug")


def test_signing_out_ends_this_session_alone_and_everywhere_all(app: Flask, person: Person) -> None:
    others = [Person(app.test_client(), person.account) for _ in range(2)]
    for other in others:
        assert other.sign_in().status_code == 200
    assert person.post("/api/auth/logout").get_json() == {"sessions_ended": 1}
    assert person.get("/api/auth/me").status_code == 401
    assert others[0].get("/api/auth/me").status_code == 200
    assert others[0].post("/api/auth/logout", {"everywhere": True}).get_json() == {"sessions_ended": 2}
    assert [other.get("/api/auth/me").status_code for other in others] == [401, 401]
    assert others[0].post("/api/auth/logout").status_code == 401


def test_a_new_password_answers_a_new_pair_and_the_old_ones_are_refused(app: Flask, person: Person) -> None:
    other = Person(app.test_client(), person.account)
    other.sign_in()
    before = person.token
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    answer = person.call("PUT", "/api/auth/password", body)
    assert answer.status_code == 200
    assert person.get("/api/auth/me").status_code == 401
    assert other.get("/api/auth/me").status_code == 401
    person.keep(answer)
    assert person.token != before
    assert person.get("/api/auth/me").status_code == 200
    assert len(person.get("/api/auth/sessions").get_json()["sessions"]) == 1
    assert person.sign_in().status_code == 401
    person.password = OTHER_PASSWORD
    assert person.sign_in().status_code == 200


def test_a_weak_new_password_says_what_is_wrong_and_changes_nothing(person: Person) -> None:
    for weak in ("short", "password1234", person.account.email, "x" * 257):
        body = {"current_password": PASSWORD, "new_password": weak}
        answer = person.call("PUT", "/api/auth/password", body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "weak_password")
        assert [detail["field"] for detail in answer.get_json()["details"]] == ["new_password"]
    assert person.get("/api/auth/me").status_code == 200
    body = {"current_password": "wrong", "new_password": OTHER_PASSWORD}
    wrong = person.call("PUT", "/api/auth/password", body)
    assert (wrong.status_code, wrong.get_json()["code"]) == (403, "wrong_password")
    for missing in ({}, {"current_password": ""}):
        answer = person.call("PUT", "/api/auth/password", {"new_password": OTHER_PASSWORD, **missing})
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert person.get("/api/auth/me").status_code == 200, "nobody is signed out by a mistyped password"


def test_one_s_sessions_are_listed_and_ended_one_by_one_or_all_others(app: Flask, person: Person) -> None:
    others = [Person(app.test_client(), person.account) for _ in range(3)]
    for other in others:
        other.sign_in()
    listed = person.get("/api/auth/sessions").get_json()["sessions"]
    assert len(listed) == 4
    assert [session["current"] for session in listed].count(True) == 1
    mine = next(session for session in listed if session["current"])
    assert person.get("/api/auth/me").get_json()["session"]["session_id"] == mine["session_id"]
    someones = others[0].get("/api/auth/me").get_json()["session"]["session_id"]
    assert person.call("DELETE", f"/api/auth/sessions/{someones}").get_json() == {"sessions_ended": 1}
    assert person.call("DELETE", f"/api/auth/sessions/{someones}").status_code == 404
    assert others[0].get("/api/auth/me").status_code == 401
    assert person.call("DELETE", "/api/auth/sessions").get_json() == {"sessions_ended": 2}
    assert [other.get("/api/auth/me").status_code for other in others] == [401, 401, 401]
    assert person.get("/api/auth/me").status_code == 200


def test_another_s_session_is_not_there(app: Flask, person: Person) -> None:
    eve = a_person(app, f"eve-{uuid.uuid4().hex[:8]}", role="admin")
    session_id = person.get("/api/auth/me").get_json()["session"]["session_id"]
    assert eve.call("DELETE", f"/api/auth/sessions/{session_id}").get_json()["code"] == "not_found"
    assert person.get("/api/auth/me").status_code == 200


def test_an_api_token_is_no_person(app: Flask) -> None:
    client = app.test_client()
    headers = {"Authorization": f"Bearer {issue_token(app, 'admin')}"}
    for method, path in (
        ("GET", "/api/auth/me"),
        ("GET", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions"),
        ("POST", "/api/auth/logout"),
        ("PUT", "/api/auth/password"),
    ):
        answer = client.open(path, method=method, headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "person_required"), path


def test_lifetimes_are_settings(tmp_path: Path) -> None:
    clock = TurnableClock()
    app = make_app(tmp_path, clock, ACCESS_TOKEN_SECONDS="60", REFRESH_TOKEN_SECONDS="3600")
    person = a_person(app)
    assert person.sign_in().get_json()["expires_in"] == 60
    clock.move(59)
    assert person.get("/api/auth/me").status_code == 200
    clock.move(1)
    expired = person.get("/api/auth/me")
    assert (expired.status_code, expired.get_json()["error"]) == (401, "Invalid or revoked token")
    clock.move(3600 - 61)
    person.keep(person.client.post("/api/auth/refresh", json={"refresh_token": person.refresh_token}))
    clock.move(3600)
    late = person.client.post("/api/auth/refresh", json={"refresh_token": person.refresh_token})
    assert late.status_code == 401


def test_a_second_factor_is_asked_for_and_answered_over_the_api(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    phone = "+256700123456"
    account = someone_called(services_of(app).accounts, app.extensions["letstalk_db"], phone=phone)
    person = Person(app.test_client(), account)
    asked = person.sign_in()
    body = asked.get_json()
    assert (asked.status_code, body["code"], body["phone"]) == (401, "second_factor_required", "+2567…56")
    assert phone not in asked.text
    assert "token" not in body
    wrong = person.client.post("/api/auth/second-factor", json={"challenge": body["challenge"], "code": "x"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "invalid_request")
    answer = person.client.post("/api/auth/second-factor", json={"challenge": "guessed", "code": "123456"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_challenge")
    again = person.sign_in().get_json()
    assert again["code"] == "second_factor_required", "too early for a call, and not for the code of the last one"
    assert again["challenge"] != body["challenge"]


def test_the_owner_s_password_is_no_account(app: Flask) -> None:
    for name in ("owner", "admin", "default_user"):
        answer = app.test_client().post(
            LOGIN, json={"username": name, "password": PASSWORD}, environ_overrides={"REMOTE_ADDR": "203.0.113.9"}
        )
        assert answer.status_code == 401
