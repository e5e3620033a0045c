"""The dashboard's pages about webhooks and events, without JavaScript: what they show, and to whom."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from letstalk.core.actors import Actor
from letstalk.core.secret_files import make_encryption_key
from letstalk.events.endpoint_models import GONE_REASON
from letstalk.tokens.models import NewToken
from letstalk.verifications.models import NewVerification
from tests.support.apps import OWNER, make_app, services_of
from tests.support.pages import Visitor, a_visitor
from tests.support.receivers import Receiver, Reply

PAGES = "/dashboard/webhooks"
ACME, GLOBEX = (replace(OWNER, owner_id=owner) for owner in ("acme", "globex"))


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=make_encryption_key())


@pytest.fixture
def developer(app: Flask) -> Visitor:
    return a_visitor(app, "dora", "developer", owner_ids=("acme",))


def send(visitor: Visitor, path: str, **form: object) -> tuple[int, str]:
    """The status, and the page or where it leads."""
    data = {"csrf_token": visitor.csrf_token(), **form}
    answer = visitor.client.post(path, data=data)
    return answer.status_code, answer.headers.get("Location") or answer.get_data(as_text=True)


def page(visitor: Visitor, path: str) -> str:
    answer = visitor.client.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def deliver(app: Flask) -> None:
    services_of(app).app_events.deliverer.deliver_due()


def create(app: Flask, url: str, actor: Actor = ACME) -> str:
    return services_of(app).app_events.endpoints.create_endpoint(actor, url).endpoint.endpoint_id


def test_an_endpoint_is_made_tried_and_deleted(app: Flask, developer: Visitor, receiver: Receiver) -> None:
    receiver.reply = lambda _received: Reply(500, b"<b>broken</b>")
    form = {"url": receiver.url, "user_id": "acme", "description": "Shop", "types": ["call.ended"], "submission": "1"}
    status, shown = send(developer, PAGES, **form)
    secret = re.search(r"whsec_[\w+/=]+", shown)
    assert (status, secret is not None) == (200, True)
    assert send(developer, PAGES, **form)[0] == 302  # shown once
    endpoint = f"{PAGES}/{re.findall(PAGES + '/([0-9a-f-]{36})', shown)[0]}"
    assert "whsec_" not in page(developer, endpoint)
    _, delivery = send(developer, f"{endpoint}/example", type="call.ended")
    deliver(app)
    told = page(developer, delivery)
    assert "&lt;b&gt;broken&lt;/b&gt;" in told
    assert "webhook-id: " in told
    assert "Next try" in told
    assert "0 of 1 tries accepted (0.0 %)" in page(developer, endpoint)
    assert "No deliveries" in page(developer, f"{endpoint}?status=delivered")
    assert "call.ended" in page(developer, f"{endpoint}?status=pending")
    assert "It fails since" in page(developer, endpoint)
    assert "Shop fail since" in page(developer, "/dashboard")
    receiver.reply = lambda _received: Reply(204)
    assert send(developer, f"{delivery}/redeliver") == (302, delivery)
    deliver(app)
    assert "asked for by hand" in page(developer, delivery)
    assert "Shop fail since" not in page(developer, "/dashboard")
    assert "whsec_" in send(developer, f"{endpoint}/rotate", grace_seconds="3600", submission="2")[1]
    assert send(developer, f"{endpoint}/replay", span="day")[0] == 302
    assert send(developer, f"{endpoint}/disable")[0] == 302
    assert "Nothing is sent to it since" in page(developer, endpoint)
    assert send(developer, f"{endpoint}/example", type="call.ended")[0] == 409
    assert send(developer, f"{endpoint}/enable")[0] == 302
    assert send(developer, f"{endpoint}/delete") == (302, PAGES)
    assert "No endpoints" in page(developer, PAGES)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "https://10.0.0.1/"}, "not an address of the public internet"),
        ({"url": "x" * 9000}, "at most"),
        ({"url": "https://🎉.example/"}, "ASCII"),
        ({"types": ["call.rang"]}, "Choose types of the list"),
        ({"user_id": "globex"}, "not granted"),
        ({"user_id": ""}, "Give the owner"),
        ({"description": "x" * 300}, "1 to 200 characters"),
    ],
)
def test_a_wrong_field_is_said_and_nothing_is_made(
    app: Flask, developer: Visitor, wrong: dict[str, object], sentence: str
) -> None:
    status, shown = send(developer, PAGES, **{"url": "http://127.0.0.1:9/", "user_id": "acme", **wrong})
    assert 400 <= status < 500
    assert sentence in shown
    assert services_of(app).app_events.endpoints.list_reached(None) == []


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("", {"url": "https://10.0.0.1/"}),
        ("/rotate", {"grace_seconds": "1e9"}),
        ("/replay", {"span": "ever"}),
        ("/example", {"type": "🎉"}),
    ],
)
def test_a_wrong_change_is_a_page_that_says_so(
    app: Flask, developer: Visitor, path: str, form: dict[str, object]
) -> None:
    endpoint_id = create(app, "http://127.0.0.1:9/")
    status, shown = send(developer, f"{PAGES}/{endpoint_id}{path}", **form)
    assert status == 400
    assert 'role="alert"' in shown or 'class="error"' in shown


def test_another_owners_endpoints_and_events_are_nowhere(app: Flask, developer: Visitor, receiver: Receiver) -> None:
    receiver.reply = lambda _received: Reply(410)
    endpoint_id = create(app, receiver.url, GLOBEX)
    create(app, receiver.url)
    wanted = NewVerification(phone="+256700123456", message=None, locale=None, code_length=6, ttl_seconds=300)
    theirs = services_of(app).sends.start(GLOBEX, wanted).verification_id
    services_of(app).tokens.create_token(OWNER, NewToken(owner_id="acme"))
    deliver(app)
    assert len(receiver.received) == 2
    for path in (f"{PAGES}/{endpoint_id}", f"{PAGES}/{endpoint_id}/deliveries/{endpoint_id}"):
        assert developer.client.get(path).status_code == 404
    for change in ("", "/rotate", "/enable", "/disable", "/example", "/replay", "/delete"):
        form = {"url": receiver.url, "grace_seconds": "0", "span": "hour", "type": "call.ended", "submission": change}
        assert send(developer, f"{PAGES}/{endpoint_id}{change}", **form)[0] == 404
    seen = "".join(
        page(developer, path) for path in (PAGES, "/dashboard/events", "/dashboard/events/live", "/dashboard")
    )
    assert "token.created" in seen
    assert GONE_REASON in seen
    assert theirs not in seen
    assert "globex" not in seen


def test_the_events_of_all_owners_are_live_for_an_admin(app: Flask) -> None:
    admin = a_visitor(app, "ada", "admin")
    assert "No events yet" in page(admin, "/dashboard/events")
    wanted = NewVerification(phone="+256700123456", message=None, locale=None, code_length=6, ttl_seconds=300)
    services_of(app).sends.start(ACME, wanted)
    answer = admin.client.get("/dashboard/events/live")
    while b"verification.created" not in answer.data:  # the rows of a second ago
        answer = admin.client.get("/dashboard/events/live")
    assert b"+256700123456" not in answer.data
    again = admin.client.get("/dashboard/events/live", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_events_are_chosen_by_their_type(app: Flask) -> None:
    admin = a_visitor(app, "ada", "admin")
    wanted = NewVerification(phone="+256700123456", message=None, locale=None, code_length=6, ttl_seconds=300)
    sent = services_of(app).sends.start(ACME, wanted)
    assert sent.verification_id in page(admin, "/dashboard/events?type=verification.created")
    others = page(admin, "/dashboard/events?type=token.revoked")
    assert "No such event" in others
    assert sent.verification_id not in others
    for unknown in ("nothing", "🙂", "x" * 5000, ""):
        assert sent.verification_id in page(admin, f"/dashboard/events?type={unknown}")
