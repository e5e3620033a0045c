"""The services about accounts on a real database, and programs that call the API with an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.accounts import repository as account_repository
from letstalk.accounts.models import Account, AccountState, Device, NewAccount
from letstalk.accounts.passwords import PasswordRules
from letstalk.accounts.services import Accounts, AccountsDependencies, AccountsOptions, build_accounts
from letstalk.accounts.sign_in_throttles import SignInThrottles, Throttle
from letstalk.audit import repository as audit_events
from letstalk.audit.models import AuditEvent
from letstalk.audit.repository import EventQuery
from letstalk.audit.service import AuditTrail
from letstalk.db.database import Database
from letstalk.mail.outbox import MailService
from letstalk.mail.transports import MailTransport
from tests.support.apps import PHONE, services_of
from tests.support.quick_apps import FAST
from tests.support.world import World

PASSWORD = "correct horse battery staple"
OTHER_PASSWORD = "every cloud has its own weather"
ADDRESS = "203.0.113.7"
ELSEWHERE = "198.51.100.9"
DEVICE = Device(ADDRESS, "a test")
UNTHROTTLED = SignInThrottles(*(Throttle(10**6, 1, 1) for _ in fields(SignInThrottles)))


def accounts_of(
    world: World,
    *,
    transport: MailTransport | None = None,
    wake_mail: Callable[[str], None] = lambda _mail_id: None,
    **options: Any,
) -> Accounts:
    """The services about accounts, as one instance has them; call it again for another instance."""
    dependencies = AccountsDependencies(
        db=world.db,
        vault=world.vault,
        keys=world.keys,
        audit=AuditTrail(world.db, clock=world.clock),
        sends=world.sends,
        verifications=world.verifications,
        clock=world.clock,
        mails=MailService(world.db, world.vault, transport, world.clock, wake_mail),
    )
    defaults: dict[str, Any] = {
        "brand_name": "Let's Talk",
        "default_region": None,
        "owner_may_sign_in": True,
        "password_rules": PasswordRules.NIST,
        "access_token_seconds": 900,
        "refresh_token_seconds": 604_800,
        "scrypt": FAST,
    }
    return build_accounts(dependencies, AccountsOptions(**{**defaults, **options}))


def give_everyone_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let many requests hash passwords at once, also those of one account and one address: for races."""
    for name in ("PLACES", "PLACES_FOR_STRANGERS", "PLACES_OF_ONE"):
        monkeypatch.setattr(f"letstalk.accounts.passwords.{name}", 20)


def someone(username: str = "ada", role: str = "developer", **fields: Any) -> NewAccount:
    """An active person with PASSWORD, granted to `acme`."""
    defaults: dict[str, Any] = {"owner_ids": ("acme",), "password": PASSWORD, "state": AccountState.ACTIVE}
    return NewAccount(email=f"{username}@example.com", username=username, role=role, **{**defaults, **fields})


def someone_called(
    accounts: Accounts, db: Database, username: str = "ada", phone: str = PHONE, **given: Any
) -> Account:
    """A new person whose phone is proven, and is called at each sign-in."""
    account = accounts.service.create_account(someone(username, **given))
    called = replace(account, phone=phone, second_factor=True)
    with db.write() as connection:
        account_repository.update_account(connection, called)
    return called


def audited(world: World, action: str) -> list[AuditEvent]:
    """The events of an action in the audit trail, newest first."""
    with world.db.read() as connection:
        return audit_events.list_events(connection, EventQuery(action=action))


@dataclass
class Person:
    """A person's program, which signs in and calls the API through the test client."""

    client: FlaskClient
    account: Account
    password: str = PASSWORD
    token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)

    def sign_in(self) -> TestResponse:
        body = {"username": self.account.username, "password": self.password}
        response = self.client.post("/api/auth/login", json=body)
        if response.status_code == 200:
            self.keep(response)
        return response

    def keep(self, response: TestResponse) -> None:
        """Use the pair of tokens in `response` from now on."""
        self.token, self.refresh_token = response.get_json()["token"], response.get_json()["refresh_token"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(
            path,
            method=method,
            json=None if method == "GET" else body or {},
            headers={"Authorization": f"Bearer {self.token}", **named},
        )

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.call("GET", path, None, **headers)

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        return self.call("POST", path, body, **headers)


def a_person(app: Flask, username: str = "ada", role: str = "developer", **fields: Any) -> Person:
    """A new person, signed in."""
    account = services_of(app).accounts.service.create_account(someone(username, role, **fields))
    person = Person(app.test_client(), account)
    assert person.sign_in().status_code == 200
    return person
