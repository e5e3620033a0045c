"""Replacing a lost password: the link works once, for 30 minutes, and only for the owner of the address."""

from __future__ import annotations

import pytest

from letstalk.accounts.models import AccountChanges, AccountState
from letstalk.accounts.registrations import NewInvitation
from letstalk.mail.models import LinkPurpose, lifetime_seconds
from tests.support.account_services import ADDRESS, DEVICE, OTHER_PASSWORD, PASSWORD, give_everyone_a_place
from tests.support.mail_parts import ADMIN, BASE, EMAIL, TOKEN, Post
from tests.support.world import World, at_once, outcome_of, refusal_of

THIRD_PASSWORD = "seven lamps on a quiet harbour"


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def ask(post: Post, email: str = EMAIL) -> str:
    """Ask for a link, and have it mailed. Returns the link."""
    post.accounts.password_resets.request_link(email, BASE, ADDRESS)
    post.sweep()
    return post.last_link()


def reset(post: Post, link: str, password: str = OTHER_PASSWORD) -> str:
    return outcome_of(lambda: post.accounts.password_resets.reset(link, password, ADDRESS))


def test_the_link_in_the_mail_brings_a_new_password_once(post: Post) -> None:
    post.make_account()
    link = ask(post, "ada@example.ORG")
    assert link.startswith(f"{BASE}/reset-password#token=ltl_")
    assert post.taken[0].to == EMAIL
    assert post.outcome_of_sign_in(PASSWORD) == "ok", "asking alone changes nothing"
    assert reset(post, link) == "ok"
    assert post.outcome_of_sign_in(OTHER_PASSWORD) == "ok"
    assert post.outcome_of_sign_in(PASSWORD) == "invalid_credentials"
    assert reset(post, link, THIRD_PASSWORD) == "invalid_link"
    assert post.outcome_of_sign_in(THIRD_PASSWORD) == "invalid_credentials"


def test_a_reset_ends_every_session(post: Post) -> None:
    account = post.make_account()
    signed_in = post.accounts.sign_ins.sign_in(EMAIL, PASSWORD, DEVICE)
    cookie = post.accounts.sessions.start_browser_session(account.account_id, DEVICE, "password")
    assert reset(post, ask(post)) == "ok"
    assert post.accounts.sessions.list_sessions(account.account_id) == []
    assert post.accounts.sessions.find_browser_session(cookie, DEVICE.address) is None
    refusal_of(
        lambda: post.accounts.access_tokens.authenticate(signed_in.access_token, DEVICE.address), "invalid_token"
    )
    refusal_of(lambda: post.accounts.sessions.refresh(signed_in.refresh_token, DEVICE), "invalid_token")


@pytest.mark.parametrize(("late_by", "outcome"), [(-1, "ok"), (0, "invalid_link"), (86400, "invalid_link")])
def test_the_link_is_good_for_half_an_hour(post: Post, late_by: int, outcome: str) -> None:
    post.make_account()
    link = ask(post)
    post.clock.move(1800 + late_by)
    assert reset(post, link) == outcome


def test_a_newer_link_ends_the_older_one(post: Post) -> None:
    post.make_account()
    older = ask(post)
    post.clock.move(60)
    newer = ask(post)
    assert older != newer
    assert reset(post, older) == "invalid_link"
    assert reset(post, newer) == "ok"


@pytest.mark.parametrize(
    "change", [AccountChanges(disabled=True), AccountChanges(email="elsewhere@example.org")], ids=["disabled", "moved"]
)
def test_a_link_ends_with_the_account_or_the_address_that_it_was_mailed_to(post: Post, change: AccountChanges) -> None:
    account = post.make_account()
    link = ask(post)
    post.accounts.service.update_account(ADMIN, account.account_id, change)
    assert reset(post, link) == "invalid_link"
    post.accounts.service.update_account(ADMIN, account.account_id, AccountChanges(disabled=False))
    assert reset(post, link) == "invalid_link", "it does not come back to life"


def test_a_link_ends_when_the_password_is_changed_in_another_way(post: Post) -> None:
    account = post.make_account()
    link = ask(post)
    post.accounts.passwords.set_password(account.account_id, OTHER_PASSWORD)
    assert reset(post, link, THIRD_PASSWORD) == "invalid_link"


def test_the_link_of_an_account_that_was_deleted_leads_nowhere(post: Post) -> None:
    account = post.make_account()
    link = ask(post)
    post.accounts.service.delete_account(ADMIN, account.account_id)
    assert reset(post, link) == "invalid_link"


def test_a_password_that_is_refused_leaves_the_link_as_it_was(post: Post) -> None:
    post.make_account()
    link = ask(post)
    assert reset(post, link, "short") == "weak_password"
    assert reset(post, link, "ada@example.org") == "weak_password"
    error = refusal_of(lambda: post.accounts.password_resets.reset(link, "password1234", ADDRESS), "weak_password")
    assert error.details[0].field == "new_password"
    assert reset(post, link) == "ok"


