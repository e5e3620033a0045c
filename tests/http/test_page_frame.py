"""What is around every page: the navigation, the theme, files that browsers keep, and the page of an error."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from flask import Flask

from letstalk.core.scopes import Scope
from letstalk.core.secret_files import make_encryption_key
from letstalk.http.guards import require_signed_in
from tests.support.apps import issue_token, make_app, services_of
from tests.support.pages import Visitor, a_visitor, the_owner

# At the side; the menu of a phone has the same.
LINK = re.compile(r'<li><a href="([^"]+)"(?: aria-current="(\w+)")?>')


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("frame"))


@pytest.fixture(scope="module")
def owner(app: Flask) -> Visitor:
    return the_owner(app)


def offered(text: str) -> dict[str, str]:
    """The pages that the navigation leads to, each with its mark."""
    return dict(LINK.findall(text))


def test_the_navigation_offers_each_person_what_they_may_open_and_nothing_else(app: Flask, owner: Visitor) -> None:
    viewer, admin = a_visitor(app, "vera", "viewer"), a_visitor(app, "ada", "admin")
    seen = {who: offered(visitor.get("/api/tokens/dashboard").text) for who, visitor in
            (("owner", owner), ("viewer", viewer), ("admin", admin))}  # fmt: skip
    assert "/dashboard/people" in seen["admin"]
    assert "/dashboard/people" in seen["owner"]
    assert "/dashboard/people" not in seen["viewer"]
    assert "/dashboard/profile" in seen["viewer"]
    assert "/dashboard/profile" not in seen["owner"]
    for visitor, paths in ((owner, seen["owner"]), (viewer, seen["viewer"]), (admin, seen["admin"])):
        assert {path: visitor.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_every_page_says_that_calls_are_simulated_and_leads_who_may_to_the_phone(app: Flask, owner: Visitor) -> None:
    mark = 'class="simulated"'
    assert '<a class="simulated" href="/simulator"' in owner.get("/dashboard").text
    viewer = a_visitor(app, "violet", "viewer").get("/dashboard").text
    assert (mark in viewer, "/simulator" in viewer) == (True, False)
    for path in ("/sign-in", "/docs"):
        assert mark in app.test_client().get(path).text, path


def test_with_a_real_provider_no_page_says_so(tmp_path: Path) -> None:
    real = make_app(
        tmp_path,
        TELEPHONY_PROVIDER="telnyx",
        TELNYX_API_KEY="KEY0123",
        TELNYX_CONNECTION_ID="1293384261075731499",
        TELNYX_FROM_NUMBER="+15551234567",
        TELNYX_PUBLIC_KEY=base64.b64encode(b"k" * 32).decode(),
        PUBLIC_URL="https://otp.example",
    )
    page = real.test_client().get("/sign-in").text
    assert ("Sign in" in page, "Simulated" in page) == (True, False)


def test_the_navigation_says_who_is_signed_in(app: Flask, owner: Visitor) -> None:
    who = re.compile(r'Signed in as </span><strong>([^<]+)</strong> <span class="hint">(\w+)</span>')
    assert set(who.findall(owner.get("/dashboard").text)) == {("Built-in owner", "admin")}
    viewer = a_visitor(app, "valerie", "viewer")
    for path in ("/dashboard", "/no/such/page"):
        page = viewer.client.get(path, headers={"Accept": "text/html"}).text
        assert set(who.findall(page)) == {("valerie", "viewer")}, path


@pytest.mark.parametrize(
    ("path", "entry", "mark"),
    [
        ("/api/tokens/dashboard", "/api/tokens/dashboard", "page"),
        ("/dashboard/tokens/new", "/api/tokens/dashboard", "true"),
        ("/dashboard/people/invite", "/dashboard/people", "true"),
        ("/dashboard", "/dashboard", "page"),
    ],
)
def test_the_navigation_marks_one_part_as_the_present_one(path: str, entry: str, mark: str, owner: Visitor) -> None:
    marked = {found: value for found, value in offered(owner.get(path).text).items() if value}
    assert marked == {entry: mark}


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/no/such/page", 404), ("GET", "/theme", 405), ("GET", "/dashboard/profile", 403),
])  # fmt: skip
def test_an_error_keeps_the_navigation_for_who_is_signed_in_and_shows_a_stranger_none(
    method: str, path: str, status: int, app: Flask, owner: Visitor
) -> None:
    page = owner.client.open(path, method=method, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert "/dashboard/people" in offered(page.text)
    assert page.headers["Cache-Control"] == "no-store"
    stranger = app.test_client().open(path, method=method, headers={"Accept": "text/html"})
    assert stranger.status_code in (status, 302)
    assert offered(stranger.text) == {}
    assert "Set-Cookie" not in stranger.headers


def test_an_unexpected_error_keeps_the_navigation(tmp_path: Path) -> None:
    def fail() -> str:
        raise ValueError("unlucky")

    app = make_app(tmp_path)
    owner = the_owner(app)
    app.view_functions["dashboard.new"] = require_signed_in(Scope.TOKENS_WRITE)(fail)
    page = owner.get("/dashboard/tokens/new")
    assert page.status_code == 500
    assert "/dashboard/people" in offered(page.text)
    assert "unlucky" not in page.text


def test_the_theme_is_kept_and_drawn_from_the_first_byte(app: Flask) -> None:
    visitor = Visitor(app)
    assert 'data-theme="system"' in visitor.get("/sign-in").text
    token = visitor.csrf_token()
    before = {"Referer": "http://localhost/docs?shown=1"}
    answer = visitor.client.post("/theme", data={"csrf_token": token, "theme": "dark"}, headers=before)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs?shown=1")
    cookie = answer.headers["Set-Cookie"]
    for part in ("theme=dark", "HttpOnly", "SameSite=Lax", "Max-Age=31536000", "Path=/"):
        assert part in cookie
    for path in ("/sign-in", "/docs", "/no/such/page"):
        page = visitor.client.get(path, headers={"Accept": "text/html"}).text
        assert '<html lang="en" data-theme="dark">' in page, path
        assert '<meta name="color-scheme" content="dark">' in page, path


@pytest.mark.parametrize(
    ("page_before", "target"),
    [
        (None, "/"),
        ("http://localhost/sign-in?next=/docs", "/sign-in?next=/docs"),
        ("http://localhost/theme", "/"),  # a page that only a form leads to
        ("http://localhost//evil.example/", "/"),
        ("no address", "/"),
    ],
)
def test_the_choice_of_a_theme_leads_back_and_never_away(page_before: str | None, target: str, app: Flask) -> None:
    visitor = Visitor(app)
    headers = {} if page_before is None else {"Referer": page_before, "Origin": "http://localhost"}
    form = {"csrf_token": visitor.csrf_token(), "theme": "light"}
    assert visitor.client.post("/theme", data=form, headers=headers).headers["Location"] == target


@pytest.mark.parametrize("theme", ["", "blue", "dark;", "ligh\u200bt", "x" * 500])
def test_what_is_no_theme_is_refused_and_changes_nothing(theme: str, app: Flask) -> None:
    visitor = Visitor(app)
    answer = visitor.post("/theme", theme=theme)
    assert answer.status_code == 400
    assert visitor.client.get_cookie("theme") is None
    visitor.client.set_cookie("theme", "<script>")
    assert 'data-theme="system"' in visitor.get("/sign-in").text


def test_a_file_with_its_mark_is_kept_and_one_with_an_old_mark_is_not(app: Flask) -> None:
    client = app.test_client()
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/sign-in").text)
    assert len(links) == 5
    for link in links:
        with client.get(link) as answer:
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    for path in ("/static/style.css?v=0123456789ab", "/static/style.css"):
        with client.get(path) as answer:
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    with client.get("/static/none.css?v=1") as answer:
        assert answer.status_code == 404


def test_the_design_page_exists_in_development_alone(tmp_path: Path, owner: Visitor) -> None:
    assert owner.get("/design").status_code == 200
    production = the_owner(make_app(tmp_path, FLASK_ENV="production", ENCRYPTION_KEYS=make_encryption_key()))
    assert production.get("/design").status_code == 404


def test_a_form_says_all_that_is_wrong_beside_its_fields_keeps_what_was_typed_and_begins_with_the_first(
    app: Flask, owner: Visitor
) -> None:
    typed = {
        "name": "x" * 101,
        "user_id": "an owner who is new",
        "scopes": "read",
        "allowed_ips": "nowhere",
        "rate_limit": "often",
    }
    page = owner.post("/dashboard/tokens", **typed)
    assert page.status_code == 400
    assert re.findall(r'<p class="error" id="(\w+)-error">', page.text) == [
        *("name", "user_id", "allowed_ips", "rate_limit")
    ]
    focused = [field for field in re.findall(r"<(?:input|textarea|select)[^>]*>", page.text) if "autofocus" in field]
    assert len(focused) == 1
    assert 'id="name"' in focused[0]
    for value in ("x" * 101, "nowhere", "often"):
        assert value in page.text
    invitation = owner.post("/dashboard/people/invite", email="nobody", role="king", user_ids="acme")
    assert re.findall(r'<p class="error" id="(\w+)-error">', invitation.text) == ["email", "role"]
    assert services_of(app).accounts.service.find_by_email("nobody") is None


def test_the_api_says_all_that_is_wrong_too(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {issue_token(app, 'admin')}"}
    body = {"allowed_ips": ["nowhere"], "rate_limit": "often"}
    answer = app.test_client().post("/api/tokens", json=body, headers=headers).get_json()
    assert [detail["field"] for detail in answer["details"]] == ["allowed_ips", "rate_limit"]
    assert answer["error"] == answer["details"][0]["message"]
