"""Connections in the dashboard, by the API and in a shell: what each shows, and to whom."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from letstalk.connect.kinds import KINDS
from letstalk.connect.models import MAX_CONNECTIONS
from letstalk.connect.service import NewConnection
from letstalk.core.errors import Conflict
from letstalk.core.secret_files import make_encryption_key
from tests.support.apps import OWNER, Api, issue_token, make_app, services_of
from tests.support.pages import Visitor, a_visitor

PAGES = "/dashboard/connections"
PHONE = "+256701200300"
ACME, GLOBEX = (replace(OWNER, owner_id=owner) for owner in ("acme", "globex"))


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=make_encryption_key(), PUBLIC_URL="https://calls.example.com")


@pytest.fixture
def developer(app: Flask) -> Visitor:
    return a_visitor(app, "dora", "developer", owner_ids=("acme",))


def send(visitor: Visitor, path: str, **form: object) -> tuple[int, str]:
    """The status, and the page or where it leads."""
    answer = visitor.client.post(path, data={"csrf_token": visitor.csrf_token(), **form})
    return answer.status_code, answer.headers.get("Location") or answer.get_data(as_text=True)


def page(visitor: Visitor, path: str) -> str:
    answer = visitor.client.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def test_a_connection_is_made_tried_rotated_and_deleted(app: Flask, developer: Visitor) -> None:
    assert "New connection" in page(developer, PAGES)
    form = {"user_id": "acme", "name": "Shop", "rate_limit": "5 per minute", "submission": "1"}
    status, shown = send(developer, f"{PAGES}/new/supabase", **form)
    secret, url = re.search(r"v1,whsec_[\w+/=]+", shown), re.search(r"https://\S+/connect/supabase/ltc_\w+", shown)
    assert (status, secret is not None, url is not None) == (200, True, True)
    assert secret is not None
    assert url is not None
    assert f"GOTRUE_HOOK_SEND_SMS_URI={url[0]}" in shown
    assert f"GOTRUE_HOOK_SEND_SMS_SECRETS={secret[0]}" in shown
    assert send(developer, f"{PAGES}/new/supabase", **form)[0] == 302  # shown once
    connection = f"{PAGES}/{re.findall(PAGES + '/([0-9a-f-]{36})', shown)[0]}"
    told = page(developer, connection)
    assert "No real phone rings: the simulator answers." in told
    assert "whsec_" not in told
    assert url[0] in told
    assert "sms.otp" in told
    assert "No requests yet" in told
    status, tested = send(developer, f"{connection}/test", phone=PHONE)
    assert (status, "called" in tested, "queued" in tested, "+2567…00" in tested) == (200, True, True, True)
    assert PHONE not in tested
    status, refused = send(developer, f"{connection}/test", phone="+1 900 555 0123")
    assert status == 200
    assert "never called" in refused
    assert "http_code" in refused
    assert "whsec_" in send(developer, f"{connection}/rotate", grace_seconds="3600", submission="2")[1]
    assert "counts until" in page(developer, connection)
    assert send(developer, connection, name="Till", rate_limit="1 per day", locale="fr-FR")[0] == 302
    changed = services_of(app).connections.service.list_reached(None)[0]
    assert (changed.name, changed.rate_limit, changed.locale) == (*("Till", "1 per day", "fr-FR"),)
    assert send(developer, f"{connection}/delete") == (302, PAGES)
    assert "No connections" in page(developer, PAGES)


def test_a_system_that_makes_its_secret_waits_for_it(app: Flask, developer: Visitor) -> None:
    _, shown = send(developer, f"{PAGES}/new/zitadel", user_id="acme", rate_limit="5 per minute", submission="1")
    assert "It needs one thing more" in shown
    connection = f"{PAGES}/{re.findall(PAGES + '/([0-9a-f-]{36})', shown)[0]}"
    assert "needs secret" in page(developer, PAGES)
    made = services_of(app).connections.service.list_reached(None)[0]
    assert app.test_client().post(made.path, data=b"{}").status_code == 401
    assert "waits for the secret that ZITADEL makes" in page(developer, connection)
    assert send(developer, f"{connection}/test", phone=PHONE)[0] == 409
    key = "the-signing-key-of-zitadel"
    assert send(developer, f"{connection}/rotate", grace_seconds="0", secret="short", submission="2")[0] == 400
    assert send(developer, f"{connection}/rotate", grace_seconds="0", secret=key, submission="3")[0] == 302
    assert key not in page(developer, connection)
    assert "called" in send(developer, f"{connection}/test", phone=PHONE)[1]


@pytest.mark.parametrize(
    ("kind", "wrong", "sentence"),
    [
        ("logto", {"user_id": ""}, "Give the owner"),
        ("logto", {"user_id": "globex"}, "not granted"),
        ("logto", {"name": "x" * 300}, "1 to 100 characters"),
        ("authentik", {"default_region": "XX"}, "country of ISO 3166"),
        ("logto", {"default_region": "US"}, "always sends international numbers"),
        ("logto", {"locale": "tlh"}, "not spoken here"),
        ("logto", {"locale": "🎉"}, "BCP 47"),
        ("logto", {"rate_limit": "often"}, "Must be like"),
        ("logto", {"rate_limit": "1 per month"}, "a day at most"),
        ("logto", {"rate_limit": "1000000 per day"}, "up to 100000"),
        ("fusionauth", {"message_types": ["Fax"]}, "Voice, SMS"),
        ("fusionauth", {}, "Voice, SMS"),
        ("generic", {"phone_pointer": "phone", "code_pointer": "/code"}, "JSON pointer"),
        ("generic", {"phone_pointer": "/phone", "code_pointer": "/a~2"}, "JSON pointer"),
        ("zitadel", {"secret": "📞" * 20}, "letters, digits and signs"),
    ],
)
def test_a_wrong_field_is_said_and_nothing_is_made(
    app: Flask, developer: Visitor, kind: str, wrong: dict[str, object], sentence: str
) -> None:
    status, shown = send(developer, f"{PAGES}/new/{kind}", **{"user_id": "acme", "rate_limit": "5 per day", **wrong})
    assert 400 <= status < 500
    assert sentence in shown
    assert services_of(app).connections.service.list_reached(None) == []


def test_a_wrong_change_is_a_page_that_says_so(app: Flask, developer: Visitor) -> None:
    made = services_of(app).connections.service.create_connection(ACME, NewConnection("logto")).connection
    for path, form in (
        ("", {"rate_limit": ""}),
        ("", {"rate_limit": "1 per minute", "default_region": "🎉"}),
        ("/rotate", {"grace_seconds": "1e9"}),
        ("/test", {"phone": "☎️"}),
    ):
        status, shown = send(developer, f"{PAGES}/{made.connection_id}{path}", **form)
        if path == "" and form == {"rate_limit": ""}:
            assert status == 302, "left blank, it is the default"
            continue
        assert status == 400
        assert 'role="alert"' in shown or 'class="error"' in shown
    assert developer.client.get(f"{PAGES}/new/nothing").status_code == 404


def test_another_owners_connections_are_nowhere(app: Flask, developer: Visitor) -> None:
    service = services_of(app).connections.service
    theirs = service.create_connection(GLOBEX, NewConnection("logto", name="their shop")).connection
    for _ in range(5):
        app.test_client().post(theirs.path, data=b"{}")
    assert "their shop" in page(a_visitor(app, "ada", "admin"), "/dashboard")
    assert developer.client.get(f"{PAGES}/{theirs.connection_id}").status_code == 404
    for change in ("", "/rotate", "/test", "/delete"):
        form = {"rate_limit": "1 per day", "grace_seconds": "0", "phone": PHONE, "submission": change}
        assert send(developer, f"{PAGES}/{theirs.connection_id}{change}", **form)[0] == 404
    seen = "".join(page(developer, path) for path in (PAGES, "/dashboard", "/dashboard/events", "/dashboard/audit"))
    assert "their shop" not in seen
    assert "globex" not in seen
    assert service.list_reached(frozenset({"acme"})) == []


def test_a_failing_connection_is_on_the_overview_until_it_works(app: Flask, developer: Visitor) -> None:
    connections = services_of(app).connections
    made = connections.service.create_connection(ACME, NewConnection("logto", name="Shop")).connection
    for _ in range(5):
        app.test_client().post(made.path, data=b"{}")
    assert "The connection Shop of acme fails since" in page(developer, "/dashboard")
    assert "failing" in page(developer, PAGES)
    assert "connection.failing" in page(developer, "/dashboard/events")
    connections.hooks.send_test(ACME, made.connection_id, PHONE)
    assert "The connection Shop" not in page(developer, "/dashboard")


def test_the_api_makes_changes_and_deletes_connections(app: Flask) -> None:
    api = Api(app.test_client(), issue_token(app, "connections:write"))
    made = api.post("/api/connections", {"kind": "fusionauth", "name": "Shop", "message_types": ["SMS"]})
    content = made.get_json()
    assert (made.status_code, content["user_id"], content["message_types"]) == (201, "acme", ["SMS"])
    assert content["url"].startswith("https://calls.example.com/connect/fusionauth/ltc_")
    assert content["secret"].startswith("lt_connect_")
    path = f"/api/connections/{content['connection_id']}"
    assert "secret" not in api.get(path).get_json()
    assert [one["name"] for one in api.get("/api/connections").get_json()["connections"]] == ["Shop"]
    tested = api.post(f"{path}/send-test", {"phone": "+1 900 555 0123"}).get_json()
    assert (tested["outcome"], tested["status"], tested["is_test"]) == ("refused", 403, True)
    assert json.loads(tested["body"])["code"] == tested["code"] == "destination_blocked"
    headers = {"Authorization": f"Bearer {api.token}"}
    region = {"message_types": None, "locale": "de-DE", "default_region": "ug"}
    changed = api.client.patch(path, json=region, headers=headers).get_json()
    assert (changed["message_types"], changed["locale"], changed["name"]) == (["Voice"], "de-DE", "Shop")
    tested = api.post(f"{path}/send-test", {"phone": "0701 200300"}).get_json()
    assert (tested["outcome"], tested["phone"]) == ("called", "+2567…00")
    [called, refused] = api.get(f"{path}/deliveries").get_json()["deliveries"]
    assert (called["call_status"], refused["phone"]) == ("queued", "+1900…23")
    page_of_one = api.get(f"{path}/deliveries", limit=1).get_json()
    assert api.get(f"{path}/deliveries", limit=1, cursor=page_of_one["next_cursor"]).get_json()["deliveries"] == [
        refused
    ]
    rotated = api.post(f"{path}/rotate-secret", {"grace_seconds": 60}).get_json()
    assert rotated["secret"] != content["secret"]
    assert rotated["old_secret_until"] is not None
    assert api.client.delete(path, headers=headers).get_json() == {"message": "Connection deleted."}
    assert api.get(path).status_code == 404
    assert app.test_client().post(content["url"].removeprefix("https://calls.example.com")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "twilio"}, "kind"),
        ({"kind": "supabase", "secret": "v1,whsec_dG9vIHNob3J0"}, "secret"),
        ({"kind": "supabase", "secret": "not a webhook secret at all"}, "secret"),
        ({"kind": "logto", "message_types": ["Voice"]}, "message_types"),
        ({"kind": "logto", "pointers": {"phone": "/a"}}, "pointers"),
        ({"kind": "generic", "pointers": {"code": "code"}}, "pointers.code"),
        ({"kind": "logto", "rate_limit": "5 per week"}, "rate_limit"),
        ({"kind": "logto", "secret": "has a space in it, so"}, "secret"),
        ({"kind": "logto", "brand": "Bank"}, "brand"),
    ],
)
def test_the_api_names_the_field_that_is_wrong(app: Flask, body: dict[str, object], field: str) -> None:
    answer = Api(app.test_client(), issue_token(app, "connections:write")).post("/api/connections", body)
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.get_json()["details"]] == [field]


def test_an_owner_that_nobody_can_be_gets_no_connection(app: Flask) -> None:
    admin = a_visitor(app, "ada", "admin")
    for owner in ("x" * 200, "letstalk:sign-in"):
        status, shown = send(admin, f"{PAGES}/new/logto", user_id=owner, rate_limit="5 per day")
        assert (status, 'id="user_id-error"' in shown) == (400, True)
        assert send(admin, "/dashboard/webhooks", user_id=owner, url="http://127.0.0.1:9/")[0] == 400
    assert services_of(app).connections.service.list_reached(None) == []


def test_an_owner_has_so_many_connections_and_no_more(app: Flask) -> None:
    service = services_of(app).connections.service
    for _ in range(MAX_CONNECTIONS):
        service.create_connection(ACME, NewConnection("logto"))
    with pytest.raises(Conflict, match="50 connections"):
        service.create_connection(ACME, NewConnection("logto"))
    service.create_connection(GLOBEX, NewConnection("logto"))


def test_a_shell_says_what_to_put_in_place_of_a_host_that_it_does_not_know(tmp_path: Path, app: Flask) -> None:
    local = make_app(tmp_path / "local", ENCRYPTION_KEYS=make_encryption_key())
    run = local.test_cli_runner().invoke
    made = run(args=["connections", "create", "zitadel"])
    assert "Address: https://YOUR_HOST/connect/zitadel/ltc_" in made.stderr
    assert "PUBLIC_URL is not set" in made.stderr
    [connection] = services_of(local).connections.service.list_reached(None)
    assert f"flask connections rotate {connection.connection_id} --ask-secret" in made.stderr
    guide = run(args=["connections", "guide", connection.connection_id])
    assert ("PUBLIC_URL is not set" in guide.stderr, "PUBLIC_URL" in guide.stdout) == (True, False)
    known = app.test_cli_runner().invoke(args=["connections", "create", "zitadel"])
    assert "PUBLIC_URL" not in known.stderr


def test_connections_in_a_shell(app: Flask) -> None:
    run = app.test_cli_runner().invoke
    made = run(args=["connections", "create", "supabase", "--user-id", "acme", "--name", "Shop"])
    assert made.exit_code == 0, made.output
    assert made.stdout.strip().startswith("v1,whsec_")
    assert "https://calls.example.com/connect/supabase/ltc_" in made.stderr
    [connection] = services_of(app).connections.service.list_reached(None)
    listed = run(args=["connections", "list"]).output
    assert "Shop" in listed
    assert "whsec_" not in listed
    assert "ltc_" not in listed
    guide = run(args=["connections", "guide", connection.connection_id]).output
    assert f"GOTRUE_HOOK_SEND_SMS_URI=https://calls.example.com{connection.path}" in guide
    assert run(args=["connections", "test", connection.connection_id, PHONE]).output.startswith("called: HTTP 200")
    refused = run(args=["connections", "test", connection.connection_id, "+19005550123"])
    assert (refused.exit_code, "never called" in refused.output) == (1, True)
    assert "refused" in run(args=["connections", "deliveries", connection.connection_id]).output
    assert run(args=["connections", "rotate", connection.connection_id]).stdout.startswith("v1,whsec_")
    given = run(args=["connections", "create", "authgear", "--ask-secret"], input="a-key-that-authgear-made\n")
    assert given.exit_code == 0
    assert run(args=["connections", "delete", connection.connection_id]).exit_code == 0
    assert run(args=["connections", "guide", connection.connection_id]).exit_code == 1
    assert run(args=["connections", "create", "logto", "--rate-limit", "often"]).exit_code == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_guide_fills_in_the_address_and_names_what_its_user_sees(kind: str) -> None:
    lines = [step.lines("https://x.example/connect", "the-secret") or "" for step in KINDS[kind].guide]
    assert any("https://x.example/connect" in line for line in lines)
    assert not any("LETSTALK_URL" in line or "LETSTALK_SECRET" in line for line in lines)
    assert KINDS[kind].scheme.made_by_other or any("the-secret" in line for line in lines)
    assert KINDS[kind].user_sees.endswith(".")
