"""The dashboard over HTTP: access, forms, and what no response may contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.config.settings import load_settings
from letstalk.db.database import Database
from letstalk.http.forms import local_path
from tests.support.quick_apps import quick_app

PASSWORD = "correct horse battery staple"
TOKEN = re.compile(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}")
TOKEN_ID = re.compile(r"/dashboard/tokens/([0-9a-f-]{36})")
LIST = "/api/tokens/dashboard"
HOME = "/dashboard"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    env = {
        "FLASK_ENV": "development",
        "TELEPHONY_PROVIDER": "simulator",
        "DASHBOARD_PASSWORD": PASSWORD,
        "DATABASE_URL": f"sqlite:///{tmp_path}/letstalk.db",
    }
    return quick_app(load_settings(env, None, root=tmp_path))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Someone who has not signed in."""
    return app.test_client()


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    """Someone who has."""
    client = app.test_client()
    assert sign_in(client).status_code == 302
    return client


def csrf_token(client: FlaskClient, path: str = "/sign-in") -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def sign_in(client: FlaskClient, password: str = PASSWORD, **fields: str) -> TestResponse:
    return client.post("/sign-in", data={"csrf_token": csrf_token(client), "password": password, **fields})


def create_token(owner: FlaskClient, **fields: str | list[str]) -> tuple[str, str]:
    """A new token by the form. Returns its id and its secret text."""
    confirmed = {"new_owner": fields["user_id"]} if "user_id" in fields else {}
    form = {"csrf_token": csrf_token(owner, LIST), "scopes": ["read", "write"], **confirmed, **fields}
    page = owner.post("/dashboard/tokens", data=form).text
    secret, token_id = TOKEN.search(page), TOKEN_ID.search(page)
    assert secret
    assert token_id
    return token_id[1], secret[0]


def cookies_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("session")
    assert cookie
    return cookie.value


