"""Single sign-on as people meet it: in a real browser, through a certified provider."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from letstalk.accounts.models import NewAccount
from tests.support.apps import make_app, services_of
from tests.support.fixtures.openid import CertifiedProvider

OF_AN_APP = "/somewhere-of-an-app"
SIGN_IN = "/api/auth/sso/start?next=/api/tokens/dashboard"


@pytest.fixture
def base() -> str:
    """Where the service will be: the provider has to know before it starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def app(tmp_path: Path, base: str, certified_provider: CertifiedProvider) -> Iterator[Flask]:
    """A service where Ada and Grace have accounts, served, and its provider beside it."""
    with certified_provider(base, OF_AN_APP) as settings:
        app = make_app(tmp_path, **settings, OIDC_REDIRECT_URIS=f"{base}{OF_AN_APP}")
        for name in ("ada", "unverified-grace"):
            services_of(app).accounts.service.create_account(NewAccount(f"{name}@example.com", name, "admin"))
        server = make_server("127.0.0.1", urlsplit(base).port or 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield app
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def page(browser: Browser, app: Flask) -> Iterator[Page]:  # noqa: ARG001  # the service must run
    with browser.new_context() as context:
        context.set_default_timeout(30_000)
        yield context.new_page()


def sign_in_there(page: Page, name: str) -> None:
    """Fill in the provider's form; its next page asks whether the service may know who it is."""
    assert urlsplit(page.url).hostname == "localhost"
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").wait_for()


def test_somebody_signs_in_with_their_account_elsewhere(page: Page, base: str) -> None:
    page.goto(base + SIGN_IN)
    sign_in_there(page, "ada")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="API tokens")).to_be_visible()
    assert page.url == f"{base}/api/tokens/dashboard"
    me = page.evaluate("fetch('/api/auth/me').then(answer => answer.json())")
    assert (me["username"], me["session"]["method"]) == ("ada", "sso")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("fetch('/api/auth/me').then(answer => answer.status)") == 401

    # The provider still knows them, and asks nothing.
    page.goto(base + SIGN_IN)
    expect(page.get_by_role("heading", name="API tokens")).to_be_visible()


def test_an_address_that_is_not_verified_there_opens_nothing(page: Page, base: str) -> None:
    page.goto(base + SIGN_IN)
    sign_in_there(page, "unverified-grace")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("You have no account here")).to_be_visible()
    assert page.evaluate("fetch('/api/auth/me').then(answer => answer.status)") == 401


def test_whoever_cancels_there_reads_so_here(page: Page, base: str) -> None:
    page.goto(base + SIGN_IN)
    sign_in_there(page, "ada")
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("Signing in did not work")).to_be_visible()
    assert page.evaluate("fetch('/api/auth/me').then(answer => answer.status)") == 401
    page.get_by_role("link", name="Back to the sign-in page").click()
    expect(page.get_by_role("link", name="Sign in with single sign-on")).to_be_visible()


def test_an_app_that_opens_the_browser_gets_tokens(page: Page, base: str, app: Flask) -> None:
    client, secret = app.test_client(use_cookies=False), "s" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()
    redirect_uri = f"{base}{OF_AN_APP}"
    started = client.post(
        "/api/auth/sso/start", json={"redirect_uri": redirect_uri, "code_challenge": challenge}
    ).get_json()
    page.goto(started["authorization_url"])
    sign_in_there(page, "ada")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{redirect_uri}?*")
    came_back = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
    assert came_back["state"] == started["state"]
    body = {**came_back, "redirect_uri": redirect_uri, "code_verifier": secret}
    answer = client.post("/api/auth/sso", json=body)
    assert (answer.status_code, answer.get_json()["username"]) == (200, "ada")
    assert client.post("/api/auth/sso", json=body).get_json()["code"] == "sso_failed"
    assert page.evaluate("fetch('/api/auth/me').then(answer => answer.status)") == 401


def test_what_one_browser_began_no_other_ends(page: Page, base: str, browser: Browser) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(base + SIGN_IN)
    sign_in_there(page, "ada")
    [cookie] = [each for each in page.context.cookies() if each["name"] == "letstalk_sso"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.context.clear_cookies(name="letstalk_sso")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Signing in did not work")).to_be_visible()
    callback = next(url for url in asked if url.startswith(f"{base}/api/auth/sso/callback?"))

    with browser.new_context() as context:
        victim = context.new_page()
        victim.goto(base + SIGN_IN)  # so that it has a cookie of its own
        victim.goto(callback)
        expect(victim.get_by_text("Signing in did not work")).to_be_visible()
        assert victim.evaluate("fetch('/api/auth/me').then(answer => answer.status)") == 401

    again = {"name": cookie["name"], "value": cookie["value"], "url": base}
    page.context.add_cookies([again])  # type: ignore[list-item]  # a dict with fewer keys, which it takes
    page.goto(callback)
    expect(page.get_by_role("heading", name="API tokens")).to_be_visible()
    page.goto(callback)
    expect(page.get_by_text("Signing in did not work")).to_be_visible()
