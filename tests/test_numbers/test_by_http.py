"""Test numbers by the API, the command line and the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from letstalk.config.settings import load_settings
from letstalk.http.schemas import ERRORS
from tests.support.apps import Api, issue_token
from tests.support.pages import a_visitor
from tests.support.quick_apps import quick_app

PHONE, CODE, DAY = "+12025550142", "408213", 86_400
ADDRESS = "/api/test-numbers"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    env = {
        "TELEPHONY_PROVIDER": "simulator",
        "SECRET_KEY": "x" * 40,
        "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "DASHBOARD_PASSWORD": "correct horse battery staple",
        "DATABASE_URL": f"sqlite:///{tmp_path}/letstalk.db",
    }
    return quick_app(load_settings(env, None, root=tmp_path))


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app, "read", "write", "test_numbers:write"))


def body_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def made(api: Api, **fields: Any) -> dict[str, Any]:
    wanted = {"phone": PHONE, "code": CODE, "expires_in": DAY, "name": "review", **fields}
    return body_of(api.post(ADDRESS, wanted), 201)


def test_every_response_about_it_says_that_it_is_a_test(api: Api) -> None:
    number = made(api, phone="+1 202 555 0142")
    assert (number["phone"], number["code"], number["is_live"]) == (PHONE, CODE, True)
    sent = body_of(api.post("/calls/otp", {"phone": PHONE}), 202)
    assert (sent["is_test"], sent["call_status"], sent["status"]) == (True, "completed", "pending")
    assert sent["message"] == f"{PHONE} is a test number: no call was placed."
    assert CODE not in json.dumps(sent)
    [listed] = api.get("/calls").get_json()["verifications"]
    assert listed["is_test"] is True
    found = api.get(f"/calls/{sent['verification_id']}").get_json()
    assert found["is_test"] is True
    assert found["calls"][0]["reason"] == "This is a test number: no call was placed."
    approved = body_of(api.post("/calls/verify", {"phone": PHONE, "code": CODE}), 200)
    assert (approved["verified"], approved["is_test"]) == (True, True)
    other = body_of(api.post("/calls/otp", {"phone": "+12025550143"}), 202)
    assert other["is_test"] is False


def test_the_same_idempotency_key_brings_the_same_test_back(api: Api) -> None:
    made(api)
    first, second = (api.post("/calls/otp", {"phone": PHONE}, Idempotency_Key="one").get_json() for _ in range(2))
    assert first == second


def test_it_is_listed_changed_and_deleted(api: Api) -> None:
    number = made(api)
    where = f"{ADDRESS}/{number['test_number_id']}"
    authorization = {"Authorization": f"Bearer {api.token}"}
    assert api.get(ADDRESS).get_json() == {"test_numbers": [number], "next_cursor": None}
    assert api.get(where).get_json() == number
    changed = body_of(api.client.patch(where, json={"code": "719305", "name": None}, headers=authorization), 200)
    assert (changed["code"], changed["name"], changed["expires_at"]) == ("719305", None, number["expires_at"])
    for wrong in ({"code": None}, {"code": "123456"}, {"code": 719305}, {"expires_in": None}, {"phone": PHONE}):
        assert api.client.patch(where, json=wrong, headers=authorization).status_code == 400, wrong
    assert api.get(where).get_json() == changed
    assert api.client.delete(where, headers=authorization).get_json() == {"message": "Test number deleted"}
    assert api.client.delete(where, headers=authorization).status_code == 404
    assert api.post("/calls/otp", {"phone": PHONE}).get_json()["is_test"] is False


def test_refusals_say_what_is_wrong(api: Api) -> None:
    made(api)
    again = body_of(api.post(ADDRESS, {"phone": PHONE, "expires_in": DAY}), 409)
    assert (again["code"], again["error"]) == ("already_test_number", ERRORS["already_test_number"].error)
    endless = body_of(api.post(ADDRESS, {"phone": "+12025550143"}), 400)
    assert [detail["field"] for detail in endless["details"]] == ["expires_in"]
    emoji = body_of(api.post(ADDRESS, {"phone": "☎️", "expires_in": DAY}), 400)
    assert emoji["code"] == "invalid_phone"
    for name in ("☎️", "x" * 100):
        assert made(api, phone=f"+1202555015{len(name) % 10}", name=name)["name"] == name
    foreign = body_of(api.post(ADDRESS, {"phone": PHONE, "expires_in": DAY, "user_id": "globex"}), 403)
    assert foreign["code"] == "not_granted"
    for cursor in ("x", "", "💥"):
        assert api.get(ADDRESS, cursor=cursor).status_code == 400


def test_a_token_with_write_alone_neither_sees_nor_makes_one(app: Flask, api: Api) -> None:
    made(api)
    writer = Api(app.test_client(), issue_token(app, "read", "write", "tokens:read", "tokens:write"))
    assert writer.get(ADDRESS).status_code == 403
    assert writer.post(ADDRESS, {"phone": "+12025550143", "expires_in": DAY}).status_code == 403
    given = writer.post("/api/tokens", {"scopes": ["test_numbers:write"]})
    assert body_of(given, 403)["code"] == "insufficient_scope"


def test_pages_follow_each_other(api: Api) -> None:
    for number in range(3):
        made(api, phone=f"+1202555014{number}")
    first = api.get(ADDRESS, limit=2).get_json()
    rest = api.get(ADDRESS, limit=2, cursor=first["next_cursor"]).get_json()
    phones = [number["phone"] for page in (first, rest) for number in page["test_numbers"]]
    assert phones == ["+12025550142", "+12025550141", "+12025550140"]
    assert rest["next_cursor"] is None


def test_the_command_line_does_the_same(app: Flask) -> None:
    runner = app.test_cli_runner()

    def run(*words: str, status: int = 0) -> Any:
        result = runner.invoke(args=["test-numbers", *words])
        assert result.exit_code == status, result.output
        return result

    assert "in production a test number has an end" in run("create", PHONE, status=1).stderr
    created = run("create", PHONE, "--user-id", "acme", "--days", "30", "--name", "review")
    assert re.fullmatch(r"\d{6}\n", created.stdout)
    [listed] = json.loads(run("list", "--json").stdout)
    assert (listed["phone"], listed["code"], listed["user_id"]) == (PHONE, created.stdout.strip(), "acme")
    run("update", listed["test_number_id"], "--code", CODE, "--days", "1")
    table = run("list", "--user-id", "acme").stdout
    assert PHONE in table
    assert CODE in table
    run("delete", listed["test_number_id"])
    assert "does not exist" in run("delete", "nothing", status=1).stderr
    assert json.loads(run("list", "--json").stdout) == []


def test_the_pages_create_change_and_delete_one(app: Flask) -> None:
    developer = a_visitor(app, "dev", "developer")
    page = developer.get("/dashboard/test-numbers")
    assert "No test numbers" in page.text
    new = developer.get("/dashboard/test-numbers/new").text
    assert "Never (in development only)" not in new
    wrong = developer.post("/dashboard/test-numbers", phone="12", user_id="acme", code=CODE, expires_in=str(DAY))
    assert wrong.status_code == 400
    assert 'aria-invalid="true"' in wrong.text
    assert f'value="{CODE}"' in wrong.text  # what was typed stays
    created = developer.post("/dashboard/test-numbers", phone=PHONE, user_id="acme", code=CODE, expires_in=str(DAY))
    assert created.status_code == 302
    shown = developer.get(created.location).text
    assert PHONE in shown
    assert f"<code>{CODE}</code>" in shown
    again = developer.post("/dashboard/test-numbers", phone=PHONE, user_id="acme", code=CODE, expires_in=str(DAY))
    assert again.status_code == 409
    foreign = developer.post("/dashboard/test-numbers", phone=PHONE, user_id="globex", expires_in=str(DAY))
    assert foreign.status_code == 403
    refused = developer.post(created.location, code="123456", name="", expires_in="keep")
    assert refused.status_code == 400
    assert "anybody would try" in refused.text
    assert developer.post(created.location, code="719305", name="x", expires_in="keep").status_code == 302
    assert "719305" in developer.get("/dashboard/test-numbers").text
    assert "Delete" in developer.get(f"{created.location}/delete").text
    assert developer.post(f"{created.location}/delete").status_code == 302
    assert developer.get(created.location).status_code == 404
    assert "No test numbers" in developer.get("/dashboard/test-numbers").text


def test_the_form_begins_with_an_owner_that_exists(app: Flask) -> None:
    admin = a_visitor(app, "root", "admin", owner_ids=())
    new = "/dashboard/test-numbers/new"
    assert 'name="user_id" type="text" value="default_user"' in admin.get(new).text  # there is no owner yet
    issue_token(app, "read", owner_id="globex")
    assert 'name="user_id" type="text" value="globex"' in admin.get(new).text
    assert 'name="user_id" value="globex"' in admin.get("/dashboard/tokens/new").text
    issue_token(app, "read", owner_id="acme")
    page = admin.get(new).text
    assert 'name="user_id" type="text" value=""' in page  # which of them is meant is open
    assert re.findall(r'<option value="([^"]+)"></option>', page) == ["acme", "globex"]
    developer = a_visitor(app, "dev", "developer", owner_ids=("globex",)).get(new).text
    assert ("globex" in developer, "acme" in developer) == (True, False)