class TestSigningIn:
    def test_a_stranger_is_sent_to_sign_in_and_then_where_they_wanted_to_go(self, client: FlaskClient) -> None:
        assert client.get("/").location == HOME
        answer = client.get("/dashboard/tokens/new")
        assert (answer.status_code, answer.location) == (302, "/sign-in?next=/dashboard/tokens/new")
        page = client.get(answer.location).text
        assert 'name="next" value="/dashboard/tokens/new"' in page
        assert sign_in(client, next="/dashboard/tokens/new").location == "/dashboard/tokens/new"
        assert client.get("/dashboard/tokens/new").status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            LIST,
            "/dashboard/tokens/new",
            "/dashboard/tokens/x",
            "/dashboard/tokens/x/rotate",
            "/dashboard/tokens/x/revoke",
        ],
    )
    def test_no_page_opens_without_signing_in(self, client: FlaskClient, path: str) -> None:
        answer = client.get(path)
        assert (answer.status_code, answer.location) == (302, f"/sign-in?next={path}")

    @pytest.mark.parametrize("path", ["/dashboard/tokens", "/dashboard/tokens/x/rotate", "/dashboard/tokens/x/revoke"])
    def test_no_form_works_without_signing_in(self, client: FlaskClient, path: str) -> None:
        answer = client.post(path, data={"csrf_token": csrf_token(client), "scopes": "admin"})
        assert (answer.status_code, answer.location) == (302, "/sign-in")

    def test_a_wrong_password_is_refused_in_the_form(self, client: FlaskClient) -> None:
        answer = sign_in(client, "wrong", next="/dashboard/tokens/new")
        assert answer.status_code == 401
        assert "That is not the password." in answer.text
        assert 'name="next" value="/dashboard/tokens/new"' in answer.text
        assert "wrong</" not in answer.text
        assert client.get(LIST).status_code == 302

    def test_the_sixth_try_in_a_minute_waits_even_with_the_password(self, client: FlaskClient) -> None:
        assert [sign_in(client, "wrong").status_code for _ in range(5)] == [401] * 5
        answer = sign_in(client)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert "You can try again in " in answer.text
        assert client.get(LIST).status_code == 302

    def test_signing_in_without_the_csrf_token_is_refused(self, client: FlaskClient) -> None:
        assert client.post("/sign-in", data={"password": PASSWORD}).status_code == 403
        assert client.get(LIST).status_code == 302

    def test_what_was_in_the_session_before_does_not_live_on(self, client: FlaskClient) -> None:
        planted = csrf_token(client)
        sign_in(client)
        assert client.post("/dashboard/tokens", data={"csrf_token": planted}).status_code == 403

    def test_a_new_sign_in_ends_the_session_before(self, app: Flask, owner: FlaskClient) -> None:
        copy = app.test_client()
        copy.set_cookie("session", cookies_of(owner))
        assert copy.get(LIST).status_code == 200
        token = csrf_token(owner, LIST)
        assert owner.post("/sign-in", data={"csrf_token": token, "password": PASSWORD}).status_code == 302
        assert copy.get(LIST).status_code == 302
        assert owner.get(LIST).status_code == 200

    def test_a_copied_cookie_is_dead_after_sign_out(self, app: Flask, owner: FlaskClient) -> None:
        copy = app.test_client()
        copy.set_cookie("session", cookies_of(owner))
        assert owner.post("/sign-out", data={"csrf_token": csrf_token(owner, LIST)}).location == "/sign-in"
        assert owner.get(LIST).status_code == 302
        assert copy.get(LIST).status_code == 302

    def test_signing_out_needs_the_csrf_token(self, owner: FlaskClient) -> None:
        assert owner.post("/sign-out").status_code == 403
        assert owner.get("/sign-out").status_code == 405
        assert owner.get(LIST).status_code == 200

    @pytest.mark.parametrize(("base", "is_secure"), [("http://localhost", False), ("https://localhost", True)])
    def test_the_cookie_is_kept_from_scripts_and_other_sites(
        self, client: FlaskClient, base: str, is_secure: bool
    ) -> None:
        cookie = client.get("/sign-in", base_url=base).headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert ("Secure" in cookie) is is_secure
        # RFC 6265bis, section 4.1.3.2: the prefix asks for all three.
        assert cookie.startswith("__Host-session=" if is_secure else "session=")
        assert "Path=/" in cookie.split("; ")
        assert "Domain" not in cookie

    def test_over_tls_a_cookie_that_a_neighbor_could_have_planted_is_not_read(
        self, app: Flask, client: FlaskClient
    ) -> None:
        base = "https://localhost"
        sign_in(client)
        victim = app.test_client()
        victim.set_cookie("session", cookies_of(client))
        assert victim.get(LIST, base_url=base).status_code == 302
        victim.set_cookie("__Host-session", cookies_of(client))
        assert victim.get(LIST, base_url=base).status_code == 200
        assert victim.get(LIST, base_url="http://localhost").status_code == 200  # development, by its own cookie

    def test_behind_https_the_prefix_does_not_depend_on_a_trusted_proxy(self, app: Flask, client: FlaskClient) -> None:
        app.config["COOKIES_ARE_SECURE"] = True  # as with PUBLIC_URL=https://…
        assert client.get("/sign-in").headers["Set-Cookie"].startswith("__Host-session=")

    @pytest.mark.parametrize("target", ["/", "/dashboard/tokens/new", "/a?b=//c"])
    def test_a_path_of_ours_is_a_way_to_go_on(self, target: str) -> None:
        assert local_path(target) == target

    @pytest.mark.parametrize(
        "target",
        [
            *(None, "", "x", "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example"),
            *(
                "https://evil.example",
                "javascript:alert(1)",
                "/\t/evil.example",
                "\t//evil.example",
                "/\n/evil.example",
            ),
            *("/a\r\nSet-Cookie: x=y", " //evil.example", "/\x7f/evil.example"),
        ],
    )
    def test_any_other_target_is_none(self, target: str | None) -> None:
        assert local_path(target) is None

    @pytest.mark.parametrize(
        "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"]
    )
    def test_signing_in_leads_to_no_other_host(self, client: FlaskClient, target: str) -> None:
        assert "evil" not in client.get("/sign-in", query_string={"next": target}).text
        assert sign_in(client, next=target).location == HOME


