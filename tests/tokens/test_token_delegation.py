"""What a token without `admin` may do with tokens: of its own owner, of another owner, and with limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from letstalk.core.actors import Actor
from letstalk.core.errors import InsufficientScope, InvalidToken, NotFound
from letstalk.tokens.models import IssuedToken, NewToken, Token, TokenChanges
from tests.support.token_setup import ADDRESS, OWNER, TokenSetup, make_sqlite_setup

MANAGER = ("read", "write", "tokens:read", "tokens:write")


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[TokenSetup]:
    made = make_sqlite_setup(tmp_path)
    yield made
    made.db.close()


def actor_of(setup: TokenSetup, issued: IssuedToken) -> Actor:
    return setup.service.authenticator.authenticate(issued.secret, ADDRESS)


@pytest.fixture
def manager(setup: TokenSetup) -> Actor:
    """Manages acme's tokens, and is bounded in every way that there is."""
    wanted: dict[str, Any] = {"allowed_ips": (ADDRESS,), "expires_in_seconds": 3600, "rate_limit": "10 per minute"}
    return actor_of(setup, setup.issue(*MANAGER, owner_id="acme", **wanted))


def within(**fields: Any) -> NewToken:
    """A token that `manager` may make, but for `fields`."""
    bounds: dict[str, Any] = {"expires_in_seconds": 3600, "allowed_ips": (ADDRESS,), "rate_limit": "10 per minute"}
    return NewToken(**(bounds | fields))


def test_the_user_id_of_a_token_made_by_a_token_is_its_own(setup: TokenSetup, manager: Actor) -> None:
    assert setup.service.create_token(manager, within()).record.owner_id == "acme"
    assert setup.service.create_token(manager, within(owner_id="acme")).record.owner_id == "acme"


def test_an_admin_token_makes_the_default_user_s_tokens_and_anyone_s(setup: TokenSetup) -> None:
    admin = actor_of(setup, setup.issue("admin", owner_id="acme", expires_in_seconds=60))
    assert setup.service.create_token(admin, NewToken()).record.owner_id == "default_user"
    wide = setup.service.create_token(admin, NewToken(owner_id="other", scopes=("admin",))).record
    assert (wide.owner_id, wide.scopes, wide.expires_at) == ("other", ("admin",), None)


@pytest.mark.parametrize(
    "wider",
    [
        {"owner_id": "other"},
        {"owner_id": "default_user"},
        {"scopes": ("admin",)},
        {"allowed_ips": None},
        {"allowed_ips": (ADDRESS, "203.0.113.8")},
        {"expires_in_seconds": None},
        {"expires_in_seconds": 3601},
        {"rate_limit": None},
        {"rate_limit": "11 per minute"},
        {"rate_limit": "10 per second"},
    ],
)
def test_a_bounded_token_can_make_nothing_wider(setup: TokenSetup, manager: Actor, wider: dict[str, Any]) -> None:
    with pytest.raises(InsufficientScope):
        setup.service.create_token(manager, within(**wider))
    assert len(setup.events("token.created")) == 1


def test_a_bounded_token_can_make_a_narrower_one(setup: TokenSetup, manager: Actor) -> None:
    narrower = within(scopes=("read",), expires_in_seconds=60, rate_limit="10 per day; 11 per second")
    assert setup.service.create_token(manager, narrower).record.scopes == ("read",)


def test_the_default_rate_is_what_no_rate_means(setup: TokenSetup) -> None:
    plain = actor_of(setup, setup.issue(*MANAGER))
    setup.service.create_token(plain, NewToken(rate_limit="600 per minute"))
    with pytest.raises(InsufficientScope):
        setup.service.create_token(plain, NewToken(rate_limit="601 per minute"))


@pytest.mark.parametrize("default_rate", [None, "off"])
def test_with_the_default_rate_off_no_rate_is_no_bound(tmp_path: Path, default_rate: str | None) -> None:
    setup = make_sqlite_setup(tmp_path, default_rate=default_rate)
    plain = actor_of(setup, setup.issue(*MANAGER))
    setup.service.create_token(plain, NewToken(rate_limit="100000 per second"))
    bounded = actor_of(setup, setup.issue(*MANAGER, rate_limit="5 per minute"))
    with pytest.raises(InsufficientScope):
        setup.service.create_token(bounded, NewToken())
    setup.db.close()


