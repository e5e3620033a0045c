"""The page of the audit trail, its download, the API and the command: what each shows, and to whom."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from flask import Flask

from letstalk.http.csv_files import FORMULA_STARTS, safe_cell
from letstalk.tokens.models import NewToken, Token
from tests.support.apps import OWNER, Api, issue_token, make_app, services_of
from tests.support.pages import Visitor, a_visitor

AUDIT = "/dashboard/audit"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def revoked_token(app: Flask, owner_id: str, name: str) -> Token:
    tokens = services_of(app).tokens
    made = tokens.create_token(OWNER, NewToken(owner_id=owner_id, name=name, scopes=("read",))).record
    return tokens.revoke_token(OWNER, made.token_id)


def csv_of(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    answer = visitor.get(f"{AUDIT}.csv{query}")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert re.fullmatch(r'attachment; filename="audit-[0-9-]{10}\.csv"', answer.headers["Content-Disposition"])
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_no_page_feed_or_download_shows_what_is_about_another_owner(app: Flask) -> None:
    ours, theirs = revoked_token(app, "acme", "Our shop"), revoked_token(app, "globex", "Their shop")
    viewer = a_visitor(app, "vera", "viewer", owner_ids=("acme",))
    admin = a_visitor(app, "root", "admin")
    token = Api(app.test_client(), issue_token(app, "read", "tokens:read", owner_id="acme"))
    for query in ("", f"?token={theirs.token_id}", "?user_id=globex", "?action=token.revoked", "?actor=owner"):
        pages = [viewer.get(AUDIT + query).text, viewer.get(f"{AUDIT}.csv{query}").text]
        of_api = query.replace("token=", "token_id=")
        authorization = {"Authorization": f"Bearer {token.token}"}
        pages.append(token.client.get(f"/api/audit{of_api}", headers=authorization).text)
        for page in pages:
            assert "Their shop" not in page
            assert theirs.token_id not in page.replace(query[1:], "").replace(f'value="{theirs.token_id}"', "")
            assert "signed in" not in page
        assert "Their shop" in admin.get(AUDIT + query).text
    assert "The built-in owner revoked the token “Our shop” from 127.0.0.1." in viewer.get(AUDIT).text
    assert {line["user_id"] for line in csv_of(viewer)} == {"acme"}
    assert {"acme", "globex", ""} == {line["user_id"] for line in csv_of(admin)}
    assert "About the account" not in viewer.get(AUDIT).text
    assert "root signed in" in admin.get(AUDIT).text
    assert ours.token_id in viewer.get(f"{AUDIT}?token={ours.prefix}").text


def test_one_request_is_found_by_its_id_on_the_page_by_the_api_and_by_the_command(app: Flask) -> None:
    admin = Api(app.test_client(), issue_token(app, "admin"))
    made = admin.post("/api/tokens", {"name": "Ours"})
    admin.post("/api/tokens", {"name": "Another"})
    request_id = made.headers["X-Request-Id"]
    page = a_visitor(app, "root", "admin").get(f"{AUDIT}?request_id={request_id}")
    assert ("“Ours”" in page.text, "“Another”" in page.text) == (True, False)
    exact = r'<time datetime="[^"]+" title="[^"]+:\d\d UTC" data-seconds>\d+ \w+ \d+, [\d:]{8} UTC</time>'
    assert re.search(exact, page.text)
    (entry,) = admin.get("/api/audit", request_id=request_id).get_json()["entries"]
    assert (entry["request_id"], entry["action"]) == (request_id, "token.created")
    printed = app.test_cli_runner().invoke(args=["audit", "list", "--request-id", request_id, "--json"]).stdout
    assert [one["request_id"] for one in json.loads(printed)] == [request_id]
    wrong = a_visitor(app, "rita", "admin").get(f"{AUDIT}?request_id=x")
    assert (wrong.status_code, 'id="request_id-error"' in wrong.text) == (400, True)
    assert admin.get("/api/audit", request_id="x").status_code == 400


def test_who_has_no_grants_sees_nothing_and_is_told_whom_to_ask(app: Flask) -> None:
    revoked_token(app, "acme", "Our shop")
    page = a_visitor(app, "idle", "developer", owner_ids=()).get(AUDIT)
    assert page.status_code == 200
    assert "No owner was granted to your account yet." in page.text
    assert "Our shop" not in page.text


def test_every_wrong_filter_is_told_beside_its_field_and_what_was_typed_stays(app: Flask) -> None:
    admin = a_visitor(app, "root", "admin")
    answer = admin.get(f"{AUDIT}?address=somewhere&from=yesterday&to=9999-99-99&user_id=letstalk:x")
    assert answer.status_code == 400
    for field in ("address", "from", "to", "user_id"):
        assert f'id="{field}-error"' in answer.text
    assert 'value="somewhere"' in answer.text
    assert admin.get(f"{AUDIT}.csv?address=somewhere").status_code == 400
    assert admin.get(f"{AUDIT}?cursor=x").status_code == 400
    for odd in ("actor=%00", "token=" + "x" * 4000, "actor=" + "😀" * 90, "from=0001-01-01T00:00%2B14:00", "action=="):
        assert admin.get(f"{AUDIT}?{odd}").status_code in (200, 400)


def test_a_pasted_token_is_cut_before_its_secret(app: Flask) -> None:
    secret = issue_token(app, "read", owner_id="acme")
    admin = a_visitor(app, "root", "admin")
    for field in ("token", "actor"):
        page = admin.get(f"{AUDIT}?{field}={secret}").text
        assert secret.split("_")[2] not in page
    assert "created the token" in admin.get(f"{AUDIT}?token={secret}").text


def test_pages_keep_their_filters_and_meet_without_a_gap(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letstalk.audit.pages.ENTRIES_PER_PAGE", 2)
    made = [revoked_token(app, "acme", f"number {number}").token_id for number in range(5)]
    admin = a_visitor(app, "root", "admin")
    seen: list[str] = []
    path = f"{AUDIT}?action=token.revoked"
    while path:
        page = admin.get(path).text
        seen += re.findall(r"/dashboard/tokens/([0-9a-f-]{36})", page)
        assert "created the token" not in page
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == made[::-1]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_cell_of_the_download_starts_a_formula(app: Flask, start: str) -> None:
    assert safe_cell(f"{start}1+1") == f"'{start}1+1"
    if start.isprintable():
        admin = a_visitor(app, "root", "admin")
        revoked_token(app, f"{start}cmd|' /C calc'!A0", f'{start}HYPERLINK("https://evil.example")')
        lines = csv_of(admin)
        assert {line["user_id"] for line in lines} >= {f"'{start}cmd|' /C calc'!A0"}
        assert [cell for line in lines for cell in line.values() if cell.startswith(FORMULA_STARTS)] == []


def test_what_is_harmless_stays_as_it_is_in_the_download() -> None:
    assert [safe_cell(text) for text in ("", "acme", "a=b", "2026-11-20", '{"a": "=1"}')] == [
        *("", "acme", "a=b", "2026-11-20", '{"a": "=1"}')
    ]


def test_the_download_is_sent_in_pieces_and_ends_at_its_bound(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letstalk.audit.search.EXPORT_BATCH", 3)
    monkeypatch.setattr("letstalk.audit.search.MAX_EXPORTED", 9)
    monkeypatch.setattr("letstalk.http.csv_files.BATCH", 4)
    made = [revoked_token(app, "acme", f"number {number}").token_id for number in range(6)]
    lines = csv_of(a_visitor(app, "root", "admin"), "?user_id=acme")
    assert len(lines) == 9, "of 12 that match"
    assert lines[0]["token_id"] == made[-1]
    assert (lines[-1]["token_id"], lines[-1]["action"]) == (made[1], "token.revoked")


def test_the_api_lists_entries_in_pages(app: Flask) -> None:
    token = revoked_token(app, "acme", "Our shop")
    api = Api(app.test_client(), issue_token(app, "admin", owner_id="ops"))
    first = api.get("/api/audit", limit=1, token_id=token.token_id).get_json()
    [entry] = first["entries"]
    assert entry["sentence"] == "The built-in owner revoked the token “Our shop” from 127.0.0.1."
    assert (entry["user_id"], entry["actor_kind"], entry["action"]) == ("acme", "owner", "token.revoked")
    last = api.get("/api/audit", limit=1, token_id=token.token_id, cursor=first["next_cursor"]).get_json()
    assert [one["action"] for one in last["entries"]] == ["token.created"]
    assert last["next_cursor"] is None
    at = entry["at"]
    assert api.get("/api/audit", **{"from": at, "to": "2999-01-01T00:00:00+02:00"}).status_code == 200
    assert api.get("/api/audit", to="2020-01-01T00:00:00z").get_json()["entries"] == []
    for wrong in ({"from": "yesterday"}, {"from": "2026-11-20T10:00:00"}, {"from": "0"}, {"token_id": "x"}, {"x": "y"}):
        assert api.get("/api/audit", **wrong).status_code == 400


def test_the_command_lists_entries(app: Flask) -> None:
    revoked_token(app, "acme", "Our \x1b[31mshop".replace("\x1b", "") + "\u202e")
    runner = app.test_cli_runner()
    result = runner.invoke(args=["audit", "list", "--action", "token.revoked", "--user-id", "acme"])
    assert result.exit_code == 0, result.output
    assert "TIME" in result.output.splitlines()[0]
    assert "revoked the token" in result.output
    assert "\u202e" not in result.output
    shown = json.loads(runner.invoke(args=["audit", "list", "--json", "--limit", "1"]).output)
    assert [one["action"] for one in shown] == ["token.revoked"]
    wrong = runner.invoke(args=["audit", "list", "--address", "somewhere"])
    assert wrong.exit_code == 1
    assert "address must be an IP address." in wrong.output
