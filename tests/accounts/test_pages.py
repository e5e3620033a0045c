"""The dashboard's pages about accounts: an admin invites, changes, disables and deletes; nobody else may open them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import AccountState, Role
from tests.support.account_services import someone
from tests.support.apps import PHONE, make_app, services_of
from tests.support.pages import (
    TOKENS,
    Visitor,
    a_visitor,
    another_browser,
    audited_in,
    invited_link,
    refused_codes,
    the_owner,
)

PEOPLE = "/dashboard/people"
INVITE = "/dashboard/people/invite"
ROLES = "/dashboard/people/roles"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, PUBLIC_URL="https://calls.example.com")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return a_visitor(app, "root", "admin", owner_ids=())


@pytest.fixture
def ada(app: Flask) -> Visitor:
    """A developer of `acme`, signed in."""
    return a_visitor(app, "ada")


def page_of(visitor: Visitor, action: str = "") -> str:
    return f"{PEOPLE}/{visitor.account_id}{action}"


def as_it_is(visitor: Visitor) -> dict[str, str]:
    """The fields of a person's form, unchanged."""
    account = services_of(visitor.app).accounts.service.find(visitor.account_id)
    assert account
    fields = {"email": account.email, "role": account.role.value, "user_ids": "\n".join(account.owner_ids)}
    return {
        **fields,
        "phone": account.pending_phone or account.phone or "",
        **({"second_factor": "1"} if account.second_factor else {}),
    }


def stands(visitor: Visitor) -> tuple[Role, AccountState, tuple[str, ...]]:
    account = services_of(visitor.app).accounts.service.find(visitor.account_id)
    assert account
    return account.role, account.state, account.owner_ids


class TestRights:
    @pytest.mark.parametrize("role", ["developer", "viewer"])
    def test_who_is_no_admin_sees_no_people_and_changes_none(self, app: Flask, admin: Visitor, role: str) -> None:
        visitor = a_visitor(app, "curious", role)
        assert PEOPLE not in visitor.get(TOKENS).text
        own = visitor.account_id
        for path in (PEOPLE, INVITE, ROLES, f"{PEOPLE}/{own}", f"{PEOPLE}/{own}/delete", page_of(admin)):
            answer = visitor.get(path)
            assert (answer.status_code, answer.mimetype) == (403, "text/html"), path
            assert "root@example.com" not in answer.text
        for path in (
            INVITE,
            ROLES,
            page_of(admin),
            page_of(admin, "/disable"),
            page_of(admin, "/delete"),
            page_of(visitor),
        ):
            answer = visitor.post(path, email="x@example.com", role="admin", user_ids="", required="viewer")
            assert answer.status_code == 403, path
        assert stands(visitor)[0].value == role
        assert stands(admin) == (Role.ADMIN, AccountState.ACTIVE, ())
        assert services_of(app).accounts.service.find_by_email("x@example.com") is None
        assert set(refused_codes(app)) == {"insufficient_scope"}

    def test_a_form_without_its_csrf_token_changes_nobody(self, admin: Visitor, ada: Visitor) -> None:
        for path in (page_of(ada), page_of(ada, "/disable"), page_of(ada, "/delete"), INVITE, ROLES):
            assert admin.client.post(path, data={**as_it_is(ada), "role": "admin"}).status_code == 403
        assert stands(ada) == (Role.DEVELOPER, AccountState.ACTIVE, ("acme",))

    def test_the_built_in_owner_manages_people_too(self, app: Flask, ada: Visitor) -> None:
        owner = the_owner(app)
        assert "ada@example.com" in owner.get(PEOPLE).text
        assert owner.post(page_of(ada, "/disable")).status_code == 302
        assert stands(ada)[1] is AccountState.DISABLED

    @pytest.mark.parametrize("account_id", ["nope", "00000000-0000-4000-8000-000000000000", "%00"])
    def test_nobody_is_found_where_nobody_is(self, admin: Visitor, account_id: str) -> None:
        for action in ("", "/delete"):
            answer = admin.client.get(f"{PEOPLE}/{account_id}{action}", headers={"Accept": "text/html"})
            assert (answer.status_code, answer.mimetype) == (404, "text/html")


class TestList:
    def test_it_shows_who_there_is_and_finds_by_name_and_address(self, admin: Visitor, ada: Visitor) -> None:  # noqa: ARG002  # Ada must be there
        page = admin.get(PEOPLE).text
        for text in ("ada@example.com", "root@example.com", "developer", "acme", "Last sign-in"):
            assert text in page
        assert "root@example.com" not in admin.get(f"{PEOPLE}?q=ADA").text
        assert "Nobody found" in admin.get(f"{PEOPLE}?q=<script>").text
        assert "<script>" not in admin.get(f"{PEOPLE}?q=<script>").text
        assert admin.get(f"{PEOPLE}?cursor=%00").status_code == 400

    def test_it_comes_in_pages(self, app: Flask, admin: Visitor) -> None:
        for number in range(25):
            services_of(app).accounts.service.create_account(someone(f"person-{number}", "viewer", password=None))
        first = admin.get(PEOPLE).text
        assert first.count('data-label="Name"') == 25
        link = re.search(r'rel="next" href="([^"]+)"', first)
        assert link
        second = admin.get(link[1].replace("&amp;", "&")).text
        assert second.count('data-label="Name"') == 1
        assert "root@example.com" in second


