"""Registration: it reveals no existing account, and nobody can sign in with an address that is not theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from letstalk.accounts.models import AccountChanges, AccountState, NewAccount, Role, person_actor
from letstalk.accounts.registrations import NewInvitation
from letstalk.audit.service import AuditTrail
from letstalk.operations.retention import RetentionService
from letstalk.tokens.models import NewToken
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from tests.support.account_services import ADDRESS, OTHER_PASSWORD, PASSWORD, give_everyone_a_place
from tests.support.apps import OWNER
from tests.support.mail_parts import ADMIN, BASE, EMAIL, TOKEN, Post
from tests.support.world import World, at_once, outcome_of, refusal_of

DAY = 24 * 3600


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def register(post: Post, username: str = "ada", email: str = EMAIL, password: str | None = None) -> None:
    post.accounts.registrations.register(username, email, BASE, ADDRESS, password=password)
    post.sweep()


def verify(post: Post, link: str, password: str = PASSWORD) -> str:
    return outcome_of(lambda: post.accounts.registrations.verify_email(link, password, ADDRESS))


def test_whoever_registers_can_sign_in_once_the_address_is_proven(post: Post) -> None:
    register(post)
    account = post.account()
    assert (account.state, account.role, account.owner_ids) == (AccountState.UNVERIFIED, Role.VIEWER, ())
    assert post.outcome_of_sign_in(PASSWORD) != "ok"
    link = post.last_link()
    assert link.startswith(f"{BASE}/verify-email#token=ltl_")
    assert verify(post, link) == "ok"
    assert post.account().state is AccountState.ACTIVE
    assert post.account().owner_ids == ("ada",), "an owner of one's own"
    assert post.outcome_of_sign_in(PASSWORD, "ada") == "ok"
    assert verify(post, link, OTHER_PASSWORD) == "invalid_link"
    assert post.outcome_of_sign_in(OTHER_PASSWORD) == "invalid_credentials"


@pytest.mark.parametrize(
    ("name", "own"),
    [("acme", "acme-2"), ("shop", "shop-2"), ("called", "called-2"), ("default_user", "default_user-2")],
)
def test_no_stranger_gets_the_owner_of_somebody_else(post: Post, name: str, own: str) -> None:
    """`acme` has a token, `shop` is granted to an account, and `called` has a verification."""
    world, own = post.world, f"{name}-2"
    usage = UsageCounter(world.db, clock=world.clock, audit=AuditTrail(world.db, clock=world.clock))
    tokens = TokenService(
        world.db,
        vault=world.vault,
        clock=world.clock,
        usage=usage,
        audit=AuditTrail(world.db, clock=world.clock),
        default_rate=None,
    )
    tokens.create_token(OWNER, NewToken(owner_id="acme"))
    granted = NewAccount(email="grace@example.com", username="grace", owner_ids=("shop",))
    post.accounts.service.create_account(granted, ADMIN)
    world.send(owner="called")
    register(post, name)
    assert verify(post, post.last_link()) == "ok"
    assert post.account().owner_ids == (own,)
    person = person_actor(replace(post.account(), role=Role.DEVELOPER), "session")
    assert tokens.create_token(person, NewToken()).record.owner_id == own
    refusal_of(lambda: tokens.create_token(person, NewToken(owner_id=name)), "not_granted")


def test_the_password_of_who_asked_opens_nothing_and_who_reads_the_mail_chooses_it(post: Post) -> None:
    """Mallory registers with Ada's address. Ada opens the link, as the mail tells her."""
    register(post, "mallory", EMAIL, "planted by somebody else")
    assert not post.account().has_password
    assert "planted" not in post.everything_written()
    assert verify(post, post.last_link(), OTHER_PASSWORD) == "ok"
    assert post.outcome_of_sign_in("planted by somebody else") == "invalid_credentials"
    assert post.outcome_of_sign_in(OTHER_PASSWORD) == "ok"


