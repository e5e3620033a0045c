"""The dashboard's search: what each id, phone or name leads to, and that it never leads to another owner's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask

from letstalk.calls.repository import update_call
from letstalk.connect.service import NewConnection
from letstalk.test_numbers.models import NewTestNumber
from letstalk.tokens.models import NewToken
from tests.support.apps import OWNER, PHONE, Api, TurnableClock, issue_token, make_app, services_of
from tests.support.pages import Visitor, a_visitor, the_owner

SEARCH = "/dashboard/search"
VERIFICATIONS = "/dashboard/verifications"
TEST_PHONE = "+12025550142"


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, clock: TurnableClock) -> Flask:
    return make_app(tmp_path, clock)


def place(visitor: Visitor, text: str) -> str | None:
    """Where the search leads; None where it lists what it has found, or has found nothing."""
    answer = visitor.get(f"{SEARCH}?q={quote(text)}")
    assert answer.status_code in (200, 302), answer.text
    return answer.location


def listed(visitor: Visitor, text: str) -> str:
    answer = visitor.get(f"{SEARCH}?q={quote(text)}")
    assert answer.status_code == 200, answer.location
    return answer.text.split("<main")[-1]


def named(app: Flask, clock: TurnableClock, owner_id: str = "acme", phone: str = PHONE) -> dict[str, str]:
    """What leads to one verification, by what it is, and the address that it leads to."""
    api = Api(app.test_client(), issue_token(app, owner_id=owner_id, name=f"App of {owner_id}"))
    answer = api.post("/calls/otp", {"phone": phone, "reference": f"order of {owner_id}"})
    sent = answer.get_json()
    events = api.get("/api/events").get_json()["events"]
    with app.extensions["letstalk_db"].write() as connection:
        update_call(connection, sent["call_id"], provider_call_id=f"v3:{owner_id}-Qx_7")
    clock.move(0.002)
    return {
        "verification": sent["verification_id"],
        "call": sent["call_id"],
        "provider's call": f"v3:{owner_id}-Qx_7",
        "request": answer.headers["X-Request-Id"],
        "event": next(event["event_id"] for event in events if event["type"] == "verification.created"),
        "phone": phone,
        "reference": f"order of {owner_id}",
        "id of Twilio's interface": f"VE{sent['verification_id'].replace('-', '')}",
        "address": f"{VERIFICATIONS}/{sent['verification_id']}",
    }


def test_each_name_of_a_verification_leads_to_it_and_for_no_other_owner(app: Flask, clock: TurnableClock) -> None:
    ours, theirs = named(app, clock), named(app, clock, "globex", "+256700123457")
    viewer, admin = a_visitor(app, "vera", "viewer"), the_owner(app)
    addresses = {name: ours.pop("address") if name == "ours" else theirs.pop("address") for name in ("ours", "theirs")}
    for what, text in ours.items():
        assert place(viewer, text) == addresses["ours"], what
        assert (
            place(viewer, f"  {text.upper() if what in ('verification', 'call', 'request') else text} ")
            == (addresses["ours"])
        ), what
    for what, text in theirs.items():
        assert "Nothing found" in listed(viewer, text), what
        assert place(admin, text) == addresses["theirs"], what


def test_a_phone_with_several_verifications_leads_to_the_list_of_them(app: Flask, clock: TurnableClock) -> None:
    named(app, clock)
    clock.move(40)
    named(app, clock)
    viewer = a_visitor(app, "vera", "viewer")
    address = place(viewer, "+256 700 123-456")
    assert address is not None
    assert address.startswith(f"{VERIFICATIONS}?phone=")
    assert viewer.get(address).text.count('<tr role="row" id="v-') == 2
    found = listed(viewer, "order of acme")
    assert found.count(f'href="{VERIFICATIONS}/') == 2
    assert PHONE not in found.replace("order of acme", "")


def test_tokens_people_test_numbers_and_owners_are_found_too(app: Flask) -> None:
    tokens = services_of(app).tokens
    issued = tokens.create_token(OWNER, NewToken(owner_id="acme", name="Web shop"))
    theirs = tokens.create_token(OWNER, NewToken(owner_id="globex", name="Web till"))
    number = services_of(app).test_numbers.create_test_number(OWNER, NewTestNumber(TEST_PHONE, owner_id="acme")).number
    developer, admin = a_visitor(app, "dev", "developer"), the_owner(app)
    token_page = f"/dashboard/tokens/{issued.record.token_id}"
    for text in ("web shop", issued.record.token_id, issued.record.prefix):
        assert place(developer, text) == token_page
    assert place(developer, TEST_PHONE) == f"/dashboard/test-numbers/{number.test_number_id}"
    for hidden in ("Web till", theirs.record.token_id, "globex", "dev@example.com"):
        assert "Nothing found" in listed(developer, hidden)
    assert place(admin, "dev@example.com") == f"/dashboard/people/{developer.account_id}"
    page = listed(admin, "globex")  # the owner, and the token of that owner
    assert (f"{VERIFICATIONS}?owner=globex" in page, "Web till" in page) == (True, True)
    assert "Nothing found" in listed(a_visitor(app, "vera", "viewer"), TEST_PHONE)


def test_connections_and_webhook_endpoints_are_found_by_their_ids(app: Flask) -> None:
    services, theirs = services_of(app), replace(OWNER, owner_id="globex")
    made = {
        "webhooks": services.app_events.endpoints.create_endpoint(theirs, "http://127.0.0.1:9/").endpoint.endpoint_id,
        "connections": services.connections.service.create_connection(
            theirs, NewConnection("supabase")
        ).connection.connection_id,
    }
    owners, others = (a_visitor(app, name, "developer", owner_ids=(name,)) for name in ("globex", "acme"))
    for page, found in made.items():
        assert place(owners, found) == f"/dashboard/{page}/{found}"
        assert "Nothing found" in listed(others, found)
        assert "Nothing found" in listed(a_visitor(app, f"viewer-{page}", "viewer", owner_ids=("globex",)), found)


def test_of_a_whole_token_only_the_public_start_is_looked_for(app: Flask) -> None:
    secret = issue_token(app, owner_id="globex", name="Till")
    page = listed(a_visitor(app, "dev", "developer"), secret)
    assert secret.split("_")[2] not in page
    assert place(the_owner(app), secret) is not None


def test_a_refused_request_is_found_in_the_audit_trail(app: Flask) -> None:
    api = Api(app.test_client(), issue_token(app, "read"))
    refused = api.post("/calls/otp", {"phone": PHONE}).get_json()
    assert refused["code"] == "insufficient_scope"
    viewer, stranger = a_visitor(app, "vera", "viewer"), a_visitor(app, "eve", "viewer", owner_ids=("globex",))
    address = place(viewer, refused["request_id"])
    assert address == f"/dashboard/audit?request_id={refused['request_id']}"
    assert "was refused" in viewer.get(address).text
    assert "Nothing found" in listed(stranger, refused["request_id"])
    assert "was refused" not in stranger.get(address).text


@pytest.mark.parametrize("text", ["", " ", "%", "😀" * 150, "\x00\x07", "lt_", "'; DROP TABLE tokens", "+", "x" * 5000])
def test_any_text_is_an_answer(app: Flask, text: str) -> None:
    page = listed(the_owner(app), text)
    assert ("What can be found" in page) is (not text.strip("\x00\x07 "))
