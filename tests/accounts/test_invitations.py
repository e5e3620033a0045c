"""Invitations: an admin sets the address, the role and the owners; the person chooses a username and a password."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from letstalk.accounts.models import AccountChanges, AccountState, Role, person_actor
from letstalk.accounts.registrations import Invitation, NewInvitation
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.scopes import expand_scopes
from letstalk.mail.transports import MailDelayed
from tests.support.account_services import ADDRESS, DEVICE, OTHER_PASSWORD, PASSWORD, give_everyone_a_place
from tests.support.mail_parts import ADMIN, BASE, EMAIL, TOKEN, Post
from tests.support.world import World, at_once, outcome_of, refusal_of

DAY = 24 * 3600
WANTED = NewInvitation(EMAIL, "developer", ("zeta", "acme", "acme"))


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def invite(post: Post, wanted: NewInvitation = WANTED, actor: Actor = ADMIN) -> Invitation:
    return post.accounts.invitations.invite(actor, wanted, BASE)


def accept(post: Post, link: str, username: str = "ada", password: str = PASSWORD) -> str:
    return outcome_of(lambda: post.accounts.invitations.accept(link, username, password, ADDRESS))


def test_an_invited_person_chooses_name_and_password_and_is_signed_in(post: Post) -> None:
    invitation = invite(post)
    assert invitation.account.state is AccountState.INVITED
    assert invitation.link.startswith(f"{BASE}/accept-invitation#token=ltl_")
    signed_in = post.accounts.invitations.accept_and_sign_in(invitation.link, "ada", PASSWORD, DEVICE)
    account = post.account()
    assert (account.username, account.role, account.owner_ids) == ("ada", Role.DEVELOPER, ("acme", "zeta"))
    assert account.state is AccountState.ACTIVE
    actor = post.accounts.access_tokens.authenticate(signed_in.access_token, DEVICE.address)
    assert actor.owner_ids == {"acme", "zeta"}
    [session] = post.accounts.sessions.list_sessions(account.account_id)
    assert session.method == "invitation"
    assert post.outcome_of_sign_in(PASSWORD, "ada") == "ok"
    assert accept(post, invitation.link, "eve", OTHER_PASSWORD) == "invalid_link"


def test_the_link_is_mailed_at_once_where_mail_is_set_up(post: Post) -> None:
    invitation = invite(post)
    assert invitation.is_mailed
    assert len(post.woken) == 1
    post.sweep()
    assert post.taken[0].to == EMAIL
    assert post.last_link() == invitation.link


def test_an_invitation_does_not_wait_for_a_mail_server_that_is_away(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [MailDelayed("away")] * 3
    invitation = invite(post)
    for _ in range(30):
        post.pass_time(10)
    assert [mail.to for mail in post.taken] == [EMAIL]
    assert post.last_link() == invitation.link
    assert accept(post, invitation.link) == "ok"


def test_without_mail_the_admin_alone_has_the_link(world: World) -> None:
    post = Post(world, postman=None)
    invitation = invite(post)
    assert not invitation.is_mailed
    assert post.rows() == []
    assert invitation.link not in repr(invitation)
    assert accept(post, invitation.link) == "ok"


def test_only_an_admin_invites(post: Post) -> None:
    developer = person_actor(post.make_account("dev@example.org", "dev", role="developer"), "a session")
    app = Actor(kind=ActorKind.TOKEN, owner_id="acme", scopes=expand_scopes(["read", "write", "tokens:write"]))
    for actor in (developer, app):
        refusal_of(partial(invite, post, actor=actor), "insufficient_scope")
    assert post.accounts.service.find_by_email(EMAIL) is None
    boss = person_actor(post.make_account("boss@example.org", "boss", role="admin"), "a session")
    invite(post, actor=boss)
    invited = post.account()
    made = [event for event in post.events(invited.account_id) if event.action in ("account.created", "link.made")]
    assert {event.actor_account_id for event in made} == {boss.account_id}


def test_looking_at_an_invitation_leaves_it_good(post: Post) -> None:
    link = invite(post).link
    for _ in range(3):
        found = post.accounts.invitations.get_invitation(link)
        assert (found.account.email, found.account.role) == (EMAIL, Role.DEVELOPER)
    assert accept(post, link) == "ok"
    refusal_of(lambda: post.accounts.invitations.get_invitation(link), "invalid_link")


def test_inviting_again_changes_the_rights_and_ends_the_older_link(post: Post) -> None:
    first = invite(post)
    second = invite(post, NewInvitation(EMAIL.lower(), "viewer", ("other",)))
    assert second.account.account_id == first.account.account_id
    assert accept(post, first.link) == "invalid_link"
    assert accept(post, second.link) == "ok"
    assert (post.account().role, post.account().owner_ids) == (Role.VIEWER, ("other",))


def test_whoever_has_an_account_is_not_invited(post: Post) -> None:
    account = post.make_account()
    refusal_of(lambda: invite(post), "email_taken")
    assert post.account() == account
    assert post.links() == []


@pytest.mark.parametrize(("late_by", "outcome"), [(-1, "ok"), (0, "invalid_link")])
def test_an_invitation_is_good_for_a_week(post: Post, late_by: int, outcome: str) -> None:
    link = invite(post).link
    post.clock.move(7 * DAY + late_by)
    assert accept(post, link) == outcome


@pytest.mark.parametrize("ending", ["disabled", "deleted", "moved"])
def test_an_invitation_ends_with_the_account_or_the_address(post: Post, ending: str) -> None:
    invitation = invite(post)
    account_id = invitation.account.account_id
    if ending == "deleted":
        post.accounts.service.delete_account(ADMIN, account_id)
    else:
        change = AccountChanges(disabled=True) if ending == "disabled" else AccountChanges(email="other@example.org")
        post.accounts.service.update_account(ADMIN, account_id, change)
    assert accept(post, invitation.link) == "invalid_link"


def test_what_is_refused_leaves_the_link_as_it_was(post: Post) -> None:
    post.make_account("grace@example.org", "grace")
    link = invite(post).link
    assert accept(post, link, "Grace") == "username_taken"
    assert accept(post, link, "a") == "invalid_request"
    assert accept(post, link, password="short") == "weak_password"
    assert accept(post, link, password="Ada@Example.org") == "weak_password"
    assert post.account().state is AccountState.INVITED
    assert not post.account().has_password
    assert accept(post, link) == "ok"


def test_of_many_who_use_the_link_at_once_one_does(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    give_everyone_a_place(monkeypatch)
    link = invite(post).link
    accept_as = partial(post.accounts.invitations.accept, link)
    outcomes = at_once([partial(accept_as, f"ada{number}", PASSWORD, ADDRESS) for number in range(8)])
    assert sorted(outcomes) == ["invalid_link"] * 7 + ["ok"]


def test_inviting_and_accepting_at_once_never_waits_for_each_other_for_ever(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_everyone_a_place(monkeypatch)
    wanted = [NewInvitation(f"person{number}@example.org") for number in range(4)]
    links = [invite(post, each).link for each in wanted]
    accept_by = post.accounts.invitations.accept
    actions: list[Callable[[], object]] = [partial(invite, post, each) for each in wanted]
    actions += [partial(accept_by, link, f"person{number}", PASSWORD, ADDRESS) for number, link in enumerate(links)]
    outcomes = at_once(actions)
    assert set(outcomes) <= {"ok", "invalid_link", "email_taken"}, outcomes


def test_where_the_role_asks_for_a_second_factor_the_invitation_alone_signs_nobody_in(post: Post) -> None:
    post.accounts.second_factors.set_policy(ADMIN, Role.DEVELOPER, requires_second_factor=True)
    invitation = invite(post)
    account_id = invitation.account.account_id
    post.accounts.service.update_account(ADMIN, account_id, AccountChanges(phone="+256700123456"))
    refusal_of(
        lambda: post.accounts.invitations.accept_and_sign_in(invitation.link, "ada", PASSWORD, DEVICE), "phone_required"
    )
    assert post.account().state is AccountState.ACTIVE
    assert post.accounts.sessions.list_sessions(account_id) == []


def test_the_link_can_not_be_read_in_the_database(post: Post) -> None:
    [token] = TOKEN.findall(invite(post).link)
    assert token.removeprefix("ltl_") not in post.everything_written()
    post.sweep()
    assert token.removeprefix("ltl_") not in post.everything_written()


def test_a_sign_up_that_nobody_proved_gives_way_to_an_invitation(post: Post) -> None:
    """Mallory registers with Ada's address, which keeps nobody from inviting her."""
    post.accounts.registrations.register("mallory", EMAIL, BASE, ADDRESS)
    post.sweep()
    planted, link = post.account(), post.last_link()
    invitation = invite(post)
    assert invitation.account.account_id != planted.account_id
    assert (invitation.account.state, invitation.account.username) == (AccountState.INVITED, None)
    assert post.accounts.service.find(planted.account_id) is None
    assert outcome_of(lambda: post.accounts.registrations.verify_email(link, OTHER_PASSWORD, ADDRESS)) == "invalid_link"
    [deleted] = [event for event in post.events(planted.account_id) if event.action == "account.deleted"]
    assert deleted.detail["gave_way_to"] == invitation.account.account_id
    assert accept(post, invitation.link) == "ok"
    account = post.account()
    assert (account.username, account.role) == ("ada", Role.DEVELOPER)