class TestChanges:
    def test_role_and_grants_hold_at_once(self, admin: Visitor, ada: Visitor) -> None:
        assert "New token" in ada.get(TOKENS).text
        form = {**as_it_is(ada), "role": "viewer", "user_ids": " shop \n\nacme\n"}
        assert admin.post(page_of(ada), **form).location == page_of(ada)
        assert stands(ada) == (Role.VIEWER, AccountState.ACTIVE, ("acme", "shop"))
        assert "ada has been changed." in admin.get(page_of(ada)).text
        assert "New token" not in ada.get(TOKENS).text
        assert ada.get("/dashboard/tokens/new").status_code == 403
        [event] = audited_in(admin.app, "account.updated")
        assert event.actor_account_id == admin.account_id
        assert event.account_id == ada.account_id
        assert set(event.detail) == {"role", "user_ids"}

    def test_a_form_that_changes_nothing_is_no_event(self, admin: Visitor, ada: Visitor) -> None:
        assert admin.post(page_of(ada), **as_it_is(ada)).status_code == 302
        assert audited_in(admin.app, "account.updated") == []

    def test_phone_and_second_factor_are_set_and_taken_away(self, admin: Visitor, ada: Visitor) -> None:
        too_early = admin.post(page_of(ada), **{**as_it_is(ada), "phone": "+256 700 123456", "second_factor": "1"})
        assert too_early.status_code == 400
        assert 'id="second_factor-error"' in too_early.text
        admin.post(page_of(ada), **{**as_it_is(ada), "phone": "+256 700 123456"})
        assert as_it_is(ada)["phone"] == PHONE
        assert "is not proven yet" in admin.get(page_of(ada)).text
        assert "second_factor" not in as_it_is(ada)
        admin.post(page_of(ada), **{**as_it_is(ada), "phone": ""})
        assert as_it_is(ada)["phone"] == ""
        assert "second_factor" not in as_it_is(ada)

    @pytest.mark.parametrize(
        ("field", "value"), [("email", "nobody"), ("role", "king"), ("user_ids", "x" * 129), ("phone", "12")]
    )
    def test_what_is_wrong_is_said_beside_its_field(self, admin: Visitor, ada: Visitor, field: str, value: str) -> None:
        answer = admin.post(page_of(ada), **{**as_it_is(ada), "user_ids": "kept", field: value})
        assert answer.status_code == 400
        assert f'id="{field}-error"' in answer.text
        assert field == "user_ids" or ">kept</textarea>" in answer.text
        assert stands(ada)[2] == ("acme",)

    def test_an_address_that_somebody_has_is_refused(self, admin: Visitor, ada: Visitor) -> None:
        answer = admin.post(page_of(ada), **{**as_it_is(ada), "email": "ROOT@example.com"})
        assert answer.status_code == 409
        assert as_it_is(ada)["email"] == "ada@example.com"

    def test_who_is_disabled_is_out_at_once_and_may_come_back(self, admin: Visitor, ada: Visitor) -> None:
        assert admin.post(page_of(ada, "/disable")).status_code == 302
        assert not ada.is_signed_in()
        assert "disabled" in admin.get(page_of(ada)).text
        assert admin.post(page_of(ada, "/enable")).status_code == 302
        assert stands(ada)[1] is AccountState.ACTIVE
        assert not ada.is_signed_in(), "the session is over all the same"
        assert ada.account
        assert another_browser(ada.app, ada.account).is_signed_in()

    def test_who_is_deleted_is_forgotten(self, admin: Visitor, ada: Visitor) -> None:
        assert "ada@example.com" in admin.get(page_of(ada, "/delete")).text
        assert stands(ada)[1] is AccountState.ACTIVE, "the question alone changes nothing"
        assert admin.post(page_of(ada, "/delete")).location == PEOPLE
        assert not ada.is_signed_in()
        assert admin.get(page_of(ada)).status_code == 404
        assert len(audited_in(admin.app, "account.deleted")) == 1

    def test_of_oneself_an_admin_changes_neither_phone_nor_factor_here(self, admin: Visitor) -> None:
        page = admin.get(page_of(admin)).text
        assert 'name="phone"' not in page
        assert "/disable" not in page
        assert "/delete" not in page
        admin.post(page_of(admin), **{**as_it_is(admin), "phone": PHONE, "second_factor": "1"})
        assert as_it_is(admin)["phone"] == ""

    def test_an_admin_who_gives_the_role_up_is_led_to_what_is_left(self, admin: Visitor) -> None:
        answer = admin.post(page_of(admin), **{**as_it_is(admin), "role": "viewer"})
        assert answer.location == "/dashboard"
        assert admin.get(TOKENS).status_code == 200
        assert admin.get(PEOPLE).status_code == 403

    def test_the_last_admin_stays_where_the_owner_is_switched_off(self, admin: Visitor, tmp_path: Path) -> None:
        closed = make_app(tmp_path, PUBLIC_URL="https://calls.example.com", OWNER_SIGN_IN="off")
        assert admin.account
        alone = another_browser(closed, admin.account)
        for action, fields in (("", {**as_it_is(admin), "role": "viewer"}), ("/disable", {})):
            answer = alone.post(page_of(alone, action), **fields)
            assert answer.status_code == 409
            assert "This is the last admin" in answer.text
        assert alone.post(page_of(alone, "/delete")).status_code == 409
        assert stands(admin) == (Role.ADMIN, AccountState.ACTIVE, ())


