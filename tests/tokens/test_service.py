"""Creating, listing, changing, rotating and revoking tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from letstalk.core.errors import Conflict, InvalidRequest, InvalidToken, LetsTalkError, NotFound
from letstalk.tokens.models import IssuedToken, NewToken, TokenChanges, parse_token
from tests.support.token_setup import ADDRESS, NOON, OWNER, TokenSetup, make_setup, make_sqlite_setup

DAY = 86400


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[TokenSetup]:
    made = make_sqlite_setup(tmp_path)
    yield made
    made.db.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenSetup]:
    is_sqlite = request.param == "sqlite"
    made = make_sqlite_setup(tmp_path) if is_sqlite else make_setup(request.getfixturevalue("migrated_postgresql_url"))
    yield made
    made.db.close()


def listed(setup: TokenSetup, **wanted: object) -> list[str]:
    return [token.token_id for token in setup.service.list_tokens(OWNER, **wanted).tokens]  # type: ignore[arg-type]


def works(setup: TokenSetup, issued: IssuedToken) -> bool:
    try:
        setup.another_instance().authenticator.authenticate(issued.secret, ADDRESS)
    except InvalidToken:
        return False
    return True


def test_a_plain_token_has_the_defaults(setup: TokenSetup) -> None:
    issued = setup.service.create_token(OWNER, NewToken())
    record = issued.record
    assert (record.owner_id, record.scopes, record.name) == ("default_user", ("read", "write"), None)
    assert (record.allowed_ips, record.rate_limit, record.expires_at, record.created_at) == ((), None, None, NOON)
    assert issued.secret.startswith(record.prefix + "_")
    assert parse_token(issued.secret) is not None
    assert setup.service.get_token(OWNER, record.token_id) == record


def test_a_token_is_all_that_was_asked_for(setup: TokenSetup) -> None:
    wanted = NewToken(
        owner_id="acme",
        scopes=("read", "otp:send", "read"),
        name=" shop ",
        expires_in_seconds=60,
        allowed_ips=("10.0.0.0/8", "::ffff:10.0.0.0/104"),
        rate_limit="5  per minute;10 per day",
    )
    record = setup.service.create_token(OWNER, wanted).record
    assert (record.owner_id, record.scopes, record.name) == ("acme", ("read", "otp:send"), "shop")
    assert record.expires_at == NOON + timedelta(seconds=60)
    assert (record.allowed_ips, record.rate_limit) == (("10.0.0.0/8",), "5 per minute;10 per day")
    assert setup.service.get_token(OWNER, record.token_id) == record


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (NewToken(scopes=()), "scopes"),
        (NewToken(scopes=("everything",)), "scopes"),
        (NewToken(owner_id=""), "user_id"),
        (NewToken(owner_id="a\0b"), "user_id"),
        (NewToken(name=""), "name"),
        (NewToken(name="x" * 101), "name"),
        (NewToken(expires_in_seconds=0), "expires_in"),
        (NewToken(expires_in_seconds=10 * 365 * DAY + 1), "expires_in"),
        (NewToken(allowed_ips=()), "allowed_ips"),
        (NewToken(allowed_ips=("here",)), "allowed_ips"),
        (NewToken(rate_limit="often"), "rate_limit"),
        (NewToken(rate_limit="off"), "rate_limit"),
        (NewToken(rate_limit="0 per minute"), "rate_limit"),
        (NewToken(rate_limit="5 per minute; 3 per fortnight"), "rate_limit"),
    ],
)
def test_a_wrong_field_is_named_and_no_token_is_made(setup: TokenSetup, wanted: NewToken, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        setup.service.create_token(OWNER, wanted)
    assert [detail.field for detail in caught.value.details] == [field]
    assert listed(setup) == []
    assert setup.events() == []


def test_a_list_is_newest_first_and_leaves_out_the_dead_unless_asked(setup: TokenSetup) -> None:
    first = setup.issue().record.token_id
    setup.clocks.move(1)
    second = setup.issue(owner_id="acme").record.token_id
    dead = setup.issue().record.token_id
    short = setup.issue(expires_in_seconds=1).record.token_id
    setup.service.revoke_token(OWNER, dead)
    setup.clocks.move(1)
    assert listed(setup) == [second, first]
    assert set(listed(setup, include_revoked=True)) == {first, second, dead, short}
    assert listed(setup, owner_id="acme") == [second]
    assert listed(setup, owner_id="nobody") == []


def test_pages_hold_every_token_once(setup: TokenSetup) -> None:
    made = {setup.issue().record.token_id for _ in range(7)}
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = setup.service.list_tokens(OWNER, limit=2, cursor=cursor)
        seen += [token.token_id for token in page.tokens]
        cursor = page.next_cursor
    assert cursor is None
    assert sorted(seen) == sorted(made)


def test_a_full_last_page_says_that_it_is_the_last(setup: TokenSetup) -> None:
    setup.issue()
    setup.issue()
    assert setup.service.list_tokens(OWNER, limit=2).next_cursor is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"cursor": "x"}, "cursor"), ({"owner_id": "\0"}, "user_id")],
)
def test_a_list_that_cannot_be_is_refused(setup: TokenSetup, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        listed(setup, **wrong)
    assert caught.value.details[0].field == field


def test_a_search_finds_names_owners_and_prefixes(setup: TokenSetup) -> None:
    issued = setup.issue(name="Checkout", owner_id="acme")
    setup.issue(name="other")
    for search in ("check", "ACME", issued.record.prefix, issued.record.lookup_id[:6], issued.secret, " acme "):
        assert listed(setup, search=search) == [issued.record.token_id]
    assert len(listed(setup, search="")) == len(listed(setup, search="lt_")) == 2
    assert listed(setup, search="nowhere") == []


@pytest.mark.parametrize("token_id", ["0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11", "no-id", "", "\0", "x" * 500])
def test_what_does_not_exist_is_not_found(setup: TokenSetup, token_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: setup.service.get_token(OWNER, token_id),
        lambda: setup.service.update_token(OWNER, token_id, TokenChanges(name="x")),
        lambda: setup.service.rotate_token(OWNER, token_id),
        lambda: setup.service.revoke_token(OWNER, token_id),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


def test_a_change_changes_what_it_names_and_nothing_else(setup: TokenSetup) -> None:
    before = setup.issue(name="old", owner_id="acme", allowed_ips=("10.0.0.1",), rate_limit="5 per day").record
    after = setup.service.update_token(OWNER, before.token_id, TokenChanges(name="new", expires_in_seconds=60))
    assert after == replace(before, name="new", expires_at=NOON + timedelta(seconds=60))
    assert setup.service.get_token(OWNER, before.token_id) == after


def test_null_clears_a_field(setup: TokenSetup) -> None:
    full = {"name": "n", "expires_in_seconds": 60, "allowed_ips": ("10.0.0.1",), "rate_limit": "5 per day"}
    before = setup.issue(**full).record
    cleared = TokenChanges(name=None, expires_in_seconds=None, allowed_ips=None, rate_limit=None)
    after = setup.service.update_token(OWNER, before.token_id, cleared)
    assert after == replace(before, name=None, expires_at=None, allowed_ips=(), rate_limit=None)


def test_a_change_of_nothing_leaves_no_trace(setup: TokenSetup) -> None:
    before = setup.issue().record
    assert setup.service.update_token(OWNER, before.token_id, TokenChanges()) == before
    assert setup.events("token.updated") == []


@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_dead_token_can_be_neither_changed_nor_rotated(setup: TokenSetup, is_revoked: bool) -> None:
    token_id = setup.issue(expires_in_seconds=60).record.token_id
    if is_revoked:
        setup.service.revoke_token(OWNER, token_id)
    setup.clocks.move(0 if is_revoked else 60)
    with pytest.raises(Conflict) as caught:
        setup.service.update_token(OWNER, token_id, TokenChanges(expires_in_seconds=600))
    assert caught.value.code == "token_inactive"
    with pytest.raises(Conflict) as caught:
        setup.service.rotate_token(OWNER, token_id)
    assert caught.value.code == "token_inactive"


def test_a_rotation_makes_a_token_alike_and_leaves_the_old_one_its_grace(setup: TokenSetup) -> None:
    wanted = {"name": "n", "owner_id": "acme", "allowed_ips": ("203.0.113.7",), "rate_limit": "5 per day"}
    old = setup.issue("read", **wanted, expires_in_seconds=DAY)
    new = setup.service.rotate_token(OWNER, old.record.token_id, 100)
    same = replace(
        old.record, token_id=new.record.token_id, lookup_id=new.record.lookup_id, created_at=new.record.created_at
    )
    assert new.record == same
    assert new.record.token_id != old.record.token_id
    after = setup.service.get_token(OWNER, old.record.token_id)
    assert (after.expires_at, after.successor_id) == (NOON + timedelta(seconds=100), new.record.token_id)
    assert works(setup, old)
    assert works(setup, new)
    setup.clocks.move(100)
    assert not works(setup, old)
    assert works(setup, new)


def test_a_grace_never_makes_a_life_longer(setup: TokenSetup) -> None:
    old = setup.issue(expires_in_seconds=10)
    setup.service.rotate_token(OWNER, old.record.token_id, 3600)
    assert setup.service.get_token(OWNER, old.record.token_id).expires_at == NOON + timedelta(seconds=10)


def test_without_a_grace_the_old_token_is_dead_at_once(setup: TokenSetup) -> None:
    old = setup.issue()
    setup.service.authenticator.authenticate(old.secret, ADDRESS)
    setup.service.rotate_token(OWNER, old.record.token_id, 0)
    with pytest.raises(InvalidToken):
        setup.service.authenticator.authenticate(old.secret, ADDRESS)


@pytest.mark.parametrize("grace_seconds", [-1, 604801])
def test_a_grace_out_of_range_is_refused(setup: TokenSetup, grace_seconds: int) -> None:
    token_id = setup.issue().record.token_id
    with pytest.raises(InvalidRequest):
        setup.service.rotate_token(OWNER, token_id, grace_seconds)
    assert setup.service.get_token(OWNER, token_id).successor_id is None


def test_a_token_is_rotated_once(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    setup.service.rotate_token(OWNER, token_id)
    with pytest.raises(Conflict) as caught:
        setup.service.rotate_token(OWNER, token_id)
    assert caught.value.code == "already_rotated"
    assert len(listed(setup)) == 2


def test_of_parallel_rotations_one_wins(any_setup: TokenSetup) -> None:
    token_id = any_setup.issue().record.token_id
    won: list[IssuedToken] = []
    lost: list[str] = []
    barrier = threading.Barrier(8)

    def rotate() -> None:
        service = any_setup.another_instance()
        barrier.wait()
        try:
            won.append(service.rotate_token(OWNER, token_id))
        except LetsTalkError as error:
            lost.append(error.code)

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == ["already_rotated"] * 7
    assert any_setup.service.get_token(OWNER, token_id).successor_id == won[0].record.token_id
    assert len(listed(any_setup, include_revoked=True)) == 2


def test_a_rotated_token_can_be_shortened_and_not_lengthened(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    setup.service.rotate_token(OWNER, token_id, 100)
    for longer in (101, None):
        with pytest.raises(Conflict) as caught:
            setup.service.update_token(OWNER, token_id, TokenChanges(expires_in_seconds=longer))
        assert caught.value.code == "already_rotated"
    after = setup.service.update_token(OWNER, token_id, TokenChanges(expires_in_seconds=50, name="leaving"))
    assert (after.expires_at, after.name) == (NOON + timedelta(seconds=50), "leaving")


def test_a_revocation_can_be_repeated_and_keeps_the_record(setup: TokenSetup) -> None:
    token_id = setup.issue().record.token_id
    first = setup.service.revoke_token(OWNER, token_id)
    setup.clocks.move(5)
    assert setup.service.revoke_token(OWNER, token_id) == first
    assert setup.service.get_token(OWNER, token_id).revoked_at == NOON
    assert len(setup.events("token.revoked")) == 1


def test_revoking_a_successor_ends_the_grace_of_all_before_it(any_setup: TokenSetup) -> None:
    first = any_setup.issue()
    second = any_setup.service.rotate_token(OWNER, first.record.token_id, 1000)
    third = any_setup.service.rotate_token(OWNER, second.record.token_id, 1000)
    bystander = any_setup.issue()
    for issued in (first, second, third):
        any_setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    any_setup.service.revoke_token(OWNER, third.record.token_id)
    for issued in (first, second, third):
        with pytest.raises(InvalidToken):
            any_setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    assert works(any_setup, bystander)
    with pytest.raises(Conflict):
        any_setup.service.update_token(OWNER, first.record.token_id, TokenChanges(expires_in_seconds=600))


def test_revoking_the_old_token_leaves_its_successor_alone(setup: TokenSetup) -> None:
    old = setup.issue()
    new = setup.service.rotate_token(OWNER, old.record.token_id)
    setup.service.revoke_token(OWNER, old.record.token_id)
    assert not works(setup, old)
    assert works(setup, new)
