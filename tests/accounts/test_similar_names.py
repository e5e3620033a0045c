"""An address or a username that only normalisation would make into another's is nobody's key to that account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from letstalk.accounts.models import Account, AccountChanges, AccountState, NewAccount, Role
from letstalk.accounts.registrations import NewInvitation
from letstalk.accounts.sign_in_throttles import SignInThrottles, Throttle
from letstalk.audit.service import AuditTrail
from letstalk.core.name_keys import name_key, similar_keys
from letstalk.sso.identities import IdentityService
from letstalk.sso.models import Identity, IdentityRefused, read_email
from tests.support.account_services import ADDRESS, DEVICE, PASSWORD, accounts_of
from tests.support.mail_parts import ADMIN, BASE, Post
from tests.support.world import World, outcome_of, refusal_of

BOSS = "boss@grosse-firma.de"
OTHER_DOMAIN = "boss@große-firma.de"
# What NFKC and case folding would make into `office.k-os@grosse-firma.de`, with domains that IDNA 2008 allows.
TARGET = "office.k-os@grosse-firma.de"
TWINS = (
    "office.k-os@große-firma.de",
    "office.k-os@xn--groe-firma-73a.de",
    "o\ufb03ce.k-os@grosse-firma.de",
    "\uff4f\uff46\uff46\uff49\uff43\uff45.k-os@grosse-firma.de",
    "office.\u212a-os@grosse-firma.de",
    "office.k-\u00ba\u017f@grosse-firma.de",
    "O\ufb03CE.\u212a-O\u017f@GROßE-FIRMA.de",
)


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def admit(post: Post, email: str, sign_up: Role | None = Role.VIEWER) -> Account:
    """Signs in by another service, which vouches for `email`."""
    identities = IdentityService(post.db, post.accounts.service, AuditTrail(post.db, clock=post.clock), post.clock)
    identity = Identity("https://id.example.com", f"subject of {email!a}", read_email(email, True), "somebody")
    with post.db.write() as connection:
        return identities.admit(connection, identity, sign_up)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.COM", " ada@example.com "),
        ("ada@münchen.de", "ada@XN--MNCHEN-3ya.DE"),
        ("Ada.Lovelace", "ADA.lovelace"),
        ("ädä@example.com", "ädä@EXAMPLE.com"),
    ],
)
def test_case_of_ascii_letters_and_the_way_to_write_a_domain_make_no_difference(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((twin, TARGET) for twin in TWINS),
        ("a@\u03c3\u03b1\u03c2.gr", "a@\u03c3\u03b1\u03c3.gr"),
        ("ädä@x.de", "ÄDÄ@x.de"),
        ("a\u0308da@x.de", "äda@x.de"),
        ("\uff41\uff44\uff4d\uff49\uff4e", "admin"),
        ("\u212aim", "kim"),
        ("a@xn--grosse-.de", "a@grosse.de"),
    ],
)
def test_what_normalisation_would_make_the_same_are_two(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_only_what_normalisation_changes_is_similar_to_another() -> None:
    assert similar_keys(BOSS) == similar_keys("Ada@München.de".lower()) == set()
    assert similar_keys(OTHER_DOMAIN) == {BOSS}
    assert all(TARGET in similar_keys(twin) for twin in TWINS)
    # A part of it alone is enough: the domain stays, and the local part has another form of Unicode.
    assert name_key("jürgen@straße.de") in similar_keys("ju\u0308rgen@straße.de")


def test_a_long_name_takes_no_long_time() -> None:
    """Punycode is quadratic. This would take minutes."""
    long = "a@" + "äüö" * 300_000 + ".de"
    assert name_key(long) == long


def test_whoever_s_provider_vouches_for_a_twin_is_not_signed_in_as_the_admin(post: Post) -> None:
    boss = post.make_account(TARGET, "boss", role="admin")
    for twin, sign_up in product(TWINS, (None, Role.VIEWER)):
        with pytest.raises(IdentityRefused):
            admit(post, twin, sign_up)
    assert [each.account_id for each in post.accounts.service.list_accounts(ADMIN).accounts] == [boss.account_id]
    assert admit(post, TARGET.upper()).account_id == boss.account_id


def test_a_twin_neither_signs_in_nor_gets_a_mail_nor_an_account(post: Post) -> None:
    boss, eve = post.make_account(TARGET, "boss"), post.make_account("eve@example.org", "eve")
    assert post.outcome_of_sign_in(PASSWORD, TARGET) == "ok"
    for twin in TWINS:
        assert post.outcome_of_sign_in(PASSWORD, twin) == "invalid_credentials"
        assert post.accounts.service.find_by_email(twin) is None
        _ask_for_mails(post, twin)
        assert {outcome_of(action) for action in _ways_to_take(post, twin, eve)} == {"email_taken"}
    assert post.taken == []
    assert post.rows() == [], "nothing waits to be tried again"
    assert post.account(TARGET) == replace(boss, last_signed_in_at=post.clock())
    assert post.account("eve@example.org") == eve


def _ask_for_mails(post: Post, email: str) -> None:
    post.accounts.password_resets.request_link(email, BASE, ADDRESS)
    post.accounts.registrations.resend_verification(email, BASE, ADDRESS)
    post.accounts.registrations.register("somebody", email, BASE, ADDRESS)
    post.sweep()


def _ways_to_take(post: Post, email: str, other: Account) -> list[Callable[[], object]]:
    """What an admin may do to give somebody `email`."""
    accounts = post.accounts
    return [
        lambda: accounts.invitations.invite(ADMIN, NewInvitation(email), BASE),
        lambda: post.make_account(email, "twin"),
        lambda: accounts.service.update_account(ADMIN, other.account_id, AccountChanges(email=email)),
    ]


def test_a_twin_that_came_first_keeps_nobody_out(post: Post) -> None:
    """The owner of a plain address gets an account, whatever addresses others have."""
    twin = post.make_account(OTHER_DOMAIN, "twin")
    boss = post.make_account(BOSS, "boss", password="every cloud has its own weather")
    assert admit(post, BOSS).account_id == boss.account_id
    assert admit(post, OTHER_DOMAIN).account_id == twin.account_id
    assert post.outcome_of_sign_in(PASSWORD, BOSS) == "invalid_credentials"
    assert post.outcome_of_sign_in(PASSWORD, "BOSS@XN--groe-firma-73a.de") == "ok"
    post.accounts.service.update_account(ADMIN, twin.account_id, AccountChanges(username="renamed"))


def test_a_sign_up_that_nobody_proved_keeps_no_twin_out(post: Post) -> None:
    post.accounts.registrations.register("stranger", BOSS, BASE, ADDRESS)
    post.sweep()
    assert post.account(BOSS).state is AccountState.UNVERIFIED
    assert admit(post, OTHER_DOMAIN).email == OTHER_DOMAIN


def test_a_username_in_other_letters_finds_nobody(post: Post) -> None:
    post.make_account("kim@example.org", "kim")
    for name in ("\u212aim", "\uff4b\uff49\uff4d", "ki\u217f"):
        assert post.outcome_of_sign_in(PASSWORD, name) == "invalid_credentials"
        assert post.accounts.service.find_by_username(name) is None
        refusal_of(lambda name=name: post.make_account("a@example.org", name), "invalid_request")  # type: ignore[misc]
    assert post.outcome_of_sign_in(PASSWORD, "KIM") == "ok"


def test_two_ways_to_write_one_address_share_their_wait(world: World) -> None:
    throttles = SignInThrottles(name_and_address=Throttle(free=1, longest_seconds=300, forget_seconds=1800))
    accounts = accounts_of(world, throttles=throttles)
    accounts.service.create_account(NewAccount(OTHER_DOMAIN, "boss", password=PASSWORD))
    ways = (OTHER_DOMAIN, "boss@xn--groe-firma-73a.de", "BOSS@XN--GROE-FIRMA-73A.DE")
    outcomes = [outcome_of(lambda way=way: accounts.sign_ins.sign_in(way, "wrong", DEVICE)) for way in ways]  # type: ignore[misc]
    assert outcomes == ["invalid_credentials", "invalid_credentials", "sign_in_throttled"]