class TestTokens:
    def test_a_new_token_is_shown_once_and_works(self, app: Flask, owner: FlaskClient) -> None:
        token_id, secret = create_token(owner, name="Web shop", user_id="shop")
        answer = app.test_client().get("/api/tokens/current", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200
        for path in (LIST, f"/dashboard/tokens/{token_id}", f"/dashboard/tokens/{token_id}/rotate"):
            page = owner.get(path)
            assert "Web shop" in page.text
            assert secret not in page.text
            assert secret.split("_")[2] not in page.text

    def test_the_command_uses_a_call_that_the_token_may_make(self, owner: FlaskClient) -> None:
        form = {"csrf_token": csrf_token(owner, LIST), "scopes": ["otp:send"]}
        assert "curl -X POST http://localhost/calls/otp" in owner.post("/dashboard/tokens", data=form).text
        form["scopes"] = ["calls:read"]
        page = owner.post("/dashboard/tokens", data=form).text
        assert "/calls/otp" not in page
        assert "curl http://localhost/api/tokens/current" in page

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "x" * 101),
            ("user_id", "x" * 129),
            ("scopes", "everything"),
            ("scopes", []),
            ("expires_in", "soon"),
            ("expires_in", "0"),
            ("expires_in", "9" * 1000),
            ("expires_in", "٣"),
            ("allowed_ips", "nowhere"),
            ("rate_limit", "often"),
            ("name", "a\x00b"),
        ],
    )
    def test_what_is_wrong_is_said_beside_its_field(
        self, owner: FlaskClient, field: str, value: str | list[str]
    ) -> None:
        form = {"csrf_token": csrf_token(owner, LIST), "name": "Kept", "scopes": ["read"], field: value}
        answer = owner.post("/dashboard/tokens", data=form)
        assert answer.status_code == 400
        assert f'id="{field}-error"' in answer.text
        assert field == "name" or 'value="Kept"' in answer.text
        assert "No active tokens" in owner.get(LIST).text

    def test_markup_is_shown_as_text(self, owner: FlaskClient) -> None:
        token_id, _ = create_token(owner, name="<script>alert(1)</script>")
        for path in (LIST, f"/dashboard/tokens/{token_id}", f"{LIST}?q=<script>"):
            page = owner.get(path).text
            assert "<script>" not in page
            assert "&lt;script&gt;" in page

    def test_the_same_form_makes_one_token(self, owner: FlaskClient) -> None:
        form = {"csrf_token": csrf_token(owner, LIST), "scopes": ["read"], "submission": "abc"}
        assert owner.post("/dashboard/tokens", data=form).status_code == 200
        again = owner.post("/dashboard/tokens", data=form)
        assert (again.status_code, again.location) == (302, LIST)
        assert owner.get(LIST).text.count('data-label="Name"') == 1

    def test_rotation_shows_the_successor_and_says_how_long_the_old_one_works(self, owner: FlaskClient) -> None:
        token_id, secret = create_token(owner)
        form = {"csrf_token": csrf_token(owner, LIST), "grace_seconds": "86400"}
        page = owner.post(f"/dashboard/tokens/{token_id}/rotate", data=form).text
        successor = TOKEN.search(page)
        assert successor
        assert successor[0] != secret
        assert "The old token works for 1 day more." in page
        assert "expiring" in owner.get(f"/dashboard/tokens/{token_id}").text

    @pytest.mark.parametrize("grace", ["", "-1", "604801", "x"])
    def test_a_grace_out_of_bounds_is_refused(self, owner: FlaskClient, grace: str) -> None:
        token_id, _ = create_token(owner)
        form = {"csrf_token": csrf_token(owner, LIST), "grace_seconds": grace}
        answer = owner.post(f"/dashboard/tokens/{token_id}/rotate", data=form)
        assert answer.status_code == 400
        assert 'id="grace_seconds-error"' in answer.text
        assert ">expiring<" not in owner.get(LIST).text

    def test_a_revoked_token_offers_nothing_more(self, owner: FlaskClient) -> None:
        token_id, _ = create_token(owner, name="Gone")
        path = f"/dashboard/tokens/{token_id}"
        form = {"csrf_token": csrf_token(owner, LIST)}
        assert owner.post(f"{path}/revoke", data=form).location == LIST
        assert "Gone is revoked." in owner.get(LIST).text
        assert "No active tokens" in owner.get(LIST).text
        assert "Gone" in owner.get(f"{LIST}?revoked=1").text
        assert "/rotate" not in owner.get(path).text
        assert "/revoke" not in owner.get(path).text
        assert owner.post(f"{path}/rotate", data={**form, "grace_seconds": "0"}).status_code == 409
        assert owner.post(f"{path}/revoke", data=form).status_code == 302

    @pytest.mark.parametrize(
        "path", ["/dashboard/tokens", "/dashboard/tokens/{}/rotate", "/dashboard/tokens/{}/revoke"]
    )
    def test_a_form_without_its_csrf_token_changes_nothing(self, owner: FlaskClient, path: str) -> None:
        token_id, _ = create_token(owner)
        before = owner.get(LIST).text.count("data-label")
        assert owner.post(path.format(token_id), data={"scopes": "admin", "grace_seconds": "0"}).status_code == 403
        page = owner.get(f"{LIST}?revoked=1").text
        assert page.count("data-label") == before
        assert "active" in page

    @pytest.mark.parametrize("token_id", ["nope", "00000000-0000-4000-8000-000000000000", "%00", "a" * 3000])
    def test_an_unknown_token_is_a_page_that_says_so(self, owner: FlaskClient, token_id: str) -> None:
        for action in ("", "/rotate", "/revoke"):
            answer = owner.get(f"/dashboard/tokens/{token_id}{action}")
            assert (answer.status_code, answer.mimetype) == (404, "text/html")
            assert "Request id" in answer.text

    def test_the_list_comes_in_pages(self, owner: FlaskClient) -> None:
        for number in range(26):
            create_token(owner, name=f"token {number}", scopes=["read"])
        first = owner.get(f"{LIST}?q=token").text
        assert first.count('data-label="Name"') == 25
        link = re.search(r'rel="next" href="([^"]+)"', first)
        assert link
        second = owner.get(link[1].replace("&amp;", "&")).text
        assert second.count('data-label="Name"') == 1
        assert ">token 0<" in second
        assert 'rel="next"' not in second

    def test_a_broken_cursor_is_a_refusal(self, owner: FlaskClient) -> None:
        assert owner.get(f"{LIST}?cursor=%00%ff").status_code == 400


