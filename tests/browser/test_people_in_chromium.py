"""People in the dashboard as they meet it: invited, signed in, within their role, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from letstalk.accounts.models import Device
from tests.browser.conftest import Visit
from tests.browser.test_dashboard_in_chromium import PHONE, assert_nothing_overflows, enter, tab_to, type_at_once
from tests.support.account_services import OTHER_PASSWORD, PASSWORD, someone
from tests.support.apps import services_of

StartVisit = Callable[..., Visit]

THIRD_PASSWORD = "seven grey whales under the ice"


def sign_in(visit: Visit, name: str, password: str = PASSWORD) -> None:
    visit.open("/sign-in?next=/api/tokens/dashboard")
    visit.page.get_by_label("Username or e-mail address").fill(name)
    visit.page.get_by_label("Password").fill(password)
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.get_by_role("heading", name="API tokens").wait_for()


def invite(admin: Visit, email: str, role: str, owners: str) -> str:
    """Invite someone by the form. Returns the link, which is shown once; the page that shows it stays open."""
    admin.open("/dashboard/people")
    admin.page.get_by_role("link", name="Invite someone").first.click()
    admin.page.get_by_label("E-mail address").fill(email)
    admin.page.get_by_role("radio", name=role).check()
    admin.page.get_by_label("Owners granted", exact=True).fill(owners)
    admin.page.get_by_role("button", name="Invite").click()
    return admin.page.get_by_label("Link", exact=True).input_value()


def set_up(page: Page, username: str, password: str) -> None:
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Set up the account").click()
    page.get_by_role("heading", name="Overview").wait_for()


def menu(page: Page) -> set[str]:
    """What the navigation offers, of the entries that depend on the role."""
    shown = page.locator(".side > .side-body a").all_inner_texts()
    return {"Tokens", "Account", "API docs", "People", "Health"} & {entry.strip() for entry in shown}


@pytest.fixture
def people(app: Flask) -> dict[str, str]:
    """An admin, a developer and a viewer, all with PASSWORD; their ids by name."""
    accounts = services_of(app).accounts.service
    wanted = (someone("root", "admin", owner_ids=()), someone("ada"), someone("vera", "viewer"))
    return {each.username or "": accounts.create_account(each).account_id for each in wanted}


def test_somebody_is_invited_comes_in_and_keeps_to_their_role(visit: StartVisit) -> None:
    owner, grace, elsewhere = visit(), visit(), visit()
    owner.sign_in()
    owner.create_token("Of the owner")
    link = invite(owner, "grace@example.com", "developer", "acme")
    token = link.partition("#token=")[2]
    assert link.startswith(f"{owner.base}/accept-invitation#token=ltl_")
    owner.page.get_by_role("link", name="Done").click()
    expect(owner.page.get_by_role("row").filter(has_text="grace@example.com")).to_contain_text("invited")
    assert token not in owner.page.content()

    asked: list[str] = []
    grace.page.on("request", lambda request: asked.append(request.url))
    grace.page.goto(link)
    expect(grace.page.get_by_text("For grace@example.com, as developer.")).to_be_visible()
    expect(grace.page.get_by_label("Your link")).to_be_hidden()
    assert grace.page.url == f"{grace.base}/accept-invitation", "neither the address nor the history keeps it"
    set_up(grace.page, "grace", OTHER_PASSWORD)
    assert not [url for url in asked if token in url]

    assert menu(grace.page) == {"Tokens", "Account", "API docs"}
    grace.open("/api/tokens/dashboard")
    expect(grace.page.get_by_text("No active tokens")).to_be_visible()  # the owner's are not hers
    grace.page.get_by_role("link", name="New token").click()
    assert grace.page.get_by_label("Owner").locator("option").all_inner_texts() == ["acme"]
    expect(grace.page.get_by_label("admin")).to_have_count(0)
    grace.page.get_by_label("Name").fill("Web shop")
    grace.page.get_by_role("button", name="Create token").click()
    expect(grace.page.get_by_role("heading", name="Token created")).to_be_visible()
    grace.open("/dashboard/people")
    expect(grace.page.get_by_role("heading", name="Forbidden")).to_be_visible()

    sign_in(elsewhere, "grace@example.com", OTHER_PASSWORD)
    grace.open("/dashboard/sessions")
    expect(grace.page.locator("tbody tr")).to_have_count(2)
    row = grace.page.locator("tbody tr").first
    expect(row).to_contain_text("Chrome on Linux")
    expect(row).to_contain_text("127.0.0.1")
    row.get_by_role("button", name="End").click()
    expect(grace.page.get_by_text("The session has been ended.")).to_be_visible()
    expect(grace.page.locator("tbody tr")).to_have_count(1)
    elsewhere.page.reload()
    expect(elsewhere.page.get_by_role("heading", name="Sign in")).to_be_visible()

    sign_in(elsewhere, "grace", OTHER_PASSWORD)
    grace.page.get_by_role("link", name="Profile").click()
    grace.page.get_by_label("Current password").fill(OTHER_PASSWORD)
    grace.page.get_by_label("New password").fill(THIRD_PASSWORD)
    grace.page.get_by_role("button", name="Change password").click()
    expect(grace.page.get_by_text("Your password has been changed.")).to_be_visible()
    elsewhere.page.reload()
    expect(elsewhere.page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(elsewhere, "grace", THIRD_PASSWORD)

    owner.page.get_by_role("link", name="grace", exact=True).or_(
        owner.page.get_by_role("link", name="grace@example.com", exact=True)
    ).first.click()
    owner.page.get_by_role("button", name="Disable").click()
    expect(owner.page.get_by_text("can no longer sign in")).to_be_visible()
    for window in (grace, elsewhere):
        window.page.reload()
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_viewer_only_looks(visit: StartVisit, app: Flask, people: dict[str, str]) -> None:
    ada, vera = visit(), visit()
    sign_in(ada, "ada")
    ada.create_token("Of acme")
    sign_in(vera, "vera")
    expect(vera.page.get_by_text("Of acme")).to_be_visible()
    for name in ("New token", "Rotate", "Revoke", "People"):
        expect(vera.page.get_by_role("link", name=name)).to_have_count(0)
    vera.page.get_by_role("link", name="Of acme").click()
    expect(vera.page.get_by_role("heading", name="Of acme")).to_be_visible()
    expect(vera.page.get_by_role("main").locator("form")).to_have_count(0)
    assert services_of(app).accounts.sessions.list_sessions(people["vera"])


def test_without_javascript_the_link_is_pasted(visit: StartVisit, people: dict[str, str]) -> None:  # noqa: ARG001  # an admin must be there
    admin, zoe = visit(java_script_enabled=False), visit(java_script_enabled=False)
    sign_in(admin, "root")
    link = invite(admin, "zoe@example.com", "viewer", "acme")
    zoe.page.goto(link)
    field = zoe.page.get_by_label("Your link")
    expect(field).to_be_visible()
    expect(field).to_have_accessible_description(re.compile("^Paste the whole link"))
    field.fill(link)
    zoe.page.get_by_label("Username").fill("zoe")
    zoe.page.get_by_label("Password").fill("short")
    zoe.page.get_by_role("button", name="Set up the account").click()
    expect(zoe.page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    set_up(zoe.page, "zoe", OTHER_PASSWORD)
    assert menu(zoe.page) == {"Tokens", "Account", "API docs"}
    zoe.page.get_by_role("link", name="Account").click()
    zoe.page.get_by_role("link", name="Sessions").click()
    expect(zoe.page.get_by_text("this session")).to_be_visible()
    zoe.page.get_by_role("button", name="Sign out").click()
    expect(zoe.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_link_that_is_used_up_is_asked_for_again(visit: StartVisit) -> None:
    me = visit()
    me.open("/reset-password#token=ltl_" + "a" * 48)
    expect(me.page.get_by_label("Your link")).to_be_hidden()
    me.page.get_by_label("New password").fill(OTHER_PASSWORD)
    me.page.get_by_role("button", name="Change password").click()
    expect(me.page.get_by_role("alert")).to_have_text("This link is not valid or has expired.")
    expect(me.page.get_by_label("Your link")).to_be_visible()
    me.open("/accept-invitation#token=ltl_" + "a" * 48)
    expect(me.page.get_by_text("This link is not valid or has expired.")).to_be_visible()


def test_no_page_is_wider_than_a_phone(visit: StartVisit, app: Flask, people: dict[str, str]) -> None:
    long_name = "donaudampfschifffahrtsgesellschaftskapitaen@elektrizitaetswerke.example.com"
    services_of(app).accounts.sessions.start_session(
        people["root"], Device("2001:db8:1234:5678:9abc:def0:1234:5678", "x" * 300), "sso"
    )
    me = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    for path in ("/sign-in", "/accept-invitation", "/reset-password", "/verify-email", "/forgot-password", "/register"):
        me.open(path)
        assert_nothing_overflows(me.page)
    sign_in(me, "root")
    invite(me, long_name, "developer", "an owner with a name that is longer than a phone is wide\nacme")
    assert_nothing_overflows(me.page)
    for path in ("/dashboard/people", "/dashboard/people/invite", "/dashboard/people/roles", "/dashboard/profile"):
        me.open(path)
        assert_nothing_overflows(me.page)
    me.open("/dashboard/sessions")
    assert_nothing_overflows(me.page)
    end = me.page.get_by_role("button", name=re.compile("^End the"))
    end.scroll_into_view_if_needed()
    expect(end).to_be_in_viewport(ratio=1)
    me.open("/dashboard/people")
    me.page.get_by_role("link", name=long_name, exact=True).click()
    assert_nothing_overflows(me.page)
    me.page.get_by_role("link", name="Delete").click()
    assert_nothing_overflows(me.page)


def test_the_keyboard_alone_is_enough(visit: StartVisit, app: Flask, people: dict[str, str]) -> None:
    services_of(app).accounts.sessions.start_session(people["root"], Device("198.51.100.9", "curl/8.5.0"), "password")
    me = visit()
    page = me.page
    me.open("/sign-in")
    type_at_once(page, "#username", "root")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    enter(page, "Overview")

    tab_to(page, ".side nav a[href='/dashboard/people']")
    enter(page, "People")
    tab_to(page, "main a.button.primary")
    enter(page, "Invite someone")
    type_at_once(page, "#email", "zoe@example.com")
    tab_to(page, "input[name=role]")
    page.keyboard.press("ArrowDown")
    tab_to(page, "textarea")
    page.keyboard.type("acme")
    tab_to(page, "button.primary")
    enter(page, "zoe@example.com has been invited")
    page.wait_for_function("getSelection().toString()")  # selected from the start, for Ctrl+C
    assert "#token=" in page.evaluate("getSelection().toString()")
    invited = services_of(app).accounts.service.find_by_email("zoe@example.com")
    assert invited
    assert invited.role.value == "admin"  # one down from developer

    tab_to(page, ".side nav a[href='/dashboard/profile']")
    enter(page, "root")
    tab_to(page, ".tabs a[href='/dashboard/sessions']")
    enter(page, "Your sessions")
    tab_to(page, "td button")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The session has been ended.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_every_field_of_the_forms_has_a_name(visit: StartVisit, people: dict[str, str]) -> None:
    me = visit()
    stranger = ("/sign-in", "/accept-invitation", "/reset-password", "/verify-email", "/forgot-password", "/register")
    for path in stranger:
        me.open(path)
        assert_fields_have_names(me.page)
    sign_in(me, "root")
    person = f"/dashboard/people/{people['ada']}"
    own = ("/dashboard/people", "/dashboard/people/invite", "/dashboard/people/roles", person, "/dashboard/profile")
    for path in (*own, "/dashboard/sessions"):
        me.open(path)
        assert_fields_have_names(me.page)
        assert me.page.locator("h1").count() == 1


def assert_fields_have_names(page: Page) -> None:
    fields = page.locator("main :is(input:not([type=hidden]), textarea, select, button):visible")
    for index in range(fields.count()):
        expect(fields.nth(index)).to_have_accessible_name(re.compile(r"\w"))
    ids = page.locator("[id]").evaluate_all("elements => elements.map(element => element.id)")
    assert len(ids) == len(set(ids)), page.url
