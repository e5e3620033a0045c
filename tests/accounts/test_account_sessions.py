"""Account sessions: refresh tokens renew them, they end on every server, and a list shows their addresses."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import func, select

from letstalk.accounts.account_session_repository import account_sessions, refresh_tokens
from letstalk.accounts.account_sessions import MAX_SESSIONS, _derive_successor
from letstalk.accounts.models import AccountChanges, Device, SessionKind, hash_secret
from letstalk.accounts.services import Accounts
from letstalk.core.errors import InvalidCredentials, InvalidToken, NotFound
from letstalk.db.database import Database
from tests.support.account_services import ADDRESS, DEVICE, ELSEWHERE, PASSWORD, accounts_of, audited, someone
from tests.support.apps import OWNER
from tests.support.world import World, at_once


def is_dead(accounts: Accounts, access_token: str) -> bool:
    try:
        accounts.access_tokens.authenticate(access_token, ADDRESS)
    except InvalidToken:
        return True
    return False


def test_a_refresh_token_gives_the_next_pair_once(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    second = accounts.sessions.refresh(first.refresh_token, DEVICE)
    third = accounts.sessions.refresh(second.refresh_token, DEVICE)
    assert first.session_id == second.session_id == third.session_id
    assert len({first.access_token, second.access_token, third.access_token}) == 3
    assert not is_dead(accounts, third.access_token)


def test_a_spent_refresh_token_ends_the_session(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    apart = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    second = accounts.sessions.refresh(first.refresh_token, DEVICE)
    world.clock.move(21)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(first.refresh_token, DEVICE)
    assert is_dead(accounts, first.access_token)
    assert is_dead(accounts, second.access_token)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(second.refresh_token, DEVICE)
    assert not is_dead(accounts, apart.access_token)
    [event] = audited(world, "session.ended")
    assert event.detail == {"session_id": first.session_id, "reason": "refresh_token_reused"}


def test_a_refresh_whose_response_was_lost_gives_the_same_token_again(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    lost = accounts.sessions.refresh(first.refresh_token, DEVICE)
    for _ in range(2):
        world.clock.move(10)
        again = accounts.sessions.refresh(first.refresh_token, DEVICE)
        assert again.refresh_token == lost.refresh_token
        assert not is_dead(accounts, again.access_token)
    third = accounts.sessions.refresh(again.refresh_token, DEVICE)
    assert third.refresh_token not in (first.refresh_token, lost.refresh_token)
    with world.db.read() as connection:
        assert len(connection.execute(select(refresh_tokens)).all()) == 3
    assert audited(world, "session.ended") == []


@pytest.mark.parametrize("other", [Device(ELSEWHERE, DEVICE.user_agent), Device(ADDRESS, "another program")])
def test_another_client_gets_nothing_again_and_ends_the_session(world: World, other: Device) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    second = accounts.sessions.refresh(first.refresh_token, DEVICE)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(first.refresh_token, other)
    assert is_dead(accounts, second.access_token)


def test_once_the_successor_is_spent_the_one_before_it_ends_the_session(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    second = accounts.sessions.refresh(first.refresh_token, DEVICE)
    third = accounts.sessions.refresh(second.refresh_token, DEVICE)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(first.refresh_token, DEVICE)
    assert is_dead(accounts, third.access_token)


def test_nothing_that_is_stored_gives_the_successor_away_and_its_salt_goes_after_20_seconds(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    first = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    accounts.sessions.refresh(first.refresh_token, DEVICE)

    def salts() -> list[bytes | None]:
        with world.db.read() as connection:
            spent = refresh_tokens.c.spent_at.is_not(None)
            return list(connection.execute(select(refresh_tokens.c.successor_salt).where(spent)).scalars())

    world.clock.move(19)
    accounts.sessions.forget_successors()
    [salt] = salts()
    assert salt is not None
    assert hash_secret(_derive_successor("", salt, DEVICE)) != hash_secret(_derive_successor("x", salt, DEVICE))
    world.clock.move(2)
    accounts.sessions.forget_successors()
    assert salts() == [None]


def test_20_refreshes_at_once_by_one_client_get_the_same_token(db: Database) -> None:
    world = World(db)
    instances = [accounts_of(world) for _ in range(2)]
    instances[0].service.create_account(someone())
    signed_in = instances[0].sign_ins.sign_in("ada", PASSWORD, DEVICE)
    got: list[str] = []
    refreshes = [
        partial(lambda one: got.append(one.sessions.refresh(signed_in.refresh_token, DEVICE).refresh_token), one)
        for one in instances
    ]
    assert at_once([*refreshes] * 10) == ["ok"] * 20
    assert len(set(got)) == 1
    assert instances[0].sessions.refresh(got[0], DEVICE)
    assert audited(world, "session.ended") == []


def test_20_refreshes_at_once_with_one_token_of_strangers_give_one_pair(db: Database) -> None:
    """The others end 401. Each had the one token, so the session is over too: one of them may be a thief."""
    world = World(db)
    instances = [accounts_of(world) for _ in range(2)]
    instances[0].service.create_account(someone())
    signed_in = instances[0].sign_ins.sign_in("ada", PASSWORD, DEVICE)
    devices = [Device(ADDRESS, f"program {number}") for number in range(20)]
    refreshes = [
        partial(instances[number % 2].sessions.refresh, signed_in.refresh_token, device)
        for number, device in enumerate(devices)
    ]
    outcomes = at_once([*refreshes])
    assert sorted(outcomes) == ["invalid_token"] * 19 + ["ok"]
    with db.read() as connection:
        unspent = select(func.count()).where(refresh_tokens.c.spent_at.is_(None))
        assert connection.execute(unspent).scalar_one() == 1
        assert connection.execute(select(account_sessions.c.end_reason)).scalars().all() == ["refresh_token_reused"]


@pytest.mark.parametrize("wrong", ["", "ltr_", "lt_nothing", "x" * 200, "\udcff", "ltr_" + "A" * 43])
def test_what_is_no_refresh_token_is_refused_alike(world: World, wrong: str) -> None:
    with pytest.raises(InvalidToken):
        accounts_of(world).sessions.refresh(wrong, DEVICE)


def test_an_access_token_lives_15_minutes_and_a_refresh_token_7_days(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    world.clock.move(899)
    assert not is_dead(accounts, signed_in.access_token)
    world.clock.move(1)
    assert is_dead(accounts, signed_in.access_token)
    world.clock.move(7 * 86400 - 900 - 1)
    renewed = accounts.sessions.refresh(signed_in.refresh_token, DEVICE)
    world.clock.move(7 * 86400)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(renewed.refresh_token, DEVICE)
    assert accounts.sessions.list_sessions(signed_in.account.account_id) == []


def test_however_often_it_is_renewed_a_session_ends_after_30_days(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    for _ in range(29):
        world.clock.move(86400)
        signed_in = accounts.sessions.refresh(signed_in.refresh_token, DEVICE)
    world.clock.move(86400)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(signed_in.refresh_token, DEVICE)


def test_signing_out_ends_this_session_or_every_one(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    one, two, three = (accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE) for _ in range(3))
    actor = accounts.access_tokens.authenticate(one.access_token, ADDRESS)
    assert accounts.sign_ins.log_out(actor) == 1
    assert [is_dead(accounts, each.access_token) for each in (one, two, three)] == [True, False, False]
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(one.refresh_token, DEVICE)
    actor = accounts.access_tokens.authenticate(two.access_token, ADDRESS)
    assert accounts.sign_ins.log_out(actor, everywhere=True) == 2
    assert [is_dead(accounts, each.access_token) for each in (one, two, three)] == [True, True, True]


def test_a_session_says_from_where_and_by_what_it_was_started(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    device = Device("2001:db8::7", "Mozilla/5.0 \x1b[31m(a browser)" + "x" * 500)
    accounts.sessions.start_session(account.account_id, device, "password")
    accounts.sessions.start_browser_session(account.account_id, DEVICE, "sso")
    browser, api = accounts.sessions.list_sessions(account.account_id)
    assert {browser.kind, api.kind} == {SessionKind.BROWSER, SessionKind.API}
    kinds = {session.kind: session for session in (browser, api)}
    assert kinds[SessionKind.BROWSER].method == "sso"
    shown = kinds[SessionKind.API]
    assert shown.address == "2001:db8::7"
    assert shown.user_agent.startswith("Mozilla/5.0 [31m(a browser)")
    assert len(shown.user_agent) == 300


def test_a_browser_s_cookie_is_worth_nothing_once_its_session_is_over(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    start = partial(accounts.sessions.start_browser_session, account.account_id, DEVICE, "password")
    first, second, third = start(), start(), start()
    found = accounts.sessions.find_browser_session(first, ADDRESS)
    assert found is not None
    actor, who = found
    assert (actor.account_id, who.username, actor.owner_ids) == (account.account_id, "ada", frozenset({"acme"}))
    assert accounts.sessions.end_browser_session(first)
    assert not accounts.sessions.end_browser_session(first)
    assert accounts.sessions.find_browser_session(first, ADDRESS) is None
    world.clock.move(12 * 3600 - 1)
    assert accounts.sessions.find_browser_session(second, ADDRESS) is not None
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=True))
    assert accounts.sessions.find_browser_session(second, ADDRESS) is None
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=False))
    world.clock.move(1)
    assert accounts.sessions.find_browser_session(third, ADDRESS) is None
    with world.db.read() as connection:
        assert first not in repr(connection.execute(select(account_sessions)).all())


def test_only_one_s_own_sessions_can_be_ended(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    accounts.service.create_account(someone("eve"))
    ada = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    eve = accounts.access_tokens.authenticate(accounts.sign_ins.sign_in("eve", PASSWORD, DEVICE).access_token, ADDRESS)
    for wrong in (ada.session_id, "nothing", "", "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10"):
        with pytest.raises(NotFound):
            accounts.sessions.end_session(eve, wrong)
    assert not is_dead(accounts, ada.access_token)


def test_a_disabled_account_starts_no_session_by_any_way(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=True))
    for start in (accounts.sessions.start_session, accounts.sessions.start_browser_session):
        with pytest.raises(InvalidCredentials):
            start(account.account_id, DEVICE, "sso")


def test_when_someone_was_last_seen_is_kept_to_five_minutes(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    started = world.clock()
    world.clock.move(200)
    accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    assert accounts.sessions.list_sessions(account.account_id)[0].last_seen_at == started
    world.clock.move(200)
    accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    assert accounts.sessions.list_sessions(account.account_id)[0].last_seen_at == world.clock()


def test_another_sign_in_ends_the_oldest_of_fifty_sessions(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    start = partial(accounts.sessions.start_browser_session, account.account_id, DEVICE, "password")
    secrets = []
    for _ in range(MAX_SESSIONS + 3):
        world.clock.move(1)
        secrets.append(start())
    assert [accounts.sessions.find_browser_session(one, ADDRESS) is None for one in secrets[:4]] == [True] * 3 + [False]
    assert accounts.sessions.find_browser_session(secrets[-1], ADDRESS) is not None
    assert len(accounts.sessions.list_sessions(account.account_id)) == MAX_SESSIONS
    assert {event.detail["reason"] for event in audited(world, "session.ended")} == {"too_many_sessions"}
    other = accounts.service.create_account(someone("bob"))
    accounts.sessions.start_browser_session(other.account_id, DEVICE, "password")
    assert len(accounts.sessions.list_sessions(account.account_id)) == MAX_SESSIONS, "each account for itself"


def test_sessions_are_listed_in_pages(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    for number in range(7):
        world.clock.move(number % 2)  # some at the same moment
        accounts.sessions.start_session(account.account_id, DEVICE, "password")
    everything = [one.session_id for one in accounts.sessions.list_sessions(account.account_id)]
    found, cursor = list[str](), None
    for expected in (3, 3, 1):
        page = accounts.sessions.page_sessions(account.account_id, limit=3, cursor=cursor)
        assert len(page.sessions) == expected
        found += [one.session_id for one in page.sessions]
        cursor = page.next_cursor
    assert cursor is None
    assert found == everything
    assert len(set(found)) == 7
