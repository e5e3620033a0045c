"""Tokens that tokens create: they share the limits of those above them, and can be revoked with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from letstalk.tokens.models import MAX_GENERATIONS, NewToken
from tests.support.apps import OWNER, PASSWORD, make_app, services_of
from tests.tokens.test_pages import csrf_token

SCOPES = ["tokens:read", "tokens:write", "otp:verify"]


class Holder:
    """Someone with a token."""

    def __init__(self, app: Flask, token: str) -> None:
        self._client: FlaskClient = app.test_client()
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        response = self._client.open(path, method=method, json=body or None, headers=self._headers)
        return response.status_code, response.get_json()

    def check(self) -> int:
        """The status of a request through the fast path."""
        return self.ask("POST", "/calls/verify", phone="+256700123456", code="123456")[0]

    def look(self) -> int:
        """The status of a request through Flask."""
        return self.ask("GET", "/api/tokens/current")[0]

    def create(self, **body: Any) -> tuple[str, str]:
        """(id, text) of a new token."""
        status, issued = self.ask("POST", "/api/tokens", **{"scopes": SCOPES, **body})
        assert status == 201, issued
        return issued["token_id"], issued["token"]

    def own_id(self) -> str:
        return str(self.ask("GET", "/api/tokens/current")[1]["token_id"])


def root_of(app: Flask, **fields: Any) -> Holder:
    wanted = NewToken(owner_id="acme", **{"scopes": tuple(SCOPES), **fields})
    return Holder(app, services_of(app).tokens.create_token(OWNER, wanted).secret)


@pytest.mark.parametrize("way", ["check", "look"])
def test_minting_brings_no_more_requests(tmp_path: Path, way: str) -> None:
    app = make_app(tmp_path)
    root = root_of(app, rate_limit="10 per hour")
    children = [Holder(app, root.create(rate_limit="10 per hour")[1]) for _ in range(4)]
    answers = [getattr(holder, way)() for holder in (root, *children) for _ in range(10)]
    assert sum(status != 429 for status in answers) == 6  # four were spent on the tokens


def test_no_other_limit_and_no_further_generation_escapes_the_one_above(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app, rate_limit="12 per hour")
    child = Holder(app, root.create(rate_limit="11 per hour")[1])
    grandchild = Holder(app, child.create(rate_limit="10 per 2 hours")[1])
    assert [grandchild.check() for _ in range(10)].count(404) == 10
    assert [holder.check() for holder in (grandchild, child, root)] == [429, 429, 429]


def test_a_narrower_limit_holds_for_the_child_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app, rate_limit="20 per hour")
    child = Holder(app, root.create(rate_limit="2 per hour")[1])
    assert [child.check() for _ in range(3)] == [404, 404, 429]
    assert root.check() == 404


def test_a_rotated_token_is_counted_with_the_one_that_it_replaced(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app, rate_limit="6 per hour")
    assert [root.check(), root.check()] == [404, 404]
    _, issued = root.ask("POST", f"/api/tokens/{root.own_id()}/rotate")
    newer = Holder(app, issued["token"])
    assert [newer.check() for _ in range(3)] == [404, 404, 429]
    assert root.check() == 429


def test_a_token_that_an_admin_created_has_limits_of_its_own(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin = root_of(app, scopes=("admin",), rate_limit="5 per hour")
    child_id, child = admin.create(user_id="globex", rate_limit="20 per hour")
    assert [Holder(app, child).check() for _ in range(10)] == [404] * 10
    assert admin.ask("GET", f"/api/tokens/{child_id}")[1]["parent_id"] == admin.own_id()


def test_a_parent_is_recorded_and_kept_in_a_rotation(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app)
    child_id, _ = root.create()
    _, rotated = root.ask("POST", f"/api/tokens/{child_id}/rotate")
    for token_id in (child_id, rotated["token_id"]):
        assert root.ask("GET", f"/api/tokens/{token_id}")[1]["parent_id"] == root.own_id()
    assert root.ask("GET", "/api/tokens/current")[1]["parent_id"] is None


def test_revoking_a_token_leaves_its_children_unless_they_are_to_go_with_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, root = root_of(app, scopes=("admin",)), root_of(app)
    child = Holder(app, root.create()[1])
    grandchild = Holder(app, child.create()[1])
    other = root_of(app)
    root_id = root.own_id()
    assert admin.ask("DELETE", f"/api/tokens/{root_id}")[0] == 200
    assert [root.look(), child.look(), grandchild.look()] == [401, 200, 200]
    assert admin.ask("DELETE", f"/api/tokens/{root_id}?cascade=true")[0] == 200
    assert [child.look(), grandchild.look(), other.look(), admin.look()] == [401, 401, 200, 200]


def test_what_replaced_a_token_and_what_it_created_before_go_with_it_too(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, root = root_of(app, scopes=("admin",)), root_of(app)
    root_id = root.own_id()
    before = Holder(app, root.create()[1])
    _, rotated = root.ask("POST", f"/api/tokens/{root_id}/rotate")
    newer = Holder(app, rotated["token"])
    after = Holder(app, newer.create()[1])
    by_the_old = Holder(app, root.create(expires_in=60)[1])  # in its grace period
    assert admin.ask("DELETE", f"/api/tokens/{root_id}?cascade=true")[0] == 200
    assert [one.look() for one in (root, before, newer, after, by_the_old)] == [401] * 5


def test_a_child_that_was_made_by_the_replaced_token_goes_with_the_newer_one(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app)
    before = Holder(app, root.create()[1])
    _, rotated = root.ask("POST", f"/api/tokens/{root.own_id()}/rotate")
    newer = Holder(app, rotated["token"])
    by_the_old = Holder(app, root.create(expires_in=60)[1])
    assert newer.ask("DELETE", f"/api/tokens/{rotated['token_id']}?cascade=true")[0] == 200
    assert [one.look() for one in (root, newer, before, by_the_old)] == [401] * 4


def test_nobody_revokes_with_a_token_what_they_may_not_revoke(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, root = root_of(app, scopes=("admin",)), root_of(app)
    child_id, child = root.create()
    admin.ask("PATCH", f"/api/tokens/{child_id}", scopes=["admin"])
    assert root.ask("DELETE", f"/api/tokens/{root.own_id()}?cascade=true")[0] == 403
    assert [root.look(), Holder(app, child).look()] == [200, 200]


CHANGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PATCH", "", {"name": "mine"}),
    ("POST", "/rotate", {"grace_seconds": 0}),
    ("DELETE", "", {}),
)


def refused(holder: Holder, token_id: str) -> bool:
    """Whether `holder` can see the token, and every way to change it is 403 and says why."""
    assert holder.ask("GET", f"/api/tokens/{token_id}")[0] == 200
    asked = [holder.ask(method, f"/api/tokens/{token_id}{end}", **body) for method, end, body in CHANGES]
    said = [(status, body.get("code"), body.get("required_scopes")) for status, body in asked]
    assert all("tokens that it replaced and those that it created" in body.get("error", "") for _, body in asked), asked
    return said == [(403, "insufficient_scope", ["admin"])] * len(CHANGES)


def test_a_token_changes_neither_the_one_above_it_nor_those_beside_it(tmp_path: Path) -> None:
    """Rotating one would give it a token that its own revocation does not reach, and lock the holder out."""
    app = make_app(tmp_path)
    root, beside = root_of(app), root_of(app)
    child_id, text = root.create()
    child = Holder(app, text)
    sibling_id, sibling = root.create()
    for token_id in (root.own_id(), beside.own_id(), sibling_id):
        assert refused(child, token_id)
    assert refused(beside, child_id)
    assert refused(root, beside.own_id())
    assert [one.look() for one in (root, beside, child, Holder(app, sibling))] == [200] * 4
    listed = child.ask("GET", "/api/tokens")[1]["tokens"]
    assert len(listed) == 4, "reading is as it was"


def test_what_a_stolen_token_has_rotated_ends_with_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, stolen = root_of(app, scopes=("admin",)), root_of(app)
    stolen_id = stolen.own_id()
    child_id, child = stolen.create()
    grandchild_id, _ = Holder(app, child).create()
    taken = [child]
    for token_id in (grandchild_id, child_id, stolen_id):
        status, rotated = stolen.ask("POST", f"/api/tokens/{token_id}/rotate")
        assert status == 201
        taken.append(rotated["token"])
    taken.append(Holder(app, taken[-1]).create()[1])
    assert [Holder(app, text).look() for text in taken] == [200] * 5
    assert admin.ask("DELETE", f"/api/tokens/{stolen_id}?cascade=true")[0] == 200
    assert [Holder(app, text).look() for text in taken] == [401] * 5


def test_a_replaced_token_keeps_its_children_until_it_ends_and_does_not_reach_the_new_one(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    old = root_of(app)
    old_id, (child_id, child) = old.own_id(), old.create()
    _, rotated = old.ask("POST", f"/api/tokens/{old_id}/rotate")
    new = Holder(app, rotated["token"])
    assert refused(old, rotated["token_id"])
    assert old.ask("DELETE", f"/api/tokens/{old_id}?cascade=true")[0] == 403, "it would end the new one"
    assert [old.look(), new.look()] == [200, 200]
    assert old.ask("PATCH", f"/api/tokens/{child_id}", name="still mine")[0] == 200
    in_grace_id, _ = old.create(expires_in=60)
    assert new.ask("PATCH", f"/api/tokens/{in_grace_id}", name="mine too")[0] == 200
    assert new.ask("DELETE", f"/api/tokens/{old_id}")[0] == 200
    assert [old.look(), new.look(), Holder(app, child).look()] == [401, 200, 200]


def test_a_token_whose_parent_is_gone_gets_no_further(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    admin, root, beside = root_of(app, scopes=("admin",)), root_of(app), root_of(app)
    root_id, (child_id, text) = root.own_id(), root.create()
    child = Holder(app, text)
    assert admin.ask("DELETE", f"/api/tokens/{root_id}")[0] == 200
    assert refused(child, beside.own_id())
    _, rotated = child.ask("POST", f"/api/tokens/{child_id}/rotate")
    assert Holder(app, rotated["token"]).look() == 200
    assert admin.ask("DELETE", f"/api/tokens/{root_id}?cascade=true")[0] == 200
    assert [child.look(), Holder(app, rotated["token"]).look(), beside.look()] == [401, 401, 200]


def test_creation_is_limited_for_a_token_and_those_below_it(tmp_path: Path) -> None:
    app = make_app(tmp_path, RATE_LIMIT_TOKEN_CREATION="3 per hour")
    root = root_of(app)
    child_id, text = root.create()
    child = Holder(app, text)
    child.create()
    assert root.ask("PATCH", f"/api/tokens/{child_id}", rate_limit="9 per hour")[0] == 200
    for holder in (root, child):
        status, body = holder.ask("POST", "/api/tokens", scopes=SCOPES)
        assert (status, body["code"]) == (429, "rate_limited")
        assert holder.ask("POST", f"/api/tokens/{child_id}/rotate")[0] == 429
        assert holder.ask("PATCH", f"/api/tokens/{child_id}", rate_limit="8 per hour")[0] == 429
    assert root.ask("PATCH", f"/api/tokens/{child_id}", name="still allowed")[0] == 200
    root_of(app).create()


def test_an_admin_creates_as_many_tokens_as_there_are_apps(tmp_path: Path) -> None:
    admin = root_of(make_app(tmp_path, RATE_LIMIT_TOKEN_CREATION="3 per hour"), scopes=("admin",))
    for _ in range(5):
        admin.create(user_id="globex")


def test_a_chain_of_tokens_ends(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    holder = root_of(app)
    for _ in range(MAX_GENERATIONS - 1):
        holder = Holder(app, holder.create()[1])
    status, body = holder.ask("POST", "/api/tokens", scopes=SCOPES)
    assert (status, body["code"]) == (403, "insufficient_scope")


def test_the_dashboard_and_the_command_line_show_and_revoke_what_came_of_a_token(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app)
    root_id, (child_id, child) = root.own_id(), root.create()
    client = app.test_client()
    form = {"password": PASSWORD, "csrf_token": csrf_token(client, "/sign-in")}
    assert client.post("/sign-in", data=form).status_code == 302
    assert root_id in client.get(f"/dashboard/tokens/{child_id}").text
    page = client.get(f"/dashboard/tokens/{root_id}/revoke").text
    assert "Also revoke the token that was created with it or replaced it" in page
    assert "cascade" not in client.get(f"/dashboard/tokens/{child_id}/revoke").text
    run = app.test_cli_runner().invoke
    listed = run(args=["tokens", "list"]).stdout.splitlines()
    assert root_id in next(line for line in listed if line.startswith(child_id))
    form = {"csrf_token": csrf_token(client, f"/dashboard/tokens/{root_id}/revoke"), "cascade": "1"}
    assert client.post(f"/dashboard/tokens/{root_id}/revoke", data=form).status_code == 302
    assert [root.look(), Holder(app, child).look()] == [401, 401]


def test_the_command_line_revokes_with_a_token_what_came_of_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    root = root_of(app)
    child = Holder(app, root.create()[1])
    result = app.test_cli_runner().invoke(args=["tokens", "revoke", root.own_id(), "--cascade"])
    assert result.exit_code == 0, result.output
    assert [root.look(), child.look()] == [401, 401]
