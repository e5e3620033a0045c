"""Visitors of the dashboard, with a browser that runs no scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.accounts.authentication import ACCOUNT_PREFIX
from letstalk.accounts.models import Account
from letstalk.audit import repository as audit_events
from letstalk.audit.models import AuditEvent
from letstalk.audit.repository import EventQuery
from tests.support.account_services import DEVICE, someone
from tests.support.apps import PASSWORD, services_of

TOKENS = "/api/tokens/dashboard"
# It has a form for every visitor, signed in or not.
ANY_FORM = "/accept-invitation"
LINK = re.compile(r'id="link"[^>]* value="([^"]+)"')


@dataclass(eq=False)
class Visitor:
    """A browser. `account` is None for a stranger and for the built-in owner."""

    app: Flask
    account: Account | None = None
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    @property
    def account_id(self) -> str:
        assert self.account is not None
        return self.account.account_id

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, **fields: Any) -> TestResponse:
        """Send a form as one of our pages does."""
        return self.client.post(path, data={"csrf_token": self.csrf_token(), **fields})

    def csrf_token(self) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(ANY_FORM).text)
        assert found
        return found[1]

    def is_signed_in(self) -> bool:
        return self.client.get(TOKENS).status_code == 200

    def session_cookie(self) -> str:
        cookie = self.client.get_cookie("session")
        assert cookie
        return cookie.value


def a_visitor(app: Flask, username: str = "ada", role: str = "developer", **fields: Any) -> Visitor:
    """A new person with an account, signed in. Without a `password` in `fields` they have none, which is quick."""
    accounts = services_of(app).accounts
    account = accounts.service.create_account(someone(username, role, **{"password": None, **fields}))
    return another_browser(app, account)


def another_browser(app: Flask, account: Account) -> Visitor:
    """Another browser in which the same person is signed in."""
    visitor = Visitor(app, account)
    secret = services_of(app).accounts.sessions.start_browser_session(account.account_id, DEVICE, "password")
    with visitor.client.session_transaction() as session:
        session["_user_id"] = ACCOUNT_PREFIX + secret
        session["_fresh"] = True
    return visitor


def the_owner(app: Flask) -> Visitor:
    """The built-in owner, signed in."""
    visitor = Visitor(app)
    assert visitor.post("/sign-in", password=PASSWORD).status_code == 302
    return visitor


def invited_link(page: TestResponse) -> str:
    """The link that the page shows once."""
    found = LINK.search(page.text)
    assert found, page.text
    return unescape(found[1])


def audited_in(app: Flask, action: str) -> list[AuditEvent]:
    """The events of an action in the audit trail, newest first."""
    services_of(app).audit.flush()
    with app.extensions["letstalk_db"].read() as connection:
        return audit_events.list_events(connection, EventQuery(action=action))


def refused_codes(app: Flask) -> list[Any]:
    return [event.detail["code"] for event in audited_in(app, "refused") for _ in range(event.detail["count"])]