@pytest.mark.parametrize(
    "hidden",
    [{"owner_id": "other"}, {"scopes": ("admin",)}],
    ids=["another owner's", "its own owner's, with more scopes"],
)
def test_what_a_token_may_not_manage_does_not_exist_for_it(
    setup: TokenSetup, manager: Actor, hidden: dict[str, Any]
) -> None:
    wanted = {"owner_id": "acme", "scopes": ("read",)} | hidden
    target = setup.service.create_token(OWNER, NewToken(**wanted)).record.token_id
    calls: list[Callable[[], object]] = [
        lambda: setup.service.get_token(manager, target),
        lambda: setup.service.update_token(manager, target, TokenChanges(name="mine")),
        lambda: setup.service.rotate_token(manager, target),
        lambda: setup.service.revoke_token(manager, target),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    page = setup.service.list_tokens(manager, include_revoked=True)
    assert [token.token_id for token in page.tokens] == [manager.token_id]
    untouched = setup.service.get_token(OWNER, target)
    assert (untouched.name, untouched.revoked_at, untouched.successor_id) == (None, None, None)


def test_another_owner_s_list_is_empty(setup: TokenSetup, manager: Actor) -> None:
    setup.issue(owner_id="other")
    assert setup.service.list_tokens(manager, owner_id="other").tokens == ()
    assert len(setup.service.list_tokens(manager, owner_id="acme").tokens) == 1


def test_hidden_tokens_take_no_place_in_a_page(setup: TokenSetup, manager: Actor) -> None:
    for _ in range(3):
        setup.issue("admin", owner_id="acme")
        setup.issue("read", owner_id="acme")
    page = setup.service.list_tokens(manager, limit=4)
    assert len(page.tokens) == 4
    assert page.next_cursor is None


@pytest.mark.parametrize(
    "changes",
    [
        TokenChanges(expires_in_seconds=None),
        TokenChanges(expires_in_seconds=3601),
        TokenChanges(allowed_ips=None),
        TokenChanges(allowed_ips=("203.0.113.0/24",)),
        TokenChanges(rate_limit=None),
        TokenChanges(rate_limit="11 per minute"),
        TokenChanges(scopes=("admin",)),
        TokenChanges(scopes=("read", "write", "tokens:read", "tokens:write", "admin")),
    ],
)
@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_change_can_name_nothing_wider(
    setup: TokenSetup, manager: Actor, changes: TokenChanges, is_bounded: bool
) -> None:
    child = unbounded_child(setup, manager, "read", "write")
    target = setup.service.create_token(manager, within()).record if is_bounded else child
    with pytest.raises(InsufficientScope):
        setup.service.update_token(manager, target.token_id, changes)
    assert setup.service.get_token(OWNER, target.token_id) == target


def test_a_token_cannot_lengthen_its_own_life(setup: TokenSetup, manager: Actor) -> None:
    assert manager.token_id is not None
    setup.clocks.move(60)
    with pytest.raises(InsufficientScope):
        setup.service.update_token(manager, manager.token_id, TokenChanges(expires_in_seconds=3600))
    setup.service.update_token(manager, manager.token_id, TokenChanges(expires_in_seconds=3540))


def unbounded_child(setup: TokenSetup, manager: Actor, *scopes: str) -> Token:
    """A token that `manager` has created, and from which an admin has then taken every limit but its scopes."""
    child = setup.service.create_token(manager, within(scopes=scopes)).record
    changes = TokenChanges(expires_in_seconds=None, allowed_ips=None, rate_limit=None)
    return setup.service.update_token(OWNER, child.token_id, changes)


def test_a_bounded_token_may_rename_and_narrow_one_without_bounds(setup: TokenSetup, manager: Actor) -> None:
    target = unbounded_child(setup, manager, "read", "write")
    narrower = TokenChanges(name="renamed", scopes=("read",), expires_in_seconds=60)
    after = setup.service.update_token(manager, target.token_id, narrower)
    assert (after.name, after.scopes, after.allowed_ips) == ("renamed", ("read",), ())


def test_a_bounded_token_cannot_add_a_scope_to_one_without_bounds(setup: TokenSetup, manager: Actor) -> None:
    target = unbounded_child(setup, manager, "read")
    with pytest.raises(InsufficientScope):
        setup.service.update_token(manager, target.token_id, TokenChanges(scopes=("read", "write")))
    bounds = within()
    every_bound = TokenChanges(
        scopes=("read", "write"),
        expires_in_seconds=bounds.expires_in_seconds,
        allowed_ips=bounds.allowed_ips,
        rate_limit=bounds.rate_limit,
    )
    assert setup.service.update_token(manager, target.token_id, every_bound).scopes == ("read", "write")


def test_a_bounded_token_cannot_rotate_one_without_bounds_into_its_own_hands(setup: TokenSetup, manager: Actor) -> None:
    target = unbounded_child(setup, manager, "read")
    with pytest.raises(InsufficientScope):
        setup.service.rotate_token(manager, target.token_id)
    assert setup.service.get_token(OWNER, target.token_id) == target


def test_a_token_may_rotate_itself_and_what_it_made(setup: TokenSetup, manager: Actor) -> None:
    child = setup.service.create_token(manager, within()).record
    setup.service.rotate_token(manager, child.token_id)
    assert manager.token_id is not None
    successor = setup.service.rotate_token(manager, manager.token_id)
    assert actor_of(setup, successor).scopes == manager.scopes


def test_a_bounded_token_may_revoke_what_it_created(setup: TokenSetup, manager: Actor) -> None:
    target = unbounded_child(setup, manager, "read")
    assert setup.service.revoke_token(manager, target.token_id).revoked_at is not None


def test_a_token_that_was_revoked_a_moment_ago_creates_nothing_on_another_instance(
    setup: TokenSetup, manager: Actor
) -> None:
    """Where it is still cached: what it created there would outlive its revocation with all that came of it."""
    setup.service.revoke_token(OWNER, manager.token_id or "", cascade=True)
    with pytest.raises(InvalidToken):
        setup.another_instance().create_token(manager, within())
    assert len(setup.events("token.created")) == 1


def test_a_token_that_was_replaced_a_moment_ago_creates_none_that_outlives_it(setup: TokenSetup) -> None:
    cached = actor_of(setup, setup.issue(*MANAGER, owner_id="acme"))
    setup.service.rotate_token(OWNER, cached.token_id or "", 60)
    with pytest.raises(InsufficientScope, match="expires_in"):
        setup.another_instance().create_token(cached, NewToken(scopes=("read",)))
    setup.another_instance().create_token(cached, NewToken(scopes=("read",), expires_in_seconds=60))


def test_every_token_can_see_itself(setup: TokenSetup) -> None:
    issued = setup.issue("otp:send", owner_id="acme")
    assert setup.service.get_current_token(actor_of(setup, issued)).token_id == issued.record.token_id
    with pytest.raises(NotFound):
        setup.service.get_current_token(OWNER)
