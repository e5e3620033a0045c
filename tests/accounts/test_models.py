"""Roles, usernames, e-mail addresses and grants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from letstalk.accounts.models import (
    SECOND_FACTOR_OWNER_ID,
    Account,
    AccountState,
    Role,
    check_email,
    check_grants,
    check_role,
    check_username,
    person_actor,
    scopes_of,
)
from letstalk.core.actors import Actor, ActorKind, check_owner_id, trusted_actor
from letstalk.core.errors import InvalidRequest, NotGranted
from letstalk.core.scopes import ALL_SCOPES, Scope

ADA = Account(
    account_id="3d0e9d0a-51a4-4a51-9d54-0c8f3b1f7a21",
    username="ada",
    email="ada@example.com",
    role=Role.DEVELOPER,
    state=AccountState.ACTIVE,
    phone=None,
    owner_ids=("acme", "globex"),
    created_at=datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
)


def actor(role: Role, *owner_ids: str) -> Actor:
    return person_actor(replace(ADA, role=role, owner_ids=owner_ids), "session")


def test_each_role_holds_what_it_should_and_no_more() -> None:
    assert scopes_of(Role.ADMIN) == ALL_SCOPES
    assert scopes_of(Role.DEVELOPER) == ALL_SCOPES - {Scope.ADMIN}
    assert scopes_of(Role.VIEWER) == {Scope.CALLS_READ, Scope.TOKENS_READ}


def test_a_person_reaches_what_was_granted_an_admin_everything_a_token_its_own() -> None:
    developer, admin = actor(Role.DEVELOPER, "acme"), actor(Role.ADMIN)
    token = Actor(kind=ActorKind.TOKEN, owner_id="acme", scopes=scopes_of(Role.VIEWER))
    assert [who.reaches("acme") for who in (developer, admin, token)] == [True, True, True]
    assert [who.reaches("globex") for who in (developer, admin, token)] == [False, True, False]
    assert not actor(Role.VIEWER).reaches("")


def test_with_one_grant_a_person_acts_for_it() -> None:
    one = actor(Role.VIEWER, "acme")
    assert one.act_for(None).owner_id == one.act_for("acme").owner_id == "acme"
    with pytest.raises(NotGranted):
        one.act_for("globex")


def test_with_several_grants_a_person_must_say_for_which_they_act() -> None:
    several = actor(Role.DEVELOPER, "acme", "globex")
    assert several.act_for("globex").owner_id == "globex"
    with pytest.raises(InvalidRequest) as refusal:
        several.act_for(None)
    assert refusal.value.details[0].field == "X-User-Id"
    with pytest.raises(NotGranted):
        several.act_for("initech")


def test_without_a_grant_a_person_acts_for_nobody() -> None:
    with pytest.raises(NotGranted):
        actor(Role.DEVELOPER).act_for(None)


def test_an_admin_acts_for_the_default_owner_until_they_name_another() -> None:
    admin = actor(Role.ADMIN, "acme")
    assert admin.act_for(None).owner_id == "default_user"
    assert admin.act_for("initech").owner_id == "initech"
    assert trusted_actor(ActorKind.OWNER).act_for(None).owner_id == "default_user"


@pytest.mark.parametrize("name", ["ada", "Ada.Lovelace", "a1", "x-2_3", "a" * 64])
def test_a_username_is_plain(name: str) -> None:
    assert check_username(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "a" * 65, "ada@example.com", "ada lovelace", "-ada", "\u0430da", "ada\n", "é2"]
)
def test_a_username_that_could_be_taken_for_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_username(name)


@pytest.mark.parametrize("email", ["ada@example.com", "Ada+x@Sub.Example.com", "ädä@exämple.de"])
def test_an_email_address_is_kept_as_it_is_given(email: str) -> None:
    assert check_email(f" {email} ") == email


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "ada@", "@example.com", "a@b", "a b@c.de", "a@b.c\nBcc: x@y.z", "a@b@c.de", "a@b.c,d@e.fg"),
        *("<a@b.cd>", "a" * 250 + "@b.cd", "a\u200b@b.cd"),
        *("a@\uff42.cd", "a@o\ufb03ce.de", "a@nº.es", "a@BÜRO.de", "a@bu\u0308ro.de", "a@b\u3002c.de", "a@xn--a.de"),
    ],
)
def test_what_can_be_no_address_or_two_is_refused(email: str) -> None:
    with pytest.raises(InvalidRequest):
        check_email(email)


def test_grants_are_a_set_of_real_owners() -> None:
    assert check_grants(["b", "a", "b"]) == ("a", "b")
    for wrong in (["x" * 129], [" "], [str(number) for number in range(101)], [SECOND_FACTOR_OWNER_ID]):
        with pytest.raises(InvalidRequest):
            check_grants(wrong)


def test_our_own_owner_is_nobody_else_s() -> None:
    with pytest.raises(InvalidRequest):
        check_owner_id(SECOND_FACTOR_OWNER_ID)
    assert check_owner_id("letstalk") == "letstalk"


def test_an_unknown_role_is_refused() -> None:
    assert check_role("viewer") is Role.VIEWER
    with pytest.raises(InvalidRequest):
        check_role("root")