class TestTrouble:
    def test_a_broken_database_is_a_page_that_says_nothing_of_the_inside(self, app: Flask, owner: FlaskClient) -> None:
        database: Database = app.extensions["letstalk_db"]
        with database.write() as connection:
            connection.exec_driver_sql("DROP TABLE sessions")
        answer = owner.get(LIST)
        assert (answer.status_code, answer.mimetype) == (503, "text/html")
        assert answer.headers["X-Request-Id"] in answer.text
        assert "sqlite" not in answer.text.lower()
        assert "sessions" not in answer.text


class TestHeaders:
    def test_no_page_may_be_kept_framed_or_extended(self, owner: FlaskClient, client: FlaskClient) -> None:
        answers = [owner.get(LIST), client.get("/sign-in"), client.get(LIST), owner.get("/dashboard/tokens/nope")]
        for answer in answers:
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "unsafe" not in policy

    def test_pages_hold_no_inline_script_or_style_and_name_no_other_host(self, owner: FlaskClient) -> None:
        token_id, _ = create_token(owner)
        paths = [LIST, "/dashboard/tokens/new", f"/dashboard/tokens/{token_id}", f"/dashboard/tokens/{token_id}/revoke"]
        for page in (owner.get(path).text for path in paths):
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script>|(src|href)=\"(https?:)?//", page)
            assert "<script src=" in page