def test_of_many_who_use_the_link_at_once_one_does(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    give_everyone_a_place(monkeypatch)
    post.make_account()
    link = ask(post)
    outcomes = at_once([lambda: post.accounts.password_resets.reset(link, OTHER_PASSWORD, ADDRESS)] * 8)
    assert sorted(outcomes) == ["invalid_link"] * 7 + ["ok"]


def test_who_holds_a_link_has_one_place_and_thirty_tries(post: Post) -> None:
    account = post.make_account()
    link = ask(post)
    hashing = post.accounts.sign_ins._passwords
    for holder in (account.account_id, ADDRESS):
        with hashing.place(holder, is_known=True):
            assert reset(post, link) == "not_ready"
    outcomes = [reset(post, link, "short") for _ in range(40)]
    assert outcomes == ["weak_password"] * 31 + ["sign_in_throttled"] * 9
    assert post.outcome_of_sign_in(PASSWORD) == "ok"
    post.clock.move(20)
    assert reset(post, link) == "ok"


def test_a_thief_who_signs_in_over_and_over_does_not_delay_a_new_password(post: Post) -> None:
    post.make_account()
    link = ask(post)
    assert [post.outcome_of_sign_in(PASSWORD) for _ in range(32)][-1] == "sign_in_throttled"
    assert reset(post, link) == "ok"


@pytest.mark.parametrize("text", ["", "ltl_", "#token=", "ltl_" + 48 * "0", "\x00", "\ud800", "💥" * 200])
def test_what_is_no_link_is_refused_alike(post: Post, text: str) -> None:
    post.make_account()
    assert reset(post, text) == "invalid_link"


def test_a_link_for_something_else_is_refused_and_goes_on_working_for_that(post: Post) -> None:
    invitation = post.accounts.invitations.invite(ADMIN, NewInvitation("new@example.org"), BASE)
    assert reset(post, invitation.link) == "invalid_link"
    assert (
        outcome_of(lambda: post.accounts.registrations.verify_email(invitation.link, PASSWORD, ADDRESS))
        == "invalid_link"
    )
    assert post.accounts.invitations.get_invitation(invitation.link).account.email == "new@example.org"


def test_whoever_does_not_exist_gets_no_mail_and_nothing_stays(post: Post) -> None:
    post.make_account()
    post.accounts.password_resets.request_link("nobody@example.org", BASE, ADDRESS)
    post.sweep()
    assert post.taken == []
    assert post.rows() == []
    assert post.links() == []


@pytest.mark.parametrize("state", [AccountState.INVITED, AccountState.DISABLED])
def test_who_may_not_sign_in_gets_no_mail(post: Post, state: AccountState) -> None:
    is_invited = state is AccountState.INVITED
    post.make_account(state=state, username=None if is_invited else "ada", password=None if is_invited else PASSWORD)
    post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
    post.sweep()
    assert post.taken == []


def test_who_signs_in_elsewhere_and_has_no_password_gets_none_by_mail(post: Post) -> None:
    post.make_account(password=None)
    post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
    post.sweep()
    assert post.taken == []


def test_nobody_is_flooded_and_the_last_link_goes_on_working(post: Post) -> None:
    post.make_account()
    for _ in range(100):
        post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
        post.pass_time(10)
    assert len(post.taken) == 3
    assert reset(post, post.last_link()) == "ok"


def test_what_one_is_mailed_takes_nothing_from_another(post: Post) -> None:
    post.make_account()
    post.make_account("grace@example.org", "grace")
    for _ in range(10):
        post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
    post.accounts.password_resets.request_link("grace@example.org", BASE, ADDRESS)
    post.sweep()
    assert sorted(mail.to for mail in post.taken) == [EMAIL, "grace@example.org"]


def test_a_request_that_waited_until_nobody_needs_it_leads_to_no_mail(post: Post) -> None:
    post.make_account()
    post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
    post.pass_time(lifetime_seconds(LinkPurpose.RESET_PASSWORD) + 1)
    assert post.taken == []


def test_neither_the_link_nor_the_address_can_be_read_in_the_database(post: Post) -> None:
    account = post.make_account()
    post.accounts.password_resets.request_link(EMAIL, BASE, ADDRESS)
    before = post.everything_written()
    post.sweep()
    [token] = TOKEN.findall(post.last_link())
    for written in (before, post.everything_written()):
        assert token not in written
        assert token.removeprefix("ltl_") not in written
        assert "xample" not in written
    actions = [event.action for event in post.events(account.account_id)]
    assert actions.count("link.made") == 1
    reset(post, token)
    actions = [event.action for event in post.events(account.account_id)]
    assert {"link.used", "account.password_changed"} <= set(actions)


def test_an_address_that_is_none_is_refused_whoever_exists(post: Post) -> None:
    assert outcome_of(lambda: post.accounts.password_resets.request_link("ada", BASE, ADDRESS)) == "invalid_request"
    assert post.rows() == []
