"""The page about one's own sessions: their devices and addresses, and ending them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import Device
from tests.support.apps import make_app, services_of
from tests.support.pages import Visitor, a_visitor, another_browser, audited_in

SESSIONS = "/dashboard/sessions"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


@pytest.fixture
def ada(app: Flask) -> Visitor:
    return a_visitor(app, "ada")


def ends_in(visitor: Visitor) -> list[str]:
    """What the buttons of the page post to."""
    return re.findall(rf'action="({SESSIONS}/[0-9a-f-]{{36}}/end)"', visitor.get(SESSIONS).text)


def test_each_shows_its_device_its_place_and_its_time(app: Flask, ada: Visitor) -> None:
    services_of(app).accounts.sessions.start_session(ada.account_id, Device("198.51.100.9", "curl/8.5.0"), "jwt")
    services_of(app).accounts.sessions.start_session(ada.account_id, Device("2001:db8::1", FIREFOX), "sso")
    page = ada.get(SESSIONS).text
    for text in ("Firefox on Windows", "2001:db8::1", "curl", "198.51.100.9", "Single sign-on", "UTC", "this session"):
        assert text in page
    assert len(ends_in(ada)) == 2, "one's own is left by signing out"


def test_one_of_them_is_ended_and_no_other(app: Flask, ada: Visitor) -> None:
    assert ada.account
    first, second = another_browser(app, ada.account), another_browser(app, ada.account)
    [newest, _] = ends_in(ada)
    assert ada.post(newest).location == SESSIONS
    assert (first.is_signed_in(), second.is_signed_in(), ada.is_signed_in()) == (True, False, True)
    [event] = audited_in(app, "session.ended")
    assert (event.actor_account_id, event.detail["reason"]) == (ada.account_id, "ended")
    assert ada.post(newest).status_code == 404


def test_all_others_are_ended_at_once(app: Flask, ada: Visitor) -> None:
    assert ada.account
    others = [another_browser(app, ada.account) for _ in range(2)]
    assert ada.post(f"{SESSIONS}/end-others").location == SESSIONS
    assert "ended: 2." in ada.get(SESSIONS).text
    assert [other.is_signed_in() for other in others] == [False, False]
    assert ada.is_signed_in()
    assert "End all other sessions" not in ada.get(SESSIONS).text


def test_somebody_else_s_are_neither_seen_nor_ended(app: Flask, ada: Visitor) -> None:
    root = a_visitor(app, "root", "admin")
    assert ada.account
    another_browser(app, ada.account)
    [theirs] = ends_in(ada)
    assert theirs not in root.get(SESSIONS).text
    assert root.post(theirs).status_code == 404
    assert len(ends_in(ada)) == 1


def test_ending_one_s_own_is_signing_out(app: Flask, ada: Visitor) -> None:
    assert ada.account
    [own] = ends_in(another_browser(app, ada.account))
    assert ada.post(own).status_code == 302
    assert not ada.is_signed_in()


def test_a_form_from_elsewhere_ends_nothing(app: Flask, ada: Visitor) -> None:
    assert ada.account
    other = another_browser(app, ada.account)
    for path in (*ends_in(ada), f"{SESSIONS}/end-others"):
        assert ada.client.post(path).status_code == 403
    assert other.is_signed_in()


def test_markup_that_a_program_calls_itself_stays_text(app: Flask, ada: Visitor) -> None:
    device = Device("198.51.100.9", '<script>alert(1)</script>"><b>')
    services_of(app).accounts.sessions.start_session(ada.account_id, device, "password")
    page = ada.get(SESSIONS).text
    assert "<script>alert" not in page
    assert '"><b>' not in page
