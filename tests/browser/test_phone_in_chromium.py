"""The simulator's phone in a real browser: it rings without a reload, and what a person does reaches the call."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from letstalk.verifications.models import NewVerification
from tests.browser.conftest import Visit
from tests.flows.installations import eventually
from tests.support.apps import OWNER, services_of, working

StartVisit = Callable[..., Visit]

PHONE = "+12025550142"
OTHERS = {"+12025550143": "Decline", "+12025550144": "Busy", "+12025550145": "Voicemail"}


@pytest.fixture
def phone_app(app: Flask) -> Iterator[Flask]:
    with working(app):
        yield app


def send(app: Flask, phone: str) -> str:
    return services_of(app).sends.start(OWNER, NewVerification(phone, None, None, 6, 600)).verification_id


def status_of(app: Flask, verification_id: str) -> str:
    """The status of its call."""
    history = services_of(app).verifications.get_verification(OWNER, verification_id)
    return history.calls[-1].call.status.value


def expect_status(app: Flask, verification_id: str, status: str) -> None:
    eventually(lambda: status_of(app, verification_id) == status, f"the call is not {status}")


def open_phone(visit: StartVisit, **options: object) -> Visit:
    me = visit(**options)
    me.sign_in()
    me.open("/simulator")
    expect(me.page.get_by_role("heading", name="Nobody is calling")).to_be_visible()
    return me


def answer_and_listen_again(page: Page) -> str:
    """By keyboard alone, from a phone that rings. Returns the code."""
    page.get_by_role("button", name="Answer", exact=True).press("Enter")
    quote = page.locator("blockquote")
    expect(quote).to_have_attribute("data-speech", "1")
    code = page.locator(".phone-code").inner_text().split()[-1]
    expect(quote).to_contain_text(f"Your code is: {' '.join(code)}")
    expect(quote).to_have_attribute("lang", "en-US")
    page.get_by_role("button", name="7", exact=True).press("Enter")
    expect(quote).to_have_attribute("data-speech", "1")
    page.get_by_role("button", name="1", exact=True).press("Enter")
    return code


def test_it_rings_is_answered_speaks_again_and_ends_as_the_person_decides(visit: StartVisit, phone_app: Flask) -> None:
    me = open_phone(visit)
    page = me.page
    page.evaluate("window.isTheSamePage = true")
    verification_id = send(phone_app, PHONE)
    code = answer_and_listen_again(page)
    expect(page.locator("blockquote")).to_have_attribute("data-speech", "2")
    expect(page.get_by_role("button", name="1", exact=True)).to_be_focused()
    page.get_by_role("button", name="Hang up").click()
    expect(page.get_by_text("Call ended", exact=True)).to_be_visible()
    expect_status(phone_app, verification_id, "completed")
    expect(page.get_by_role("link", name="Enter the code")).to_be_visible()

    sent = {phone: send(phone_app, phone) for phone in OTHERS}
    for phone, button in OTHERS.items():
        page.locator(f'[data-pick="{call_of(phone_app, sent[phone])}"]').click()
        expect(page.get_by_text(f"calls {phone}")).to_be_visible()
        assert page.title() == f"☎ {phone} rings"
        page.get_by_role("button", name=button, exact=True).click()
    for phone, status in zip(OTHERS, ("rejected", "busy", "machine"), strict=True):
        expect_status(phone_app, sent[phone], status)
        assert code not in page.locator(".phone-calls").inner_text()
    assert page.evaluate("window.isTheSamePage")


def call_of(app: Flask, verification_id: str) -> str:
    return services_of(app).verifications.get_verification(OWNER, verification_id).calls[-1].call.call_id


def test_it_works_on_a_small_screen_without_scripts(visit: StartVisit, phone_app: Flask) -> None:
    me = open_phone(visit, java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = me.page
    verification_id = send(phone_app, PHONE)
    expect_status(phone_app, verification_id, "ringing")
    me.open("/simulator")
    answer_and_listen_again(page)
    page.get_by_role("button", name="Hang up").click()
    expect(page.get_by_text("Call ended", exact=True)).to_be_visible()
    expect_status(phone_app, verification_id, "completed")
