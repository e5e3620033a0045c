"""/docs in a real browser: it shows the whole description, asks no other host, and fits a phone."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_findings, axe_source
from tests.browser.conftest import Visit
from tests.support.account_services import a_person

# Of each operation its method and its path.
SHOWN_OPERATIONS = """blocks => blocks.map(block => [
    block.querySelector(".opblock-summary-method").innerText, block.querySelector("[data-path]").dataset.path
])"""
PHONE = {"width": 360, "height": 740}


def open_docs(visit: Visit) -> Page:
    visit.page.set_default_timeout(40_000)  # Swagger UI is a megabyte of script, and the machine may be busy
    visit.open("/docs")
    visit.page.locator(".opblock-summary").first.wait_for()
    return visit.page


def test_it_shows_every_operation_and_every_event(visit: Callable[..., Visit], base: str) -> None:
    document = httpx.get(f"{base}/openapi.json").json()
    requests = {**document["paths"], **document["webhooks"]}
    described = {(method.upper(), path) for path, methods in requests.items() for method in methods}
    page = open_docs(visit())
    shown: list[list[str]] = page.locator(".opblock").evaluate_all(SHOWN_OPERATIONS)
    assert {tuple(one) for one in shown} == described
    assert page.locator(".info .title").first.inner_text().startswith("Let's Talk")
    for tag in ("Calls", "Tokens", "Webhooks", "Operations", "Pages"):
        assert page.locator(f"#operations-tag-{tag}").is_visible()
    # No button leads elsewhere.
    links: list[str] = page.locator("a[href]").evaluate_all("all => all.map(it => it.href)")
    assert [link for link in links if not link.startswith((base, "https://spdx.org/licenses/MIT"))] == []
    assert page.locator("form.download-url-wrapper").count() == 0


# The markup is Swagger UI's own: what these rules find of it can't be repaired from outside.
RULES_OF_SWAGGER_UI = ("heading-order", "nested-interactive")


def test_it_has_our_colours_and_axe_finds_nothing_in_light_and_dark(visit: Callable[..., Visit]) -> None:
    me = visit(color_scheme="light")
    me.context.add_init_script(axe_source())
    page = open_docs(me)
    method = page.locator(".opblock-post .opblock-summary-method").first
    for scheme, colour in (("light", "rgb(16, 107, 67)"), ("dark", "rgb(111, 211, 162)")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(method).to_have_css("color", colour)
        assert axe_findings(page, without=RULES_OF_SWAGGER_UI) == [], scheme
    assert page.locator(".swagger-ui .wrapper").first.evaluate("it => it.getBoundingClientRect().width") > 700


def test_it_can_be_tried_out_with_a_token(visit: Callable[..., Visit], base: str) -> None:
    token = httpx.post(f"{base}/api/tokens").json()["token"]
    page = open_docs(visit())
    page.get_by_role("button", name="Authorize").click()
    page.locator("#auth-bearer-value").first.fill(token)
    page.locator(".auth-btn-wrapper .authorize").first.click()
    page.locator(".btn-done").first.click()
    page.locator("#operations-Tokens-get_current_token .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response").first
    answer.wait_for()
    assert "200" in answer.inner_text()
    assert '"prefix"' in answer.inner_text()


def test_it_can_be_tried_out_as_a_person(visit: Callable[..., Visit], app: Flask) -> None:
    token = a_person(app).token
    page = open_docs(visit())
    page.get_by_role("button", name="Authorize").click()
    offered = [each.split()[0] for each in page.locator(".auth-container h4").all_inner_texts()]
    assert {"token", "person"} <= set(offered)
    person = page.locator(".auth-container").filter(has=page.locator("h4", has_text="person"))
    person.locator("input").fill(token)
    person.locator(".authorize").click()
    page.locator(".btn-done").first.click()
    for operation in ("Signing_in-get_me", "Calls-list_verifications"):
        block = page.locator(f"[id='operations-{operation}']")
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table .response").first
        answer.wait_for()
        assert "200" in answer.inner_text()


def test_an_operation_opens_with_its_examples_and_its_refusals_and_fits_a_phone(visit: Callable[..., Visit]) -> None:
    page = open_docs(visit(viewport=PHONE, is_mobile=True, has_touch=True))
    block = page.locator("#operations-Calls-send_otp")
    block.locator(".opblock-summary-control").click()
    block.get_by_text("Idempotency-Key").first.wait_for()
    shown = block.inner_text()
    for expected in ("+1 202 555 0142", "resend_too_soon", "queue_full", "Scope: otp:send.", "code_length"):
        assert expected in shown
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_javascript_it_says_where_the_description_is(visit: Callable[..., Visit]) -> None:
    here = visit(java_script_enabled=False)
    here.open("/docs")
    assert here.page.get_by_role("link", name="/openapi.json").is_visible()
