"""An application in which people, tokens and verifications fill every list of the dashboard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from flask import Flask

from letstalk.accounts.models import AccountChanges
from letstalk.accounts.registrations import NewInvitation
from letstalk.connect.kinds import KINDS
from letstalk.connect.service import NewConnection
from letstalk.core.secret_files import make_encryption_key
from letstalk.events.models import AppEventType
from letstalk.test_numbers.models import NewTestNumber
from letstalk.tokens.models import NewToken
from letstalk.verifications.models import NewVerification
from tests.support.account_services import someone
from tests.support.apps import OWNER, make_app, services_of
from tests.support.pages import Visitor, a_visitor, another_browser
from tools.benchmarks.pasts import phones_of_countries
from tools.benchmarks.rows import Rows

DAY_SECONDS = 86_400
# Nothing in it where a line could break.
LONG = "a-name-as-long-as-one-may-be-" + "x" * 71


def fill(folder: Path) -> tuple[Flask, Visitor]:
    """The application, and an admin of it who is signed in from two browsers."""
    key = make_encryption_key()
    app = make_app(folder, ENCRYPTION_KEYS=key, REGISTRATION="open", RATE_LIMIT_PHONE_ALL="off")
    admin = a_visitor(app, "ada", "admin")
    assert admin.account is not None
    another_browser(app, admin.account)
    _add_people(app)
    _add_tokens(app)
    _add_verifications(app, folder, key)
    for number in range(3):
        wanted = NewTestNumber(f"+2567000000{number}0", owner_id="acme", name="For the reviewers of the store")
        services_of(app).test_numbers.create_test_number(OWNER, wanted)
    _add_webhooks(app)
    _add_connections(app)
    services_of(app).audit.flush()
    return app, admin


def _add_webhooks(app: Flask) -> None:
    """Endpoints to nobody, so that their deliveries fail, and one that was disabled."""
    events, acme = services_of(app).app_events, replace(OWNER, owner_id="acme")
    for number in range(3):
        issued = events.endpoints.create_endpoint(acme, f"http://127.0.0.1:9/{LONG}", description=LONG[: 60 + number])
        example = events.make_example(AppEventType.CALL_ENDED, "acme")
        events.endpoints.send_example(acme, issued.endpoint.endpoint_id, example)
    with ThreadPoolExecutor(1) as thread:  # in that of a browser's test, Playwright runs an event loop
        thread.submit(events.deliverer.deliver_due).result()
    events.endpoints.set_enabled(acme, issued.endpoint.endpoint_id, is_enabled=False)


def _add_connections(app: Flask) -> None:
    """One of each kind; of the first, requests of each outcome."""
    connections, acme = services_of(app).connections, replace(OWNER, owner_id="acme")
    for kind in reversed(KINDS):
        issued = connections.service.create_connection(acme, NewConnection(kind, name=LONG[:90]))
    for phone in ("+256700111222", "+256700111222", "+19005550123"):
        connections.hooks.send_test(acme, issued.connection.connection_id, phone)


def _add_people(app: Flask) -> None:
    accounts = services_of(app).accounts
    accounts.service.create_account(someone("vera", "viewer", password=None, owner_ids=("acme", LONG)))
    disabled = accounts.service.create_account(someone("dora", "developer", password=None))
    accounts.service.update_account(OWNER, disabled.account_id, AccountChanges(disabled=True))
    accounts.invitations.invite(OWNER, NewInvitation("invited@example.com", "developer", ("acme",)), "")


def _add_tokens(app: Flask) -> None:
    tokens = services_of(app).tokens
    for owner_id in ("acme", LONG, *(f"owner-{number}" for number in range(3))):
        tokens.create_token(OWNER, NewToken(owner_id=owner_id, name=f"Web shop of {owner_id}"[:100]))
    rotated = tokens.create_token(OWNER, NewToken(owner_id="acme", name="Rotated"))
    tokens.rotate_token(OWNER, rotated.record.token_id)
    tokens.create_token(OWNER, NewToken(owner_id="acme", scopes=("admin",), expires_in_seconds=2 * DAY_SECONDS))
    for issued in (tokens.create_token(OWNER, NewToken(owner_id="acme", name=f"Unused {n}")) for n in range(26)):
        if issued.record.name == "Unused 0":
            tokens.revoke_token(OWNER, issued.record.token_id)


def _add_verifications(app: Flask, folder: Path, key: str) -> None:
    rows = Rows(f"sqlite:///{folder}/letstalk.db", key, "acme")
    rows.store_history(phones_of_countries(), 120, 0, youngest_days=0.01, oldest_days=6)
    rows.close()
    for number in range(3):  # these wait, because nothing works in the background
        wanted = NewVerification(f"+25670012345{number}", None, None, 6, 600)
        services_of(app).sends.start(OWNER, wanted)
