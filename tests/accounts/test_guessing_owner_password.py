"""Guessing a password from many networks: the account as a whole waits, and a browser that is known does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import Device
from letstalk.core.errors import InvalidCredentials, LetsTalkError, TooManyRequests
from tests.support.account_services import DEVICE, ELSEWHERE, PASSWORD, accounts_of, someone
from tests.support.apps import PASSWORD as OWNER_PASSWORD
from tests.support.apps import make_app, services_of
from tests.support.pages import Visitor
from tests.support.world import StandingClock, World


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def app(tmp_path: Path, clock: StandingClock) -> Flask:
    return make_app(tmp_path, clock, RATE_LIMIT_ADDRESS="off")


def guess(visitor: Visitor, address: str, password: str = "wrong", **fields: str) -> int:
    visitor.client.environ_base["REMOTE_ADDR"] = address
    return visitor.post("/sign-in", password=password, **fields).status_code


def a_known_browser(app: Flask, **fields: str) -> Visitor:
    """A browser that has signed in once and was signed out since."""
    visitor = Visitor(app)
    assert guess(visitor, "192.0.2.1", **{"password": OWNER_PASSWORD, **fields}) == 302
    assert visitor.post("/sign-out").status_code == 302
    assert not visitor.is_signed_in()
    return visitor


def test_guesses_at_the_owner_s_password_from_all_of_a_32_are_few_and_the_known_browser_is_let_in(app: Flask) -> None:
    known = a_known_browser(app)
    attacker = Visitor(app)
    statuses = [guess(attacker, f"2001:db8:{number:x}::1") for number in range(120)]
    assert statuses.count(401) == 21
    assert set(statuses[21:]) == {429}
    assert guess(attacker, "2001:db8:ffff::1", OWNER_PASSWORD) == 429, "even the right one, from who is not known"
    assert guess(known, "198.51.100.200", OWNER_PASSWORD) == 302
    assert known.is_signed_in()


def test_an_address_that_the_owner_signed_in_from_does_not_wait_for_strangers(app: Flask, clock: StandingClock) -> None:
    a_known_browser(app)
    attacker = Visitor(app)
    for number in range(60):
        guess(attacker, f"198.51.100.{number}")
    assert guess(Visitor(app), "203.0.113.9", OWNER_PASSWORD) == 429, "an address that is not known"
    assert guess(Visitor(app), "192.0.2.1", OWNER_PASSWORD) == 302, "without the cookie"
    statuses = [guess(Visitor(app), "192.0.2.1") for _ in range(8)]
    assert statuses == [401] * 5 + [429] * 3, "it is counted by itself"
    clock.move(15)
    assert guess(Visitor(app), "192.0.2.1", OWNER_PASSWORD) == 302


def test_the_wait_for_the_owner_grows_and_ends(app: Flask, clock: StandingClock) -> None:
    attacker = Visitor(app)
    for number in range(21):
        assert guess(attacker, f"2001:db8:{number:x}::1") == 401
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert guess(attacker, "2001:db8:aaaa::1") == 429
        clock.move(seconds)
        assert guess(attacker, f"2001:db8:{seconds:x}:ff::1") == 401
    clock.move(60)
    assert guess(attacker, "203.0.113.99", OWNER_PASSWORD) == 302, "a wait, and never a lock"


def test_a_known_browser_may_guess_no_more_than_another_whatever_its_address(app: Flask) -> None:
    known = a_known_browser(app)
    statuses = [guess(known, f"2001:db8:{number:x}::1") for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert guess(Visitor(app), "203.0.113.99", OWNER_PASSWORD) == 302, "what it failed at is counted for it alone"


NEW_PASSWORD = "seven lamps on a quiet harbour"


def collected(app: Flask, count: int, **fields: str) -> list[str]:
    """The cookies of so many known browsers."""
    visitors = [a_known_browser(app, **fields) for _ in range(count)]
    return [cookie.value for each in visitors if (cookie := each.client.get_cookie("letstalk_known"))]


def guess_with(app: Flask, cookies: list[str], **fields: str) -> list[int]:
    """Five guesses with each of the cookies, from one new address."""
    statuses = []
    for cookie in cookies:
        visitor = Visitor(app)
        for number in range(5):
            visitor.client.set_cookie("letstalk_known", cookie)
            statuses.append(guess(visitor, "198.51.100.66", f"guess {number}", **fields))
    return statuses


@pytest.mark.parametrize("name", ["", "ada"])
def test_whoever_collected_cookies_of_known_browsers_has_few_guesses_with_all_of_them(
    app: Flask, clock: StandingClock, name: str
) -> None:
    services_of(app).accounts.service.create_account(someone())
    fields = {"username": "ada", "password": PASSWORD} if name else {}
    cookies = collected(app, 12, **fields)
    known = a_known_browser(app, **fields)
    assert len(set(cookies)) == 12
    statuses = guess_with(app, cookies, username=name)
    assert statuses.count(401) == 21
    assert set(statuses) == {401, 429}
    for number in range(60):
        guess(Visitor(app), f"2001:db8:{number:x}::1", username=name)
    assert guess(known, "203.0.113.9", **{"password": OWNER_PASSWORD, **fields}) == 429
    clock.move(1)
    assert guess(known, "203.0.113.9", **{"password": OWNER_PASSWORD, **fields}) == 302, "no stranger lengthened it"


def test_after_the_password_of_an_account_changed_no_cookie_from_before_makes_a_browser_known(app: Flask) -> None:
    accounts = services_of(app).accounts
    account = accounts.service.create_account(someone())
    cookies = collected(app, 8, username="ada", password=PASSWORD)
    accounts.passwords.set_password(account.account_id, NEW_PASSWORD)
    statuses = guess_with(app, cookies, username="ada")
    assert statuses == [401] * 5 + [429] * 35, "as without a cookie"


def test_after_the_owner_s_password_changed_no_cookie_from_before_makes_a_browser_known(
    app: Flask, tmp_path: Path, clock: StandingClock
) -> None:
    cookies = collected(app, 8)
    changed = make_app(tmp_path, clock, RATE_LIMIT_ADDRESS="off", DASHBOARD_PASSWORD=NEW_PASSWORD)
    assert guess_with(changed, cookies) == [401] * 5 + [429] * 35


def test_a_browser_that_changes_the_password_stays_known(app: Flask) -> None:
    services_of(app).accounts.service.create_account(someone())
    browser = Visitor(app)
    assert guess(browser, "192.0.2.1", PASSWORD, username="ada") == 302
    changed = browser.post("/dashboard/profile/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert changed.status_code == 302
    browser.post("/sign-out")
    for number in range(60):
        guess(Visitor(app), f"2001:db8:{number:x}::1", username="ada")
    assert guess(browser, "198.51.100.7", NEW_PASSWORD, username="ada") == 302


def test_an_address_from_before_the_password_changed_is_known_again_after_a_sign_in(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    world.clock.move(1)
    accounts.passwords.set_password(account.account_id, NEW_PASSWORD)
    assert not accounts.throttle.prepare("ada", DEVICE).is_known
    accounts.sign_ins.sign_in("ada", NEW_PASSWORD, DEVICE)
    assert accounts.throttle.prepare("ada", DEVICE).is_known


def test_who_knows_no_cookie_cannot_make_a_known_browser_wait_from_its_own_address(app: Flask) -> None:
    known = a_known_browser(app)
    neighbour = Visitor(app)
    for _ in range(6):
        guess(neighbour, "192.0.2.1")
    assert guess(neighbour, "192.0.2.1", OWNER_PASSWORD) == 429
    assert guess(known, "192.0.2.1", OWNER_PASSWORD) == 302


@pytest.mark.parametrize("forged", ["", "x", "WyJ4IixbIm93bmVyIl1d.aaaa.bbbb"])
def test_a_cookie_that_we_did_not_sign_makes_no_browser_known(app: Flask, forged: str) -> None:
    attacker = Visitor(app)
    attacker.client.set_cookie("letstalk_known", forged)
    statuses = [guess(attacker, f"2001:db8:{number:x}::1") for number in range(25)]
    assert statuses.count(401) == 21


def test_a_browser_that_is_known_to_an_account_is_not_known_to_the_owner(app: Flask) -> None:
    services_of(app).accounts.service.create_account(someone())
    known = a_known_browser(app, username="ada", password=PASSWORD)
    attacker = Visitor(app)
    for number in range(30):
        guess(attacker, f"2001:db8:{number:x}::1")
    assert guess(known, "192.0.2.1", OWNER_PASSWORD) == 429
    assert guess(known, "192.0.2.1", PASSWORD, username="ada") == 302


def test_a_person_s_known_browser_is_let_in_from_a_new_network_while_strangers_guess(app: Flask) -> None:
    services_of(app).accounts.service.create_account(someone())
    known = a_known_browser(app, username="ada", password=PASSWORD)
    attacker = Visitor(app)
    statuses = [guess(attacker, f"2001:db8:{number:x}::1", username="ada") for number in range(60)]
    assert statuses.count(401) == 21
    assert guess(Visitor(app), "198.51.100.7", PASSWORD, username="ada") == 429
    assert guess(known, "198.51.100.7", PASSWORD, username="ada") == 302


def test_the_cookie_says_nothing_to_scripts_and_to_other_sites_and_signs_nobody_in(app: Flask) -> None:
    visitor = Visitor(app)
    visitor.client.environ_base["REMOTE_ADDR"] = "192.0.2.1"
    answer = visitor.post("/sign-in", password=OWNER_PASSWORD)
    [cookie] = [each for each in answer.headers.getlist("Set-Cookie") if each.startswith("letstalk_known=")]
    for flag in ("HttpOnly", "SameSite=Lax", "Max-Age=31536000", "Path=/"):
        assert flag in cookie
    value = visitor.client.get_cookie("letstalk_known")
    assert value
    thief = Visitor(app)
    thief.client.set_cookie("letstalk_known", value.value)
    assert not thief.is_signed_in()


def test_over_tls_no_other_host_can_set_the_cookie(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/sign-in", base_url="https://localhost").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    answer = client.post(
        "/sign-in",
        data={"csrf_token": token[1], "password": OWNER_PASSWORD},
        base_url="https://localhost",
        headers={"Referer": "https://localhost/sign-in"},
    )
    [cookie] = [each for each in answer.headers.getlist("Set-Cookie") if "letstalk_known" in each]
    assert cookie.startswith("__Host-letstalk_known=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("spread", "judged"), [("2001:db8:0:{:x}::1", 21), ("2001:db8:0:{:x}00::1", 61), ("2001:db8:{:x}::1", 100)]
)
def test_tries_at_many_names_are_counted_by_the_household_s_and_the_business_s_network(
    world: World, spread: str, judged: int
) -> None:
    accounts = accounts_of(world)
    outcomes: list[type[LetsTalkError]] = []
    for number in range(100):
        with pytest.raises(LetsTalkError) as refused:
            accounts.sign_ins.sign_in(f"name-{number}", "guess", Device(spread.format(number)))
        outcomes.append(type(refused.value))
    assert outcomes.count(InvalidCredentials) == judged
    assert set(outcomes) <= {InvalidCredentials, TooManyRequests}


def test_an_address_that_a_person_signed_in_from_is_not_made_to_wait_by_its_network(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    home = Device("2001:db8:0:1::1")
    accounts.sign_ins.sign_in("ada", PASSWORD, home)
    for number in range(2, 120):
        with pytest.raises(LetsTalkError):
            accounts.sign_ins.sign_in("ada", "guess", Device(f"2001:db8:0:{number:x}::1"))
    assert accounts.sign_ins.sign_in("ada", PASSWORD, home)


def test_a_name_as_long_as_a_book_is_counted_without_being_read(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    book = "a\u0301" * 30_000
    for name in (book, book + "x", "ada" + " " * 60_000 + "x"):
        with pytest.raises(InvalidCredentials):
            accounts.sign_ins.sign_in(name, PASSWORD, Device(ELSEWHERE))
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
