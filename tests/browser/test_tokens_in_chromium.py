"""Changing and revoking tokens, and reading the audit trail, in a real browser: by keyboard, and without scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit

StartVisit = Callable[..., Visit]


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
def test_tokens_are_changed_watched_and_revoked_together(visit: StartVisit, has_scripts: bool) -> None:
    window = visit(java_script_enabled=has_scripts, viewport={"width": 390, "height": 844}, accept_downloads=True)
    page = window.page
    window.sign_in()
    for name in ("One", "Two"):
        window.create_token(name)
        page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="One", exact=True).click()
    page.get_by_role("link", name="Change", exact=True).click()
    # Two wrong fields at once: the first has the focus, and what was typed stays.
    page.get_by_text("Limits: addresses, rate, what calls may say").click()
    page.get_by_label("Only from these addresses").fill("somewhere")
    page.get_by_label("Own rate limit").fill("often")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_label("Only from these addresses")).to_be_focused()
    expect(page.get_by_label("Only from these addresses")).to_have_value("somewhere")
    expect(page.locator("#rate_limit-error")).to_be_visible()
    page.get_by_label("Only from these addresses").fill("127.0.0.0/8")
    page.get_by_label("Own rate limit").fill("")
    page.get_by_label("Name").fill("Shop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("The token is changed.")
    expect(page.get_by_text("The built-in owner changed the token “Shop” (allowed_ips, name)")).to_be_visible()
    page.get_by_role("link", name="All entries about this token").click()
    page.get_by_text("Detail of token.updated").first.click()
    expect(page.get_by_text('"127.0.0.0/8"')).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert [line["action"] for line in lines] == ["token.updated", "token.created"]
    window.open("/api/tokens/dashboard")
    for name in ("Shop", "Two"):
        page.get_by_role("checkbox", name=f"Select {name}").press("Space")
    page.get_by_role("button", name="Revoke the selected…").press("Enter")
    expect(page.get_by_role("heading", name="Revoke 2 tokens?")).to_be_visible()
    page.get_by_role("button", name="Revoke 2 tokens").press("Enter")
    expect(page.get_by_role("heading", name="2 tokens are revoked")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", name="No active tokens")).to_be_visible()
