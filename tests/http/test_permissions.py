"""Every route, asked by every kind of actor: each gets what the table says, and nothing else happens."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.core.clock import utc_now
from letstalk.verifications.models import VerificationStatus
from tests.support.apps import OWNER, make_app, services_of
from tests.support.documents import ROOT, read
from tests.support.permissions import ASKERS, DISABLED, NOBODY, Asker, Row, as_documented, rows
from tests.support.permitted_calls import OURS, World, request_of

REFUSALS: dict[str, set[str | int]] = {
    "401": {"missing_authorization", "invalid_token"},
    "403": {"insufficient_scope", "person_required", "not_granted", "invalid_signature", "address_not_allowed"},
    "404": {"not_found", "no_pending_verification"},
}
# The same in Twilio's words.
REFUSALS_OF_TWILIO: dict[str, set[str | int]] = {"401": {20003}, "403": {70051}, "404": {20404}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("permissions")
    app = make_app(folder, REGISTRATION="open", RATE_LIMIT_PHONE_ALL="off", MAX_CONCURRENT_CALLS="10000")
    return World(app)


def code_of(answer: TestResponse) -> str | int | None:
    return answer.get_json().get("code") if answer.is_json and answer.status_code >= 400 else None


def wrong_with(answer: TestResponse, row: Row, asker: Asker) -> str | None:
    """What the table did not say; None where the answer is what it says."""
    expected, code = row.outcome(asker), code_of(answer)
    got = f"{row.name} by {asker}: {answer.status_code} {code or ''}, not {expected}"
    if expected in ("yes", "theirs"):
        wanted = request_of(row)
        right = (answer.status_code, code) == wanted.done or answer.status_code == wanted.else_status
        right = right and (expected == "yes" or f'"{OURS}"' not in answer.text)
    elif expected == "sign in":
        right = answer.status_code == 302 and answer.headers["Location"].startswith("/sign-in")
    else:
        refusals = REFUSALS_OF_TWILIO if row.rule.startswith("/twilio/") else REFUSALS
        right = answer.status_code == int(expected) and (not answer.is_json or code in refusals[expected])
    if right and expected == "401" and not row.rule.startswith("/twilio/"):
        is_dead = asker.name == DISABLED and asker.kind == "person"
        right = code == ("invalid_token" if is_dead else "missing_authorization")
    return None if right else got


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_everyone_gets_what_the_table_says(row: Row, world: World) -> None:
    asked = [asker for asker in ASKERS if row.outcome(asker) != "-"]
    wrong = [wrong_with(world.ask(row, asker), row, asker) for asker in asked]
    assert [line for line in wrong if line] == []
    assert len(asked) >= 8


def test_the_table_names_every_route_and_no_other(world: World) -> None:
    app: Flask = world.app
    braced = r"{\1}"
    there = {
        f"{method} {re.sub('<(?:[^<>:]+:)?([^<>]+)>', braced, rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    named = [row.call for row in rows()]
    assert there - set(named) == set(), "not in tests/support/permissions.py"
    assert set(named) - there == set(), "only in tests/support/permissions.py"
    names = [row.name for row in rows()]
    assert len(names) == len(set(names))


def test_a_call_about_somebody_s_own_is_also_asked_about_another_s() -> None:
    names = {row.name for row in rows()}
    for name in names:
        if name.endswith(", one's own"):
            assert name.replace("one's own", "another's") in names


def test_nobody_who_was_refused_has_changed_anything(world: World) -> None:
    """What refused calls were about is still as it was made."""
    refused = [row for row in rows() if row.method != "GET" and "{" in row.rule]
    for row in refused:
        for asker in ASKERS:
            if row.outcome(asker) not in ("yes", "theirs", "-"):
                world.ask(row, asker)
    made = {kind: world.shared_of(kind) for kind in ("token_id", "account_id", "verification_id", "session_id")}
    assert all(made.values())
    owner, services = replace(OWNER, owner_id=OURS), services_of(world.app)
    for token in (services.tokens.get_token(owner, token_id) for token_id in made["token_id"]):
        assert (token.is_live(utc_now()), token.name, token.successor_id) == (True, None, None)
    for account in (services.accounts.service.get_account(owner, account_id) for account_id in made["account_id"]):
        assert (account.is_active, account.role, account.owner_ids) == (True, "developer", (OURS,))
    for verification_id in made["verification_id"]:
        assert services.browsing.tell(owner, verification_id).history.status is VerificationStatus.PENDING
    for session_id in made["session_id"]:
        listed = services.accounts.sessions.list_sessions(world.session_owners[session_id])
        assert session_id in [session.session_id for session in listed]


def test_the_table_stands_in_the_documentation() -> None:
    documented = read(ROOT / "docs" / "authentication.md").text
    assert as_documented() in documented, "python -m tests.support.permissions prints it as it is now"


def test_an_outcome_is_known_for_everyone() -> None:
    known = {"yes", "theirs", "401", "403", "404", "sign in", "-"}
    assert {row.outcome(asker) for row in rows() for asker in ASKERS} == known
    assert len([row for row in rows() if row.outcome(NOBODY) == "yes"]) == 49
