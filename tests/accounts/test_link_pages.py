"""The pages that mailed links open, and those that mail a link; without scripts, so the link is pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import AccountState, Role
from letstalk.accounts.registrations import NewInvitation
from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.mail.repository import list_due
from tests.accounts.test_mailed_links import BASE, mail_settings
from tests.support.account_services import OTHER_PASSWORD, PASSWORD, someone
from tests.support.apps import OWNER, PHONE, make_app, services_of
from tests.support.apps import PASSWORD as OWNER_PASSWORD
from tests.support.mail_servers import MailServer, mail_server
from tests.support.pages import Visitor, a_visitor, audited_in

PAGES = ("/accept-invitation", "/reset-password", "/verify-email")
NO_LINK = "ltl_" + "a" * 48
WRONG_LINK = "This link is not valid or has expired."


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def app(tmp_path: Path, server: MailServer) -> Flask:
    return make_app(tmp_path, utc_now, **mail_settings(server))


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def mailed_link(app: Flask, server: MailServer) -> Callable[[str], str]:
    """Does at once what the queue would do by and by, and reads the last mail to an address."""

    def read(address: str) -> str:
        for _ in range(2):  # an errand becomes a mail, which is sent
            with app.extensions["letstalk_db"].read() as connection:
                due = list_due(connection, utc_now(), 100)
            for mail_id in due:
                services_of(app).accounts.mails.deliver(mail_id)
        return next(line for line in server.mails_to(address)[-1].splitlines() if "#token=" in line)

    return read


def invite(app: Flask, role: str = "developer") -> str:
    wanted = NewInvitation("grace@example.com", role, ("acme",))
    return services_of(app).accounts.invitations.invite(OWNER, wanted, BASE).link


@pytest.mark.parametrize("path", PAGES)
def test_each_takes_the_link_from_its_address_or_as_text(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)
    assert page.status_code == 200
    assert 'name="token"' in page.text
    assert 'src="/static/links.js?v=' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("token", ["", "nothing", NO_LINK, f"{BASE}/accept-invitation#token={NO_LINK}", "<script>"])
def test_a_link_that_is_none_is_refused_in_the_form(visitor: Visitor, path: str, token: str) -> None:
    form = {"username": "grace", "password": OTHER_PASSWORD, "new_password": OTHER_PASSWORD}
    answer = visitor.post(path, token=token, **form)
    assert answer.status_code == 400
    assert WRONG_LINK in answer.text
    assert "data-refused" in answer.text
    assert "<script>" not in answer.text
    assert OTHER_PASSWORD not in answer.text
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("path", [*PAGES, "/forgot-password", "/resend-verification", "/register"])
def test_a_form_from_elsewhere_is_refused(app: Flask, visitor: Visitor, path: str) -> None:
    form = {"username": "grace", "password": OTHER_PASSWORD, "token": invite(app), "email": "grace@example.com"}
    assert visitor.client.post(path, data=form).status_code == 403
    assert not visitor.is_signed_in()


class TestInvitations:
    def test_who_comes_by_one_is_signed_in_within_the_role(self, app: Flask, visitor: Visitor) -> None:
        link = invite(app, "viewer")
        answer = visitor.post("/accept-invitation", token=f"  {link} ", username="grace", password=OTHER_PASSWORD)
        assert (answer.status_code, answer.location) == (302, "/dashboard")
        assert visitor.is_signed_in()
        assert visitor.get("/dashboard/tokens/new").status_code == 403
        account = services_of(app).accounts.service.find_by_username("grace")
        assert account
        assert (account.role, account.state, account.owner_ids) == (Role.VIEWER, AccountState.ACTIVE, ("acme",))
        assert Visitor(app).post("/accept-invitation", token=link, username="x2", password=PASSWORD).status_code == 400
        [event] = audited_in(app, "session.started")
        assert event.detail["method"] == "invitation"

    @pytest.mark.parametrize(
        ("username", "password", "status"),
        [
            ("a b", OTHER_PASSWORD, 400),
            ("grace", "short", 400),
            ("ROOT", OTHER_PASSWORD, 409),
            ("", OTHER_PASSWORD, 400),
        ],
    )
    def test_what_will_not_do_leaves_the_link_good(
        self, app: Flask, visitor: Visitor, username: str, password: str, status: int
    ) -> None:
        services_of(app).accounts.service.create_account(someone("root", "admin", password=None))
        link = invite(app)
        answer = visitor.post("/accept-invitation", token=link, username=username, password=password)
        assert answer.status_code == status
        assert link.partition("=")[2] in answer.text, "it need not be pasted again"
        assert "data-refused" not in answer.text
        assert password not in answer.text
        assert not visitor.is_signed_in()
        form = {"username": "grace", "password": OTHER_PASSWORD}
        assert visitor.post("/accept-invitation", token=link, **form).status_code == 302

    def test_nothing_of_who_was_signed_in_before_is_left(self, app: Flask) -> None:
        root = a_visitor(app, "root", "admin")
        root.post("/accept-invitation", token=invite(app), username="grace", password=OTHER_PASSWORD)
        assert root.get("/dashboard/people").status_code == 403
        assert "grace@example.com" in root.get("/dashboard/profile").text
        [ended] = audited_in(app, "session.ended")
        assert ended.account_id == root.account_id

    def test_a_role_that_asks_for_a_code_signs_nobody_in_without_a_phone(self, app: Flask, visitor: Visitor) -> None:
        services_of(app).accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
        form = {"token": invite(app), "username": "grace", "password": OTHER_PASSWORD}
        answer = visitor.post("/accept-invitation", **form)
        assert (answer.status_code, answer.location) == (302, "/sign-in/code")
        assert 'name="phone"' in visitor.get("/sign-in/code").text
        assert not visitor.is_signed_in()

    def test_a_role_that_asks_for_a_code_calls_the_phone_that_the_admin_has_given(
        self, app: Flask, visitor: Visitor
    ) -> None:
        accounts = services_of(app).accounts
        accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
        link = invite(app)
        account = accounts.service.find_by_email("grace@example.com")
        assert account
        admin = a_visitor(app, "root", "admin")
        fields = {"email": "grace@example.com", "role": "developer", "user_ids": "acme", "phone": PHONE}
        assert admin.post(f"/dashboard/people/{account.account_id}", **fields).status_code == 302
        answer = visitor.post("/accept-invitation", token=link, username="grace", password=OTHER_PASSWORD)
        assert answer.location == "/sign-in/code"
        assert not visitor.is_signed_in()
        assert "+2567…56" in visitor.get("/sign-in/code").text


class TestPasswords:
    def test_who_lost_theirs_is_mailed_a_link_and_chooses_another(
        self, app: Flask, visitor: Visitor, mailed_link: Callable[[str], str]
    ) -> None:
        ada = a_visitor(app, "ada", password=PASSWORD)
        page = visitor.post("/forgot-password", email="ada@example.com")
        assert (page.status_code, "a link is on its way" in page.text) == (200, True)
        link = mailed_link("ada@example.com")
        assert link.startswith(f"{BASE}/reset-password#token=")
        weak = visitor.post("/reset-password", token=link, new_password="short")
        assert weak.status_code == 400
        assert 'id="new_password-error">Must have 12 to 256 characters.' in weak.text
        answer = visitor.post("/reset-password", token=link, new_password=OTHER_PASSWORD)
        assert (answer.status_code, answer.location) == (302, "/sign-in")
        assert "Your password has been changed." in visitor.get("/sign-in").text
        assert not visitor.is_signed_in()
        assert not ada.is_signed_in(), "every session has ended"
        assert visitor.post("/sign-in", username="ada", password=PASSWORD).status_code == 401
        assert visitor.post("/sign-in", username="ada", password=OTHER_PASSWORD).status_code == 302
        assert Visitor(app).post("/reset-password", token=link, new_password=PASSWORD).status_code == 400

    def test_it_is_not_told_who_has_an_account(self, app: Flask, visitor: Visitor) -> None:
        services_of(app).accounts.service.create_account(someone("ada", password=None))
        for path in ("/forgot-password", "/resend-verification"):
            known, unknown = (visitor.post(path, email=f"{name}@example.com") for name in ("ada", "zoe"))
            assert known.status_code == unknown.status_code == 200
            assert known.text.replace("ada@", "zoe@") == unknown.text

    def test_what_is_no_address_is_said_beside_the_field(self, visitor: Visitor) -> None:
        for path in ("/forgot-password", "/resend-verification"):
            answer = visitor.post(path, email="nobody")
            assert answer.status_code == 400
            assert 'id="email-error"' in answer.text

    def test_asking_over_and_over_waits(self, visitor: Visitor) -> None:
        answers = [visitor.post("/forgot-password", email=f"a{number}@example.com") for number in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert int(answers[-1].headers["Retry-After"]) >= 1

    def test_without_mail_the_page_says_whom_to_ask(self, tmp_path: Path) -> None:
        silent = Visitor(make_app(tmp_path, FLASK_ENV="production", ENCRYPTION_KEYS=make_encryption_key()))
        answer = silent.post("/forgot-password", email="ada@example.com")
        assert answer.status_code == 403
        assert "Ask an admin" in answer.text
        assert "/forgot-password" not in silent.get("/sign-in").text


class TestRegistrations:
    def test_who_registers_proves_the_address_and_signs_in(
        self, visitor: Visitor, mailed_link: Callable[[str], str]
    ) -> None:
        assert 'type="password"' not in visitor.get("/register").text
        form = {"username": "zoe", "email": "zoe@example.com"}
        assert "Open the link that we mail" in visitor.post("/register", **form).text
        link = mailed_link("zoe@example.com")
        assert 'type="password"' in visitor.get("/verify-email").text
        weak = visitor.post("/verify-email", token=link, password="short")
        assert weak.status_code == 400
        assert 'id="password-error"' in weak.text
        assert visitor.post("/sign-in", username="zoe", password=OTHER_PASSWORD).status_code == 401
        answer = visitor.post("/verify-email", token=link, password=OTHER_PASSWORD)
        assert (answer.status_code, answer.location) == (302, "/sign-in")
        assert not visitor.is_signed_in()
        assert visitor.post("/sign-in", username="zoe", password=OTHER_PASSWORD).status_code == 302
        assert "New token" not in visitor.get("/api/tokens/dashboard").text

    def test_where_it_is_closed_the_page_says_so(self, tmp_path: Path) -> None:
        closed = Visitor(make_app(tmp_path))
        assert "by invitation" in closed.get("/register").text
        form = {"username": "zoe", "email": "zoe@example.com", "password": OTHER_PASSWORD}
        assert closed.post("/register", **form).status_code == 403
        assert closed.post("/sign-in", password=OWNER_PASSWORD).status_code == 302
