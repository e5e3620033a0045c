"""Changing a token by its form, revoking several at once, and what the page of a token says about its use."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from flask import Flask

from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.clock import utc_now
from letstalk.tokens.models import NewToken, Token, TokenChanges
from tests.support.apps import Api, TurnableClock, issue_token, make_app, services_of
from tests.support.pages import TOKENS, Visitor, a_visitor, audited_in

OWNER = trusted_actor(ActorKind.OWNER, "127.0.0.1")
REVOKE = "/dashboard/tokens/revoke"


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, clock: TurnableClock) -> Flask:
    return make_app(tmp_path, clock, RATE_LIMIT_TOKEN="600 per minute")


def a_token(app: Flask, **wanted: object) -> Token:
    given = {"owner_id": "acme", "scopes": ("read",), "name": "Web shop", **wanted}
    return services_of(app).tokens.create_token(OWNER, NewToken(**given)).record  # type: ignore[arg-type]


def now_of(app: Flask, token: Token) -> Token:
    return services_of(app).tokens.get_token(OWNER, token.token_id)


def edit(visitor: Visitor, token: Token, **fields: str | list[str]) -> tuple[int, str]:
    """Send the form with what it shows for `token`, but for `fields`."""
    shown: dict[str, str | list[str]] = {
        "name": token.name or "",
        "scopes": list(token.scopes),
        "expires_in": "keep",
        "allowed_ips": "\n".join(token.allowed_ips),
        "rate_limit": token.rate_limit or "",
        "custom_message": token.custom_message or "",
    }
    answer = visitor.post(f"/dashboard/tokens/{token.token_id}/edit", **{**shown, **fields})
    return answer.status_code, unescape(answer.text)


def test_the_form_changes_everything_that_patch_can_and_only_what_was_changed(app: Flask) -> None:
    token = a_token(app, allowed_ips=("10.0.0.0/8",), rate_limit="5 per minute", expires_in_seconds=86400)
    admin = a_visitor(app, "root", "admin")
    page = unescape(admin.get(f"/dashboard/tokens/{token.token_id}/edit").text)
    for shown in ('value="Web shop"', "10.0.0.0/8", 'value="5 per minute"', "As it is: ", 'value="keep" selected'):
        assert shown in page
    assert edit(admin, token)[0] == 302
    assert now_of(app, token) == token, "nothing was changed"
    at = f"{utc_now() + timedelta(days=3):%Y-%m-%dT%H:%M}"
    named: dict[str, str | list[str]] = {"name": "Shop 2", "scopes": ["read", "write"], "custom_message": "off"}
    limits: dict[str, str | list[str]] = {"allowed_ips": "::1\n10.1.0.0/16", "rate_limit": "9 per hour"}
    assert edit(admin, token, **named, **limits, expires_in="at", expires_at=at)[0] == 302
    new = now_of(app, token)
    assert (new.name, new.scopes, new.allowed_ips) == ("Shop 2", ("read", "write"), ("::1", "10.1.0.0/16"))
    assert (new.rate_limit, new.custom_message) == ("9 per hour", "off")
    assert new.expires_at is not None
    assert abs(new.expires_at - utc_now() - timedelta(days=3)) < timedelta(minutes=2)
    emptied = dict.fromkeys(("name", "allowed_ips", "rate_limit", "custom_message", "expires_in"), "")
    assert edit(admin, new, **emptied)[0] == 302
    last = now_of(app, token)
    assert (last.name, last.allowed_ips, last.rate_limit, last.custom_message, last.expires_at) == (
        None,
        (),
        None,
        None,
        None,
    )
    assert last.owner_id == "acme"
    fields = [set(event.detail) for event in audited_in(app, "token.updated")]
    assert fields[0] == {"name", "allowed_ips", "rate_limit", "custom_message", "expires_at"}
    assert len(fields) == 2, "the form that changed nothing is not on record"


def test_every_wrong_field_is_told_at_once_and_nothing_is_changed(app: Flask) -> None:
    token = a_token(app)
    admin = a_visitor(app, "root", "admin")
    wrong = {"name": "x" * 101, "expires_in": "at", "expires_at": "2020-01-01T00:00", "allowed_ips": "somewhere"}
    status, page = edit(admin, token, scopes=[], rate_limit="often", custom_message="loud", **wrong)
    assert status == 400
    for field in ("name", "scopes", "expires_at", "allowed_ips", "rate_limit", "custom_message"):
        assert f'id="{field}-error"' in page, field
    assert "somewhere" in page, "what was typed stays"
    assert now_of(app, token) == token
    for odd in ("9" * 30, "-1", "x", "\x00", "keep "):
        assert edit(admin, token, expires_in=odd)[0] in (302, 400)
    for odd in ("", "9999-12-31T23:59", "0001-01-01T00:00+14:00", "😀"):
        assert edit(admin, token, expires_in="at", expires_at=odd)[0] == 400
    assert now_of(app, token) == token


def test_a_developer_changes_nothing_beyond_their_own_rights(app: Flask) -> None:
    token, admins, theirs = a_token(app), a_token(app, scopes=("admin",)), a_token(app, owner_id="globex")
    developer = a_visitor(app, "dev", "developer", owner_ids=("acme",))
    assert edit(developer, token, name="renamed")[0] == 302
    assert edit(developer, token, scopes=["admin"])[0] == 403
    assert edit(developer, admins, name="mine")[0] == 403
    assert edit(developer, theirs, name="mine")[0] == 404
    assert now_of(app, token).scopes == ("read",)
    assert (now_of(app, admins).name, now_of(app, theirs).name) == ("Web shop", "Web shop")
    assert 'value="admin"' not in developer.get(f"/dashboard/tokens/{token.token_id}/edit").text
    services_of(app).tokens.revoke_token(OWNER, token.token_id)
    assert developer.get(f"/dashboard/tokens/{token.token_id}/edit").status_code == 409
    assert edit(developer, token, name="again")[0] == 409


def test_several_are_revoked_at_once_and_the_page_says_which_were_not(app: Flask) -> None:
    one, two, gone = a_token(app, name="One"), a_token(app, name="Two"), a_token(app, name="Gone")
    admins, theirs = a_token(app, name="Operator", scopes=("admin",)), a_token(app, name="Theirs", owner_id="globex")
    services_of(app).tokens.revoke_token(OWNER, gone.token_id)
    developer = a_visitor(app, "dev", "developer", owner_ids=("acme",))
    ids = [token.token_id for token in (one, two, gone, admins, theirs)]
    ids += [one.token_id, "x", "00000000-0000-0000-0000-000000000000", "%00"]
    question = unescape(developer.get(f"{REVOKE}?" + "&".join(f"token_id={token_id}" for token_id in ids)).text)
    assert "Revoke 2 tokens?" in question
    assert set(re.findall(r'name="token_id" value="([^"]+)"', question)) == {one.token_id, two.token_id}
    for reason in ("It is revoked already.", "It has scopes that you can't give.", "It does not exist."):
        assert reason in question
    assert now_of(app, one).revoked_at is None, "asking changes nothing"
    result = unescape(developer.post(REVOKE, token_id=ids).text)
    assert "2 tokens are revoked" in result
    assert "It was revoked before." in result
    assert "Theirs" not in result
    assert now_of(app, one).revoked_at is not None
    assert now_of(app, two).revoked_at is not None
    assert now_of(app, admins).revoked_at is None
    assert now_of(app, theirs).revoked_at is None
    again = developer.post(REVOKE, token_id=[one.token_id])
    assert again.status_code == 200
    assert "No token was revoked" in again.text
    assert developer.post(REVOKE).status_code == 400
    assert developer.post(REVOKE, token_id=[str(number) for number in range(101)]).status_code == 400
    assert developer.get(REVOKE).status_code == 302


def test_unused_and_soon_expiring_tokens_are_marked_and_found(
    app: Flask, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letstalk.tokens.pages.utc_now", clock)
    a_token(app, name="Forgotten")
    used = services_of(app).tokens.create_token(OWNER, NewToken(owner_id="acme", name="Used", scopes=("read",)))
    Api(app.test_client(), used.secret).get("/calls")
    clock.move(91 * 86400)
    a_token(app, name="New")
    a_token(app, name="Ending", expires_in_seconds=13 * 86400)
    a_token(app, name="Lasting", expires_in_seconds=15 * 86400)
    gone = a_token(app, name="Gone", expires_in_seconds=86400)
    services_of(app).tokens.revoke_token(OWNER, gone.token_id)
    admin = a_visitor(app, "root", "admin")

    def named(query: str) -> set[str]:
        page = admin.get(TOKENS + query).text
        return {name for name in ("Forgotten", "Used", "New", "Ending", "Lasting", "Gone") if f">{name}</a>" in page}

    assert named("") == {"Forgotten", "Used", "New", "Ending", "Lasting"}
    assert named("?standing=unused") == {"Forgotten", "Used"}
    assert named("?standing=expiring") == {"Ending"}
    assert named("?standing=unused&q=forg") == {"Forgotten"}
    assert named("?standing=odd") == named("")
    api = Api(app.test_client(), issue_token(app, "admin"))
    for standing, names in (("unused", {"Forgotten", "Used"}), ("expiring", {"Ending"}), ("suspended", set())):
        of_api = api.get("/api/tokens", standing=standing).get_json()["tokens"]
        assert {token["name"] for token in of_api} == names
        printed = app.test_cli_runner().invoke(args=["tokens", "list", "--json", "--standing", standing]).stdout
        assert {token["name"] for token in json.loads(printed)} == names
    assert api.get("/api/tokens", standing="odd").status_code == 400
    page = admin.get(TOKENS).text
    assert [len(re.findall(rf">{mark}</span>", page)) for mark in ("never used", "unused", "expires soon")] == [1, 1, 1]


def test_a_new_owner_is_said_to_be_new_before_it_is_created(app: Flask) -> None:
    a_token(app)
    admin = a_visitor(app, "root", "admin")
    form = {"name": "Shop", "scopes": ["read"]}
    assert "acme" in admin.get("/dashboard/tokens/new").text
    assert admin.post("/dashboard/tokens", user_id="acme", **form).status_code == 200
    asked = admin.post("/dashboard/tokens", user_id="acmee", rate_limit="often", **form)
    assert asked.status_code == 400
    page = unescape(asked.text)
    assert "“acmee” is a new owner." in page
    assert 'id="rate_limit-error"' in page, "with whatever else is wrong"
    assert 'name="new_owner" value="acmee"' in page
    # What was confirmed is that name alone.
    assert admin.post("/dashboard/tokens", user_id="other", new_owner="acmee", **form).status_code == 400
    assert admin.post("/dashboard/tokens", user_id="letstalk:x", new_owner="letstalk:x", **form).status_code == 400
    assert not services_of(app).owners.is_known("acmee")
    assert "Token created" in admin.post("/dashboard/tokens", user_id="acmee", new_owner="acmee", **form).text
    assert services_of(app).owners.is_known("acmee")
    assert "Token created" in admin.post("/dashboard/tokens", user_id="default_user", **form).text


def test_the_page_of_a_token_shows_its_use_its_refusals_and_what_was_done_to_it(app: Flask) -> None:
    issued = services_of(app).tokens.create_token(OWNER, NewToken(owner_id="acme", name="Web shop", scopes=("read",)))
    other = a_token(app, name="Another")
    services_of(app).tokens.update_token(OWNER, other.token_id, TokenChanges(name="Changed"))
    api = Api(app.test_client(), issued.secret)
    assert [api.get("/calls").status_code for _ in range(2)] == [200, 200]
    assert [api.post("/calls/otp", {"phone": "+12025550142"}).status_code for _ in range(3)] == [403] * 3
    viewer = a_visitor(app, "vera", "viewer", owner_ids=("acme",))
    page = unescape(viewer.get(f"/dashboard/tokens/{issued.record.token_id}").text)
    lines = re.findall(r'<li><span>([^<]+)</span><svg.*?<span class="number">(\d+)</span>', page)
    assert lines == [("Send: POST /calls/otp", "3"), ("Read: GET /calls", "2")]
    assert re.search(r"<code>insufficient_scope</code></th>.*?<td class=\"number\">3</td>", page)
    assert "The built-in owner created the token “Web shop” from 127.0.0.1." in page
    assert "Changed" not in page
    assert f"/dashboard/audit?token={issued.record.token_id}" in page
    assert "/edit" not in page
