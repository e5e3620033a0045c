"""Signing in with a password: who may, who may not, and who must wait."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import SystemRandom
from time import perf_counter

import pytest
from sqlalchemy import func, select

from letstalk.accounts import repository as account_storage
from letstalk.accounts.models import AccountChanges, AccountState, Device
from letstalk.accounts.passwords import PLACES_FOR_STRANGERS, RETRY_SECONDS, PasswordRules
from letstalk.accounts.sign_in_throttles import sign_in_failures
from letstalk.core.errors import (
    InvalidCredentials,
    InvalidToken,
    LetsTalkError,
    TooManyRequests,
    Unavailable,
    WeakPassword,
    WrongPassword,
)
from letstalk.db.database import Database
from tests.support.account_services import (
    ADDRESS,
    DEVICE,
    ELSEWHERE,
    OTHER_PASSWORD,
    PASSWORD,
    UNTHROTTLED,
    accounts_of,
    audited,
    give_everyone_a_place,
    someone,
)
from tests.support.apps import OWNER
from tests.support.world import World, at_once, outcome_of
from tools.attacks.timing import compare

TRIES = 1000


def refusal(action: Callable[[], object]) -> LetsTalkError:
    with pytest.raises(LetsTalkError) as caught:
        action()
    return caught.value


def test_a_name_or_an_address_in_any_case_and_the_password_open_a_session(world: World) -> None:
    accounts = accounts_of(world)
    account = accounts.service.create_account(someone())
    for name in ("ada", "ADA", "ada@example.com", "Ada@Example.com", " ada "):
        signed_in = accounts.sign_ins.sign_in(name, PASSWORD, DEVICE)
        actor = accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
        assert actor.account_id == account.account_id == signed_in.account.account_id
        assert signed_in.expires_in_seconds == 900
    found = accounts.service.find(account.account_id)
    assert found is not None
    assert found.last_signed_in_at == world.clock()


def test_every_reason_not_to_let_someone_in_sounds_the_same(world: World) -> None:
    accounts = accounts_of(world)
    service = accounts.service
    service.create_account(someone())
    disabled = service.create_account(someone("eve"))
    service.update_account(OWNER, disabled.account_id, AccountChanges(disabled=True))
    service.create_account(someone("guest", password=None))
    tried = [("ada", "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD), ("guest", PASSWORD), ("guest", "")]
    tried += [("", PASSWORD), ("ada\0", PASSWORD), ("x" * 300, PASSWORD), ("ada", PASSWORD.upper())]
    texts = set()
    for number, (name, password) in enumerate(tried):
        error = refusal(lambda: accounts.sign_ins.sign_in(name, password, Device(f"203.0.113.{number}")))  # noqa: B023
        assert isinstance(error, InvalidCredentials)
        texts.add((error.code, error.message))
    assert len(texts) == 1
    assert audited(world, "session.started") == []


def test_who_has_not_proven_the_address_is_told_nothing_of_it(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone(state=AccountState.UNVERIFIED))
    errors = [refusal(lambda it=it: accounts.sign_ins.sign_in("ada", it, DEVICE)) for it in ("wrong", PASSWORD)]  # type: ignore[misc]
    assert {(type(error), error.message) for error in errors} == {(InvalidCredentials, errors[0].message)}


@pytest.mark.timing
def test_unknown_names_and_wrong_passwords_cannot_be_told_apart_by_time(sqlite_db: Database) -> None:
    """1,000 tries of each, in turn by chance; the same statistics as those of the attack suite."""
    world = World(sqlite_db)
    accounts = accounts_of(world, scrypt="scrypt:256:8:1", throttles=UNTHROTTLED)
    accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    order = SystemRandom()
    taken: dict[str, list[float]] = {"ada": [], "nobody": []}
    for number in range(TRIES + 20):
        for name in order.sample(sorted(taken), 2):
            started = perf_counter()
            with pytest.raises(InvalidCredentials):
                accounts.sign_ins.sign_in(name, f"wrong {number:04d}", DEVICE)
            if number >= 20:
                taken[name].append(perf_counter() - started)
    difference = compare(taken["ada"], taken["nobody"])
    assert not difference.alarms, difference
    assert abs(difference.share) < 0.05, difference


def test_failures_from_one_address_wait_longer_and_longer_also_for_names_that_nobody_has(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    waits: dict[str, list[int]] = {}
    for name, address in (("ada", ADDRESS), ("nobody", ELSEWHERE)):
        waits[name] = []
        for _ in range(12):
            error = refusal(lambda: accounts.sign_ins.sign_in(name, "wrong", Device(address)))  # noqa: B023
            while isinstance(error, TooManyRequests):
                assert error.code == "sign_in_throttled"
                assert error.retry_after_seconds is not None
                waits[name].append(error.retry_after_seconds)
                world.clock.move(error.retry_after_seconds)
                error = refusal(lambda: accounts.sign_ins.sign_in(name, "wrong", Device(address)))  # noqa: B023
    assert waits["ada"] == waits["nobody"] == [1, 2, 4, 8, 16, 32, 64]


def test_while_someone_must_wait_even_the_right_password_is_not_looked_at(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    for _ in range(5):
        refusal(lambda: accounts.sign_ins.sign_in("ada", "wrong", DEVICE))
    assert isinstance(refusal(lambda: accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)), TooManyRequests)
    world.clock.move(1)
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    # What was right clears the failures of that name from there.
    for _ in range(4):
        assert isinstance(refusal(lambda: accounts.sign_ins.sign_in("ada", "wrong", DEVICE)), InvalidCredentials)


def test_an_attacker_elsewhere_cannot_keep_the_owner_of_an_account_out(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    for number in range(300):
        refusal(lambda: accounts.sign_ins.sign_in("ada", "guess", Device(f"192.0.2.{number % 250}")))  # noqa: B023
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_guessing_from_many_addresses_is_slowed_down_for_those_that_are_strange(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    outcomes = [
        refusal(lambda: accounts.sign_ins.sign_in("ada", "guess", Device(f"192.0.2.{number}"))).code  # noqa: B023
        for number in range(60)
    ]
    assert outcomes.count("invalid_credentials") == 21
    longest = refusal(lambda: accounts.sign_ins.sign_in("ada", "guess", Device("192.0.2.99"))).retry_after_seconds
    assert longest is not None
    assert longest <= 60


def test_one_address_that_tries_many_names_is_slowed_down(world: World) -> None:
    accounts = accounts_of(world)
    outcomes = [
        refusal(lambda: accounts.sign_ins.sign_in(f"name-{number}", "guess", DEVICE)).code  # noqa: B023
        for number in range(60)
    ]
    assert outcomes.count("invalid_credentials") == 21


def test_the_addresses_of_one_household_are_one(world: World) -> None:
    accounts = accounts_of(world)
    outcomes = [
        refusal(lambda: accounts.sign_ins.sign_in("ada", "guess", Device(f"2001:db8:1:2::{number}"))).code  # noqa: B023
        for number in range(8)
    ]
    assert outcomes.count("invalid_credentials") == 5


def test_tries_at_once_cannot_share_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    give_everyone_a_place(monkeypatch)
    world = World(db)
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    outcomes = at_once([lambda: accounts.sign_ins.sign_in("ada", "wrong", DEVICE)] * 20)
    assert sorted(set(outcomes)) == ["invalid_credentials", "sign_in_throttled"]
    assert outcomes.count("invalid_credentials") == 5


def test_who_signs_in_over_and_over_is_slowed_down_and_nobody_else_is(world: World) -> None:
    accounts = accounts_of(world)
    for name in ("mallory", "ada"):
        accounts.service.create_account(someone(name))
    sign_in = accounts.sign_ins.sign_in
    outcomes = []
    for number in range(60):
        name = ("mallory", "Mallory@example.com")[number % 2]
        outcomes.append(outcome_of(lambda: sign_in(name, PASSWORD, Device(f"192.0.2.{number}"))))  # noqa: B023
    assert outcomes == ["ok"] * 31 + ["sign_in_throttled"] * 29, "whatever the name and the address"
    throttled = refusal(lambda: sign_in("mallory", PASSWORD, DEVICE))
    assert throttled.retry_after_seconds == 20
    assert sign_in("ada", PASSWORD, DEVICE)
    later = []
    for _ in range(60):
        world.clock.move(10)
        later.append(outcome_of(lambda: sign_in("mallory", PASSWORD, DEVICE)))
    assert later.count("ok") == 30, "30 in 10 minutes"


def test_who_may_not_sign_in_right_now_takes_no_place_from_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    for _ in range(31):
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    for _ in range(5):
        refusal(lambda: accounts.sign_ins.sign_in("nobody", "wrong", Device(ELSEWHERE)))
    monkeypatch.setattr("letstalk.accounts.passwords.PLACES", 0)
    monkeypatch.setattr("letstalk.accounts.passwords.PLACES_FOR_STRANGERS", 0)
    for name, device in (("ada", DEVICE), ("nobody", Device(ELSEWHERE))):
        assert refusal(partial(accounts.sign_ins.sign_in, name, PASSWORD, device)).code == "sign_in_throttled"


def test_no_stranger_can_use_up_a_person_s_sign_ins(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    for number in range(200):
        refusal(lambda: accounts.sign_ins.sign_in("ada", "guess", Device(f"192.0.2.{number}")))  # noqa: B023
    for _ in range(30):
        assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_one_account_and_one_subscriber_have_one_place_of_those_for_known_people(world: World) -> None:
    accounts = accounts_of(world)
    hashing = accounts.sign_ins._passwords
    homes = {"mallory": Device(ADDRESS), "ada": Device(ELSEWHERE), "bob": Device("2001:db8::1")}
    ids = {}
    for name, home in homes.items():
        ids[name] = accounts.service.create_account(someone(name)).account_id
        accounts.sign_ins.sign_in(name, PASSWORD, home)
    with hashing.place(ids["mallory"], ADDRESS, is_known=True):
        assert outcome_of(partial(accounts.sign_ins.sign_in, "mallory", PASSWORD, homes["mallory"])) == "not_ready"
        assert accounts.sign_ins.sign_in("ada", PASSWORD, homes["ada"])
        assert accounts.sign_ins.sign_in("bob", PASSWORD, Device("2001:db8::2"))
    with hashing.place("2001:db8::/64", is_known=True):
        assert outcome_of(partial(accounts.sign_ins.sign_in, "bob", PASSWORD, Device("2001:db8::2"))) == "not_ready"
    assert accounts.sign_ins.sign_in("mallory", PASSWORD, homes["mallory"])


def test_strangers_who_guess_at_a_person_take_no_place_from_who_is_known(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    hashing = accounts.sign_ins._passwords
    with hashing.place("ada", ADDRESS, is_known=False):
        assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
        for name in ("ada", "ADA"):
            assert outcome_of(partial(accounts.sign_ins.sign_in, name, PASSWORD, Device(ELSEWHERE))) == "not_ready"


def test_what_people_type_stands_nowhere(world: World) -> None:
    accounts = accounts_of(world)
    refusal(lambda: accounts.sign_ins.sign_in("hunter2-typed-as-a-name", "hunter3", DEVICE))
    with world.db.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM sign_in_failures").all()
    assert len(rows) == 3
    assert "hunter" not in repr(rows)


def test_a_new_password_ends_other_sessions_and_renews_one_s_own(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    mine, other = (accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE) for _ in range(2))
    browser = accounts.sessions.start_browser_session(mine.account.account_id, DEVICE, "password")
    actor = accounts.access_tokens.authenticate(mine.access_token, ADDRESS)

    renewed = accounts.sign_ins.change_password(actor, PASSWORD, OTHER_PASSWORD, DEVICE)

    assert renewed.session_id == mine.session_id
    assert accounts.access_tokens.authenticate(renewed.access_token, ADDRESS).session_id == mine.session_id
    for dead in (mine.access_token, other.access_token):
        with pytest.raises(InvalidToken):
            accounts.access_tokens.authenticate(dead, ADDRESS)
    with pytest.raises(InvalidToken):
        accounts.sessions.refresh(other.refresh_token, DEVICE)
    assert accounts.sessions.find_browser_session(browser, ADDRESS) is None
    assert accounts.sessions.refresh(renewed.refresh_token, DEVICE)
    assert isinstance(refusal(lambda: accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)), InvalidCredentials)
    assert accounts.sign_ins.sign_in("ada", OTHER_PASSWORD, DEVICE)
    assert len(audited(world, "account.password_changed")) == 1


def test_a_new_password_needs_the_one_before_and_must_please_the_rules(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    signed_in = accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    actor = accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    assert isinstance(
        refusal(lambda: accounts.sign_ins.change_password(actor, "wrong", OTHER_PASSWORD, DEVICE)), WrongPassword
    )
    error = refusal(lambda: accounts.sign_ins.change_password(actor, PASSWORD, "password1234", DEVICE))
    assert isinstance(error, WeakPassword)
    assert error.details[0].field == "new_password"
    assert accounts.access_tokens.authenticate(signed_in.access_token, ADDRESS)
    assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)


def test_a_stolen_access_token_is_no_way_to_guess_the_password(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    actor = accounts.access_tokens.authenticate(
        accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE).access_token, ADDRESS
    )
    codes = [
        refusal(lambda: accounts.sign_ins.change_password(actor, "guess", OTHER_PASSWORD, Device(ELSEWHERE))).code
        for _ in range(8)
    ]
    assert codes == ["wrong_password"] * 5 + ["sign_in_throttled"] * 3


def test_by_the_classic_rules_the_last_five_are_remembered_and_no_more_are_kept(world: World) -> None:
    accounts = accounts_of(world, password_rules=PasswordRules.CLASSIC, throttles=UNTHROTTLED)
    account = accounts.service.create_account(someone(password="Passw0rd!0"))
    for number in range(1, 7):
        world.clock.move(1)
        accounts.passwords.set_password(account.account_id, f"Passw0rd!{number}")
    for number in (2, 3, 4, 5, 6):
        with pytest.raises(WeakPassword):
            accounts.passwords.set_password(account.account_id, f"Passw0rd!{number}")
    accounts.passwords.set_password(account.account_id, "Passw0rd!1")
    with world.db.read() as connection:
        assert len(account_storage.list_old_passwords(connection, account.account_id)) == 4


def test_when_many_sign_in_at_once_strangers_are_turned_away_first_and_it_counts_against_nobody(world: World) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
    hashing = accounts.sign_ins._passwords
    with ExitStack() as taken:
        for _ in range(PLACES_FOR_STRANGERS):
            taken.enter_context(hashing.place(is_known=False))
        for name in ("ada", "nobody"):
            for _ in range(10):
                error = refusal(partial(accounts.sign_ins.sign_in, name, "wrong", Device(ELSEWHERE)))
                assert (type(error), error.retry_after_seconds) == (Unavailable, RETRY_SECONDS)
        assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE), "she signed in from there before"
        account = accounts.sign_ins.check_password("ada", PASSWORD, Device(ELSEWHERE), is_known=True)
        assert account.username == "ada"
        with pytest.raises(Unavailable):
            accounts.passwords.ensure_allowed(OTHER_PASSWORD, names=(), address=ELSEWHERE)
    with world.db.read() as connection:
        successes = 3
        assert connection.execute(select(func.sum(sign_in_failures.c.failures))).scalar() == successes
    assert accounts.sign_ins.sign_in("ada", PASSWORD, Device(ELSEWHERE))