def test_an_address_that_the_mail_server_can_t_take_gets_an_honest_answer(post: Post) -> None:
    assert post.postman
    post.postman.takes_unicode = False
    invitations = post.accounts.invitations
    assert not invitations.invite(ADMIN, NewInvitation("jürgen@example.org"), BASE).is_mailed
    assert invitations.invite(ADMIN, NewInvitation("jurgen@example.org"), BASE).is_mailed
    registrations, resets = post.accounts.registrations, post.accounts.password_resets
    for ask in (
        lambda: registrations.register("ada", "adä@example.org", BASE, ADDRESS),
        lambda: registrations.resend_verification("adä@example.org", BASE, ADDRESS),
        lambda: resets.request_link("adä@example.org", BASE, ADDRESS),
    ):
        refused = refusal_of(ask, "invalid_request")
        assert [detail.field for detail in refused.details] == ["email"]
    assert [row for row in post.rows() if row.failed_at] == []


def test_a_link_without_an_acceptable_password_proves_nothing(post: Post) -> None:
    register(post)
    for password in ("", "short", "password1234", "ada@example.org"):
        error = refusal_of(
            lambda password=password: post.accounts.registrations.verify_email(post.last_link(), password, ADDRESS),  # type: ignore[misc]
            "weak_password",
        )
        assert error.details[0].field == "password"
    assert post.account().state is AccountState.UNVERIFIED
    assert verify(post, post.last_link()) == "ok"


def test_the_mail_says_who_asked(post: Post) -> None:
    """The name that was given, when, and from where; for each mail that anybody can ask for."""

    def when(address: str) -> str:
        now = post.clock()
        return f" on {now.day} {now:%B %Y} at {now:%H:%M} UTC, from the network address {address}"

    register(post, "mallory")
    assert f"{when(ADDRESS)}. The name of the account is mallory." in post.taken[0].body
    post.make_account("grace@example.org", "grace")
    register(post, "eve", "grace@example.org")
    assert when(ADDRESS) in post.taken[1].body
    assert "eve" not in post.taken[1].body
    post.clock.move(61)
    post.accounts.password_resets.request_link("grace@example.org", BASE, "2001:db8::1")
    asked = when("2001:db8::1")
    post.pass_time(600)
    assert asked in post.taken[2].body, "when it was asked for, not when it was mailed"


def test_nobody_is_put_on_record_before_the_background_work(post: Post) -> None:
    post.accounts.registrations.register("ada", EMAIL, BASE, ADDRESS, password=PASSWORD)
    assert post.accounts.service.find_by_email(EMAIL) is None
    [row] = post.rows()
    assert not [word for word in ("ada", "xample", "horse", "scrypt") if word in row.sealed]


def test_where_registration_is_closed_nobody_registers(world: World) -> None:
    post = Post(world, is_open=False)
    refusal_of(lambda: register(post), "registration_closed")
    assert post.rows() == []


def test_without_mail_nobody_registers(world: World) -> None:
    post = Post(world, postman=None)
    refusal_of(lambda: post.accounts.registrations.register("ada", EMAIL, BASE, ADDRESS), "mail_not_set_up")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"username": "a"}, "invalid_request"),
        ({"username": "ada@example.org"}, "invalid_request"),
        ({"email": "ada"}, "invalid_request"),
        ({"password": ""}, "weak_password"),
        ({"password": "short"}, "weak_password"),
        ({"password": "ada@example.org"}, "weak_password"),
        ({"password": "a horse\ud800 and so on"}, "invalid_request"),
    ],
)
def test_what_can_t_be_is_refused_at_once(post: Post, given: dict[str, str], code: str) -> None:
    refusal_of(lambda: register(post, **given), code)
    assert post.rows() == []


def test_an_address_that_has_an_account_gets_a_mail_that_says_so_and_nothing_changes(post: Post) -> None:
    account = post.make_account()
    register(post, "somebody", EMAIL.upper(), OTHER_PASSWORD)
    assert post.account() == account
    assert post.outcome_of_sign_in(PASSWORD) == "ok"
    assert post.outcome_of_sign_in(OTHER_PASSWORD) == "invalid_credentials"
    assert post.accounts.service.find_by_username("somebody") is None
    [mail] = post.taken
    assert mail.to == EMAIL
    assert "already" in mail.subject
    assert "/reset-password#token=" in post.last_link()