def test_it_gives_way_to_whatever_an_admin_makes_with_its_address_and_to_nothing_else(post: Post) -> None:
    def register(username: str, email: str) -> str:
        post.accounts.registrations.register(username, email, BASE, ADDRESS)
        post.sweep()
        return post.account(email).account_id

    update = post.accounts.service.update_account
    register("mallory1", "one@example.org")
    assert post.make_account("ONE@example.org", "one").account_id == post.account("one@example.org").account_id
    register("mallory2", "two@example.org")
    grace = post.make_account("grace@example.org", "grace")
    update(ADMIN, grace.account_id, AccountChanges(email="TWO@example.org"))
    assert post.account("two@example.org").account_id == grace.account_id
    mallory, eve = register("mallory", EMAIL), register("eve", "eve@example.org")
    refusal_of(lambda: update(ADMIN, eve, AccountChanges(email=EMAIL)), "email_taken")
    update(ADMIN, mallory, AccountChanges(disabled=True))
    refusal_of(lambda: invite(post), "email_taken")
    assert post.account().account_id == mallory, "an admin has decided about it"


def test_a_name_that_nobody_proved_to_be_theirs_is_free_for_an_invited_person(post: Post) -> None:
    post.accounts.registrations.register("ada", "mallory@example.org", BASE, ADDRESS)
    post.sweep()
    assert accept(post, invite(post).link) == "ok"
    assert (post.account().username, post.account("mallory@example.org").username) == ("ada", "ada-2")
    refusal_of(lambda: post.make_account("eve@example.org", "ADA"), "username_taken")


def test_what_is_proven_gives_way_to_no_invitation(post: Post) -> None:
    account = post.make_account()
    refusal_of(lambda: invite(post), "email_taken")
    assert post.account() == account
