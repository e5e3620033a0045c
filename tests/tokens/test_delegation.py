"""Delegation: a token can't give more than it has in any field, and may give less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from letstalk.accounts.models import Account, AccountState, Role, person_actor
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.core.errors import InsufficientScope, NotGranted
from letstalk.core.rates import Rate, are_within
from letstalk.core.scopes import SCOPE_NAMES, expand_scopes
from letstalk.tokens.delegation import Grant, ensure_not_wider, is_wider, may_manage, may_see
from letstalk.tokens.models import Token

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SOON = NOON + timedelta(hours=1)
A_RATE = (Rate(100, 60), Rate(1000, 86400))

ACTOR = Actor(
    kind=ActorKind.TOKEN,
    owner_id="acme",
    scopes=expand_scopes(["read", "otp:send", "tokens:write"]),
    token_id="an-id",
    allowed_ips=("10.0.0.0/8",),
    expires_at=SOON,
)
SAME = Grant("acme", ("read", "otp:send", "tokens:write"), ("10.0.0.0/8",), SOON, A_RATE)


@pytest.mark.parametrize(
    ("wider", "field", "required"),
    [
        ({"owner_id": "other"}, "user_id", ("admin",)),
        ({"scopes": ("read", "write")}, "scopes", ("calls:cancel", "otp:replay", "otp:verify")),
        ({"scopes": ("tokens:read",)}, "scopes", ("tokens:read",)),
        ({"scopes": ("admin",)}, "scopes", ("admin",)),
        ({"allowed_ips": ()}, "allowed_ips", ("admin",)),
        ({"allowed_ips": ("10.0.0.1", "11.0.0.1")}, "allowed_ips", ("admin",)),
        ({"allowed_ips": ("0.0.0.0/0",)}, "allowed_ips", ("admin",)),
        ({"expires_at": None}, "expires_in", ("admin",)),
        ({"expires_at": SOON + timedelta(microseconds=1)}, "expires_in", ("admin",)),
        ({"rate": ()}, "rate_limit", ("admin",)),
        ({"rate": (Rate(101, 60), Rate(1000, 86400))}, "rate_limit", ("admin",)),
        ({"rate": (Rate(100, 59), Rate(1000, 86400))}, "rate_limit", ("admin",)),
        ({"rate": (Rate(100, 60),)}, "rate_limit", ("admin",)),
    ],
)
def test_nothing_wider_can_be_given(wider: dict[str, Any], field: str, required: tuple[str, ...]) -> None:
    with pytest.raises(InsufficientScope, match=f"^{field}: ") as caught:
        ensure_not_wider(ACTOR, replace(SAME, **wider), actor_rate=A_RATE)
    assert caught.value.required_scopes == required


@pytest.mark.parametrize(
    "narrower",
    [
        {},
        {"scopes": ("calls:read",)},
        {"allowed_ips": ("10.1.0.0/16", "10.2.3.4")},
        {"expires_at": SOON - timedelta(seconds=1)},
        {"rate": (Rate(10, 60), Rate(1000, 86400))},
        {"rate": (Rate(100, 86400),)},
        {"rate": (*A_RATE, Rate(1, 1))},
    ],
)
def test_the_same_or_less_can_be_given(narrower: dict[str, Any]) -> None:
    ensure_not_wider(ACTOR, replace(SAME, **narrower), actor_rate=A_RATE)
    assert not is_wider(replace(SAME, **narrower), SAME)


def test_whoever_has_no_bounds_may_give_none() -> None:
    unbounded = replace(ACTOR, allowed_ips=(), expires_at=None)
    ensure_not_wider(unbounded, replace(SAME, allowed_ips=(), expires_at=None, rate=()), actor_rate=())


@pytest.mark.parametrize(
    "admin",
    [
        trusted_actor(ActorKind.OWNER),
        trusted_actor(ActorKind.LOOPBACK),
        replace(ACTOR, scopes=expand_scopes(["admin"])),
    ],
)
def test_an_admin_may_give_anything(admin: Actor) -> None:
    ensure_not_wider(admin, Grant("other", ("admin",), (), None, ()), actor_rate=A_RATE)


@pytest.mark.parametrize(
    "wider", [{"scopes": ("admin",)}, {"allowed_ips": ()}, {"expires_at": None}, {"rate": (Rate(101, 60),)}]
)
def test_one_wider_bound_makes_the_whole_wider(wider: dict[str, Any]) -> None:
    assert is_wider(replace(SAME, **wider), SAME)


def test_fewer_in_a_longer_time_is_within_and_nothing_else() -> None:
    assert Rate(5, 60).is_within(Rate(5, 60))
    assert Rate(4, 61).is_within(Rate(5, 60))
    assert not Rate(6, 600).is_within(Rate(5, 60))
    assert not Rate(5, 59).is_within(Rate(5, 60))
    assert are_within((), ())
    assert not are_within((), (Rate(5, 60),))


def _token(owner_id: str, *scopes: str) -> Token:
    return Token("id", "abcdefghijkl", owner_id, None, scopes, (), None, NOON, None)


def test_a_token_manages_its_owner_s_tokens_within_its_own_scopes() -> None:
    assert may_manage(ACTOR, _token("acme", "read"))
    assert may_manage(ACTOR, _token("acme", "calls:read", "tokens:write"))
    assert not may_manage(ACTOR, _token("acme", "read", "write"))
    assert not may_manage(ACTOR, _token("other", "read"))
    assert may_manage(trusted_actor(ActorKind.OWNER), _token("other", "admin"))


def test_the_hidden_scopes_are_those_that_the_actor_lacks() -> None:
    assert set(ACTOR.hidden_scopes) == set(SCOPE_NAMES) - {"read", "calls:read", "otp:send", "tokens:write"}
    assert trusted_actor(ActorKind.OWNER).hidden_scopes == ()


def a_person(role: Role, *owner_ids: str) -> Actor:
    account = Account("id", "ada", "ada@example.com", role, AccountState.ACTIVE, None, owner_ids, NOON)
    return person_actor(account, "session")


def test_a_person_hands_on_only_what_their_role_holds_and_only_for_owners_granted() -> None:
    developer = a_person(Role.DEVELOPER, "acme", "globex")
    for owner_id in ("acme", "globex"):
        ensure_not_wider(developer, replace(SAME, owner_id=owner_id, expires_at=None), actor_rate=A_RATE)
    with pytest.raises(NotGranted):
        ensure_not_wider(developer, replace(SAME, owner_id="other"), actor_rate=A_RATE)
    with pytest.raises(InsufficientScope):
        ensure_not_wider(developer, replace(SAME, scopes=("admin",)), actor_rate=A_RATE)
    with pytest.raises(InsufficientScope):
        ensure_not_wider(a_person(Role.VIEWER, "acme"), SAME, actor_rate=A_RATE)
    ensure_not_wider(a_person(Role.ADMIN), replace(SAME, owner_id="other", scopes=("admin",)), actor_rate=A_RATE)


def test_a_person_sees_every_token_of_their_owners_and_changes_those_within_their_role() -> None:
    developer, viewer = a_person(Role.DEVELOPER, "acme"), a_person(Role.VIEWER, "acme")
    for scopes, may_change in ((("read", "write"), True), (("admin",), False)):
        token = Token("id", "l" * 12, "acme", None, scopes, (), None, NOON, None)
        assert may_see(developer, token)
        assert may_see(viewer, token)
        assert may_manage(developer, token) == may_change
        assert not may_manage(viewer, token)
        assert not may_see(developer, replace(token, owner_id="other"))
    assert viewer.hidden_scopes == ()
    assert developer.visible_owners == frozenset({"acme"})
    assert ACTOR.visible_owners == frozenset({"acme"})
    assert a_person(Role.ADMIN).visible_owners is None