class TestInvitations:
    def test_the_link_is_shown_once_and_leads_in(self, app: Flask, admin: Visitor) -> None:
        form = {"email": "grace@example.com", "role": "developer", "user_ids": "acme\nshop", "submission": "once"}
        page = admin.post(INVITE, **form)
        assert page.status_code == 200
        link = invited_link(page)
        assert link.startswith("https://calls.example.com/accept-invitation#token=ltl_")
        again = admin.post(INVITE, **form)
        assert (again.status_code, again.location) == (302, PEOPLE)
        listed = admin.get(PEOPLE).text
        assert "the link was shown once" in listed
        assert "invited" in listed
        token = link.partition("=")[2]
        assert token not in listed
        assert services_of(app).accounts.invitations.get_invitation(token).account.owner_ids == ("acme", "shop")
        [event] = audited_in(app, "link.made")
        assert event.actor_account_id == admin.account_id

    def test_inviting_again_gives_a_new_link_and_ends_the_old_one(self, app: Flask, admin: Visitor) -> None:
        old = invited_link(admin.post(INVITE, email="grace@example.com", role="viewer", user_ids="acme"))
        account = services_of(app).accounts.service.find_by_email("grace@example.com")
        assert account
        assert f"{INVITE}?account_id={account.account_id}" in admin.get(f"{PEOPLE}/{account.account_id}").text
        filled_in = admin.get(f"{INVITE}?account_id={account.account_id}").text
        assert 'value="grace@example.com"' in filled_in
        assert ">acme</textarea>" in filled_in
        new = invited_link(admin.post(INVITE, email="grace@example.com", role="viewer", user_ids="acme"))
        stranger = Visitor(app)
        form = {"username": "grace", "password": "every cloud has its own weather"}
        assert stranger.post("/accept-invitation", token=old, **form).status_code == 400
        assert stranger.post("/accept-invitation", token=new, **form).status_code == 302

    @pytest.mark.parametrize(
        ("field", "value", "status"),
        [("email", "nobody", 400), ("role", "", 400), ("user_ids", "x" * 129, 400), ("email", "root@example.com", 409)],
    )
    def test_what_is_wrong_comes_back_with_the_form(self, admin: Visitor, field: str, value: str, status: int) -> None:
        form = {"email": "grace@example.com", "role": "viewer", "user_ids": "kept", field: value}
        answer = admin.post(INVITE, **form)
        assert answer.status_code == status
        assert "ltl_" not in answer.text
        assert field == "user_ids" or ">kept</textarea>" in answer.text
        assert audited_in(admin.app, "link.made") == []

    def test_where_our_address_is_not_known_the_link_begins_with_the_one_that_was_asked(self, tmp_path: Path) -> None:
        admin = a_visitor(make_app(tmp_path), "root", "admin")
        form = {"csrf_token": admin.csrf_token(), "email": "grace@example.com", "role": "viewer"}
        page = admin.client.post(INVITE, data=form, headers={"X-Forwarded-For": "203.0.113.7"})  # not our own laptop
        assert invited_link(page).startswith("http://localhost/accept-invitation#token=ltl_")


class TestRoles:
    def test_a_role_asks_for_a_second_factor_until_it_does_not(self, app: Flask, admin: Visitor) -> None:
        services_of(app).accounts.service.create_account(someone("grace", "developer", password=None))
        asked = admin.post(ROLES, required=["admin", "developer"])
        assert asked.status_code == 200
        assert "Nobody is locked out" in asked.text
        assert ">grace</a>" in asked.text
        assert audited_in(app, "role_policy.set") == [], "nothing is changed before the question is answered"
        admin.post(ROLES, required=["admin", "developer"], confirmed="1")
        assert admin.get(ROLES).text.count("checked") == 2
        admin.post(ROLES, required=["admin"])
        policies = services_of(app).accounts.second_factors.list_policies()
        assert [role.value for role, is_required in policies.items() if is_required] == ["admin"]
        assert len(audited_in(app, "role_policy.set")) == 3, "only what was changed"