def test_no_mail_repeats_what_a_stranger_typed(post: Post) -> None:
    post.make_account()
    register(post, "visit-evil.example")
    register(post, "visit-evil.example", "grace@example.org")
    assert len(post.taken) == 2
    assert "evil" not in json.dumps([(mail.subject, mail.body) for mail in post.taken])


def test_a_name_that_somebody_has_is_given_with_a_number(post: Post) -> None:
    post.make_account()
    register(post, "ADA", "grace@example.org")
    assert post.account("grace@example.org").username == "ADA-2"
    assert post.account().username == "ada"


def test_trying_the_same_name_again_does_not_tell_whether_the_address_was_known(post: Post) -> None:
    """A name taken by a registration that went through, and one that did not, answer alike."""
    post.make_account()
    for email in (EMAIL, "grace@example.org"):
        register(post, "fresh-name", email)
        assert outcome_of(lambda: register(post, "fresh-name", "other@example.org")) == "ok"


def test_registering_twice_leaves_the_password_to_who_reads_the_mail(post: Post) -> None:
    register(post, "mallory", EMAIL, PASSWORD)
    post.clock.move(3600)
    register(post, "ada", EMAIL, OTHER_PASSWORD)
    assert len(post.taken) == 2
    assert verify(post, post.last_link(), "seven lamps on a quiet harbour") == "ok"
    assert post.account().state is AccountState.ACTIVE, "the mail has proven the address"
    assert post.outcome_of_sign_in("seven lamps on a quiet harbour") == "ok"
    assert {post.outcome_of_sign_in(it) for it in (PASSWORD, OTHER_PASSWORD)} == {"invalid_credentials"}


def test_many_who_register_one_address_at_once_make_one_account(post: Post) -> None:
    posts = [Post(post.world, post.postman) for _ in range(4)]
    for number, each in enumerate(posts):
        each.accounts.registrations.register(f"ada{number}", EMAIL, BASE, ADDRESS)
    ids = [row.mail_id for row in post.rows()]
    at_once([partial(each.mails.deliver, mail_id) for each, mail_id in zip(posts, ids, strict=True)])
    for _ in range(5):
        post.pass_time(60)
    assert len(post.accounts.service.list_accounts(ADMIN).accounts) == 1
    assert 1 <= len(post.taken) <= 3, "what was tried again a minute later is mailed again"
    assert all("/verify-email" in mail.body for mail in post.taken)
    assert verify(post, post.last_link()) == "ok"


def test_another_link_ends_the_one_before(post: Post) -> None:
    register(post)
    first = post.last_link()
    post.clock.move(120)
    post.accounts.registrations.resend_verification(EMAIL, BASE, ADDRESS)
    post.sweep()
    assert post.last_link() != first
    assert verify(post, first) == "invalid_link"
    assert verify(post, post.last_link()) == "ok"


@pytest.mark.parametrize(("late_by", "outcome"), [(-1, "ok"), (0, "invalid_link")])
def test_the_link_is_good_for_a_day(post: Post, late_by: int, outcome: str) -> None:
    register(post)
    post.clock.move(DAY + late_by)
    assert verify(post, post.last_link()) == outcome


