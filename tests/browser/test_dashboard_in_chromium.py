"""The dashboard as people meet it: in a real browser, by mouse, by keyboard, on a phone, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask
from playwright.sync_api import Page, expect

from letstalk.services import Services
from tests.browser.conftest import PASSWORD, Visit

StartVisit = Callable[..., Visit]

TOKEN = re.compile(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}")
PHONE = {"width": 360, "height": 740}


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["letstalk"]
    return services


def token_works(app: Flask, token: str) -> bool:
    answer = app.test_client().get("/api/tokens/current", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus, and see that the focus shows."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def enter(page: Page, heading: str) -> None:
    """Press Enter, which leads to the page with this heading."""
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=heading).wait_for()
    page.wait_for_load_state()  # the heading is there before the style sheet that shows the focus


def type_at_once(page: Page, selector: str, text: str) -> None:
    """Type into the field that the page itself gives the focus."""
    # It gets it when the page is first drawn. A person sees no page before; a program's first letters would be lost.
    expect(page.locator(selector)).to_be_focused()
    page.keyboard.type(text)


def assert_nothing_overflows(page: Page) -> None:
    page.wait_for_load_state()  # a click returns before the style sheet of the next page is there
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0, page.url


def test_a_token_lives_its_whole_life_in_the_dashboard(visit: StartVisit, app: Flask) -> None:
    me = visit()
    page = me.page
    me.sign_in()
    expect(page.get_by_text("No active tokens")).to_be_visible()

    token = me.create_token("Web shop")
    assert TOKEN.fullmatch(token)
    assert token_works(app, token)
    command = page.get_by_label("Try it: call a phone").input_value()
    assert command.startswith(f"curl -X POST {me.base}/calls/otp")
    assert token in command

    page.get_by_role("link", name="Done").click()
    row = page.get_by_role("row").filter(has_text="Web shop")
    expect(row.get_by_text("active")).to_be_visible()
    expect(row.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"^1 request in the last 14 days"))
    assert token not in page.content()

    row.get_by_role("link", name="Rotate").click()
    page.get_by_label("The old token works for").select_option("0")
    page.get_by_role("button", name="Rotate token").click()
    successor = page.get_by_label("Token", exact=True).input_value()
    assert TOKEN.fullmatch(successor)
    assert successor != token
    assert (token_works(app, token), token_works(app, successor)) == (False, True)

    page.get_by_role("link", name="Done").click()
    page.get_by_role("row").filter(has_text="Web shop").get_by_role("link", name="Revoke").click()
    assert token_works(app, successor)  # the question alone changes nothing
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("Web shop is revoked.")).to_be_visible()
    assert not token_works(app, successor)

    page.get_by_label("Show revoked and expired").check()
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_copy_buttons_copy(visit: StartVisit) -> None:
    me = visit(permissions=["clipboard-read", "clipboard-write"])
    me.sign_in()
    token = me.create_token("Copied")

    me.page.get_by_role("button", name="Copy").first.click()
    expect(me.page.get_by_text("Copied.", exact=True)).to_be_visible()
    assert me.page.evaluate("navigator.clipboard.readText()") == token

    me.page.get_by_role("button", name=re.compile("Copy|Copied")).last.click()
    assert me.page.evaluate("navigator.clipboard.readText()").startswith("curl ")


def test_search_finds_by_name_owner_and_pasted_token(visit: StartVisit) -> None:
    me = visit()
    page = me.page
    me.sign_in()
    me.create_token("Web shop")
    page.get_by_role("link", name="Done").click()
    token = me.create_token("Mobile app")
    page.get_by_role("link", name="Done").click()

    for text in ("mobile", token):
        me.open("/api/tokens/dashboard")
        page.get_by_label("Search tokens").fill(text)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("link", name="Mobile app", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Web shop", exact=True)).to_have_count(0)
    assert token not in page.content()

    page.get_by_label("Search tokens").fill("default_user")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Search tokens").fill("<script>nothing</script>")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_without_javascript_everything_works(visit: StartVisit, app: Flask) -> None:
    me = visit(java_script_enabled=False)
    page = me.page
    me.sign_in()
    token = me.create_token("No scripts")
    assert token_works(app, token)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)

    page.get_by_role("link", name="Details").click()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("table")).to_be_visible()
    page.get_by_role("link", name="Rotate").click()
    page.get_by_role("button", name="Rotate token").click()
    successor = page.get_by_label("Token", exact=True).input_value()
    assert (token_works(app, token), token_works(app, successor)) == (True, True)

    page.get_by_role("link", name="Details").click()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("No scripts is revoked.")).to_be_visible()
    assert (token_works(app, token), token_works(app, successor)) == (False, False)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_no_page_is_wider_than_a_phone(visit: StartVisit) -> None:
    me = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    page = me.page
    me.open("/")
    assert_nothing_overflows(page)
    me.sign_in()
    assert_nothing_overflows(page)
    me.create_token("A name with Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen in it")
    assert_nothing_overflows(page)
    page.get_by_role("link", name="Details").click()
    assert_nothing_overflows(page)
    details = page.url
    for action in ("/rotate", "/revoke"):
        page.goto(details + action)
        assert_nothing_overflows(page)
    me.open("/dashboard/tokens/new")
    page.get_by_text("Choose single permissions instead").click()
    assert_nothing_overflows(page)
    me.open("/api/tokens/dashboard")
    assert_nothing_overflows(page)
    for name in ("Rotate", "Revoke"):
        expect(page.get_by_role("link", name=name)).to_be_in_viewport()


def test_the_keyboard_alone_is_enough(visit: StartVisit, app: Flask) -> None:
    me = visit()
    page = me.page
    me.open("/api/tokens/dashboard")
    type_at_once(page, "#password", PASSWORD)
    enter(page, "API tokens")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, "main a[href='/dashboard/tokens/new']")
    enter(page, "New token")
    type_at_once(page, "#name", "By hand")
    tab_to(page, "input[value=write]")
    page.keyboard.press("Space")
    tab_to(page, "button.primary")
    enter(page, "Token created")
    page.wait_for_function("getSelection().toString()")  # selected from the start, for Ctrl+C
    token = page.evaluate("getSelection().toString()")
    assert token_works(app, token)
    expect(page.get_by_label("Try it: get the record of this token")).to_be_visible()  # `write` was switched off

    tab_to(page, "main .actions .button.primary")
    enter(page, "API tokens")
    tab_to(page, ".row-actions a.danger")
    enter(page, "Revoke By hand?")
    tab_to(page, "button.danger")
    page.keyboard.press("Enter")
    page.get_by_text("By hand is revoked.").wait_for()
    assert not token_works(app, token)
    tab_to(page, ".side-end button.plain")
    enter(page, "Sign in")


def test_what_was_filled_in_wrongly_is_said_beside_the_field_and_nothing_is_lost(visit: StartVisit) -> None:
    me = visit()
    page = me.page
    me.sign_in()
    me.open("/dashboard/tokens/new")
    page.get_by_label("Name").fill("Kept")
    page.get_by_text("Limits: addresses, rate, what calls may say").click()
    page.get_by_label("Only from these addresses").fill("203.0.113.7\nnowhere")
    page.get_by_label("admin").check()
    page.get_by_role("button", name="Create token").click()

    field = page.get_by_label("Only from these addresses")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("'nowhere' is neither an IP address"))
    expect(field).to_have_value("203.0.113.7\nnowhere")
    expect(page.get_by_label("Name")).to_have_value("Kept")
    expect(page.get_by_label("admin")).to_be_checked()


def test_a_reloaded_answer_makes_no_second_token(visit: StartVisit) -> None:
    me = visit()
    me.sign_in()
    me.create_token("Once")
    me.page.reload()
    expect(me.page.get_by_text("That form was sent already")).to_be_visible()
    expect(me.page.locator("tbody tr")).to_have_count(1)


def test_markup_in_a_name_stays_text(visit: StartVisit) -> None:
    me = visit()
    me.sign_in()
    me.create_token("<img src=x onerror=alert(1)><b>bold</b>")
    me.page.get_by_role("link", name="Done").click()
    expect(me.page.get_by_role("link", name="<img src=x onerror=alert(1)><b>bold</b>", exact=True)).to_be_visible()
    expect(me.page.locator("main b, main img")).to_have_count(0)


def test_wrong_passwords_are_refused_and_then_throttled(visit: StartVisit) -> None:
    me = visit()
    me.open("/")
    for _ in range(5):
        me.page.get_by_label("Password").fill("not it")
        me.page.get_by_role("button", name="Sign in").click()
        expect(me.page.get_by_role("alert")).to_have_text("That is not the password.")
    me.page.get_by_label("Password").fill(PASSWORD)
    me.page.get_by_role("button", name="Sign in").click()
    expect(me.page.get_by_role("alert")).to_contain_text("Too many attempts to sign in")
    me.open("/api/tokens/dashboard")
    expect(me.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_copied_cookie_is_dead_after_sign_out(visit: StartVisit) -> None:
    me = visit()
    me.sign_in()
    thief = visit(storage_state=me.context.storage_state())
    thief.open("/api/tokens/dashboard")
    expect(thief.page.get_by_role("heading", name="API tokens")).to_be_visible()

    me.page.get_by_role("button", name="Sign out").click()
    expect(me.page.get_by_role("heading", name="Sign in")).to_be_visible()
    thief.page.reload()
    expect(thief.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_form_without_its_csrf_token_is_refused(visit: StartVisit) -> None:
    me = visit()
    me.sign_in()
    me.open("/dashboard/tokens/new")
    me.page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(field => field.remove())")
    with me.page.expect_navigation() as navigation:
        me.page.get_by_role("button", name="Create token").click()
    response = navigation.value
    assert response is not None
    assert response.status == 403
    me.open("/api/tokens/dashboard")
    expect(me.page.get_by_text("No active tokens")).to_be_visible()


def test_signing_in_leads_to_no_other_host(visit: StartVisit) -> None:
    me = visit()
    me.open("/sign-in?next=/%09/evil.example/")  # browsers drop the tab
    me.page.get_by_label("Password").fill(PASSWORD)
    me.page.get_by_role("button", name="Sign in").click()
    expect(me.page.get_by_role("heading", name="Overview")).to_be_visible()
    assert me.page.url == f"{me.base}/dashboard"