def test_of_many_who_use_the_link_at_once_one_does(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    give_everyone_a_place(monkeypatch)
    register(post)
    outcomes = at_once([lambda: post.accounts.registrations.verify_email(post.last_link(), PASSWORD, ADDRESS)] * 8)
    assert sorted(outcomes) == ["invalid_link"] * 7 + ["ok"]


def test_a_link_is_mailed_again_only_to_who_needs_it(post: Post) -> None:
    post.make_account()
    for email in (EMAIL, "nobody@example.org"):
        post.accounts.registrations.resend_verification(email, BASE, ADDRESS)
    post.sweep()
    assert post.taken == []
    assert post.rows() == []


def test_nobody_is_flooded_by_asking_again(post: Post) -> None:
    register(post)
    for _ in range(100):
        post.accounts.registrations.resend_verification(EMAIL, BASE, ADDRESS)
        post.pass_time(10)
    assert len(post.taken) == 3
    assert verify(post, post.last_link()) == "ok"


def test_nobody_is_flooded_by_registering_again(post: Post) -> None:
    register(post)
    for _ in range(50):
        register(post)
        post.clock.move(10)
    assert len(post.taken) == 3


def test_the_link_can_not_open_an_account_that_an_admin_has_closed(post: Post) -> None:
    register(post)
    post.accounts.service.update_account(ADMIN, post.account().account_id, AccountChanges(disabled=True))
    assert verify(post, post.last_link()) == "invalid_link"
    assert post.account().state is AccountState.DISABLED


def test_an_account_that_nobody_claimed_is_forgotten_after_a_week(post: Post) -> None:
    register(post)
    register(post, "grace", "grace@example.org")
    verify(post, post.last_link())
    usage = UsageCounter(post.db, clock=post.clock, audit=post.audit)
    retention = RetentionService(
        post.db, AuditTrail(post.db, clock=post.clock), usage, post.clock, days=90, audit_days=365
    )
    post.clock.move(7 * DAY - 60)
    retention.forget_old()
    assert post.account().state is AccountState.UNVERIFIED
    post.clock.move(120)
    retention.forget_old()
    assert post.accounts.service.find_by_email(EMAIL) is None
    assert post.account("grace@example.org").state is AccountState.ACTIVE


def test_neither_link_nor_password_can_be_read_in_the_database(post: Post) -> None:
    register(post)
    [token] = TOKEN.findall(post.last_link())
    written = post.everything_written()
    assert token.removeprefix("ltl_") not in written
    assert "horse" not in written
    assert "scrypt" not in written


def test_disabling_and_enabling_proves_no_address(post: Post) -> None:
    """Mallory registers with Ada's address. An admin disables the account, and enables it again."""
    register(post, "mallory")
    update, account_id = post.accounts.service.update_account, post.account().account_id
    update(ADMIN, account_id, AccountChanges(disabled=True))
    post.accounts.passwords.set_password(account_id, PASSWORD)
    enabled = update(ADMIN, account_id, AccountChanges(disabled=False))
    assert (enabled.state, enabled.email_verified_at) == (AccountState.UNVERIFIED, None)
    assert post.outcome_of_sign_in(PASSWORD) == "invalid_credentials"
    post.pass_time(120)
    post.accounts.registrations.resend_verification(EMAIL, BASE, ADDRESS)
    post.sweep()
    assert verify(post, post.last_link(), OTHER_PASSWORD) == "ok"
    for disabled in (True, False):
        account = update(ADMIN, account_id, AccountChanges(disabled=disabled))
        assert account.email_verified_at == post.clock(), "what is proven stays so"
    assert post.outcome_of_sign_in(OTHER_PASSWORD) == "ok"


@pytest.mark.parametrize("is_disabled", [False, True])
def test_an_account_that_nobody_proved_gets_no_further_rights(post: Post, is_disabled: bool) -> None:
    register(post, "mallory")
    update, account_id = post.accounts.service.update_account, post.account().account_id
    update(ADMIN, account_id, AccountChanges(disabled=is_disabled))
    more = (AccountChanges(role="admin"), AccountChanges(owner_ids=("acme",)), AccountChanges(role="developer"))
    for changes in (*more, AccountChanges(role="admin", disabled=False)):
        refusal_of(lambda changes=changes: update(ADMIN, account_id, changes), "email_not_verified")  # type: ignore[misc]
    account = post.account()
    assert (account.role, account.owner_ids) == (Role.VIEWER, ())
    update(ADMIN, account_id, AccountChanges(disabled=False))
    post.pass_time(120)
    post.accounts.registrations.resend_verification(EMAIL, BASE, ADDRESS)
    post.sweep()
    assert verify(post, post.last_link()) == "ok"
    assert update(ADMIN, account_id, more[0]).role is Role.ADMIN


def test_an_invited_person_gets_another_role_before_they_come(post: Post) -> None:
    invited = post.accounts.invitations.invite(ADMIN, NewInvitation(EMAIL), BASE).account
    update = post.accounts.service.update_account
    assert update(ADMIN, invited.account_id, AccountChanges(role="admin")).role is Role.ADMIN
    for disabled, state in ((True, AccountState.DISABLED), (False, AccountState.INVITED)):
        account = update(ADMIN, invited.account_id, AccountChanges(disabled=disabled))
        assert (account.state, account.email_verified_at) == (state, None)
