"""Authentication by token: what is refused, in the same time and words, and how long a valid token is cached."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from letstalk.core.actors import ActorKind
from letstalk.core.errors import AddressNotAllowed, InvalidToken
from letstalk.core.scopes import Scope
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.tokens.authentication import MAX_CACHED_TOKENS, TokenCache
from letstalk.tokens.models import IssuedToken, TokenChanges, checksum, generate_token, parse_token
from tests.support.token_setup import ADDRESS, OWNER, TokenSetup, make_sqlite_setup


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[TokenSetup]:
    made = make_sqlite_setup(tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def statements(setup: TokenSetup) -> list[str]:
    """Every statement that reaches the database from now on."""
    seen: list[str] = []

    @event.listens_for(setup.db.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    return seen


def forged(issued: IssuedToken) -> str:
    """The lookup id of a token that exists, another secret, and the right checksum."""
    body = f"{issued.record.prefix}_{generate_token().token.split('_')[2][:30]}"
    return body + checksum(body)


def refused(setup: TokenSetup, presented: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        setup.service.authenticator.authenticate(presented, ADDRESS)
    return caught.value


def test_a_good_token_says_who_is_asking(setup: TokenSetup) -> None:
    issued = setup.issue("read", owner_id="acme", rate_limit="5 per minute")
    actor = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    assert (actor.kind, actor.owner_id, actor.token_id) == (ActorKind.TOKEN, "acme", issued.record.token_id)
    assert (actor.scopes, actor.rate_limit, actor.address) == (frozenset({Scope.CALLS_READ}), "5 per minute", ADDRESS)


def test_all_wrong_tokens_get_the_same_answer(setup: TokenSetup) -> None:
    good, revoked, expired = setup.issue(), setup.issue(), setup.issue(expires_in_seconds=1)
    setup.service.revoke_token(OWNER, revoked.record.token_id)
    setup.clocks.move(1)
    tries = (revoked.secret, expired.secret, forged(good), generate_token().token, good.secret[:-1] + "!", "", "x", "ü")
    answers = {(type(error), error.message, error.code) for error in (refused(setup, text) for text in tries)}
    assert answers == {(InvalidToken, "Invalid or revoked token", "invalid_token")}


def test_a_typo_is_refused_without_the_database(setup: TokenSetup, statements: list[str]) -> None:
    secret = setup.issue().secret
    statements.clear()
    refused(setup, secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    refused(setup, "hello")
    assert statements == []


@pytest.mark.parametrize("kind", ["unknown", "forged", "revoked", "expired"])
def test_every_refusal_takes_one_read_and_caches_nothing(setup: TokenSetup, statements: list[str], kind: str) -> None:
    issued = setup.issue(expires_in_seconds=10)
    presented = {"unknown": generate_token().token, "forged": forged(issued)}.get(kind, issued.secret)
    if kind == "revoked":
        setup.service.revoke_token(OWNER, issued.record.token_id)
    setup.clocks.move(10 if kind == "expired" else 0)
    for _ in range(2):
        statements.clear()
        refused(setup, presented)
        assert [statement.split()[0] for statement in statements if not statement.startswith("BEGIN")] == ["SELECT"]


def test_refusals_of_a_whole_secret_name_the_token_for_the_audit_trail_and_others_do_not(setup: TokenSetup) -> None:
    issued = setup.issue()
    assert refused(setup, forged(issued)).token_id is None
    setup.service.revoke_token(OWNER, issued.record.token_id)
    assert refused(setup, issued.secret).token_id == issued.record.token_id
    assert refused(setup, forged(issued)).token_id is None


def test_a_good_token_is_remembered_for_half_a_second(setup: TokenSetup, statements: list[str]) -> None:
    secret = setup.issue().secret
    setup.service.authenticator.authenticate(secret, ADDRESS)
    statements.clear()
    setup.clocks.move(0.49)
    setup.service.authenticator.authenticate(secret, ADDRESS)
    assert statements == []
    setup.clocks.move(0.01)
    setup.service.authenticator.authenticate(secret, ADDRESS)
    assert statements


def test_a_revocation_holds_here_at_once_and_elsewhere_within_half_a_second(setup: TokenSetup) -> None:
    issued = setup.issue()
    elsewhere = setup.another_instance()
    for service in (setup.service, elsewhere):
        service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.service.revoke_token(OWNER, issued.record.token_id)
    refused(setup, issued.secret)
    setup.clocks.move(0.5)
    with pytest.raises(InvalidToken):
        elsewhere.authenticator.authenticate(issued.secret, ADDRESS)


def test_a_change_holds_at_once(setup: TokenSetup) -> None:
    issued = setup.issue("read", "write")
    setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.service.update_token(OWNER, issued.record.token_id, TokenChanges(scopes=("read",), rate_limit="1 per day"))
    actor = setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    assert (actor.scopes, actor.rate_limit) == (frozenset({Scope.CALLS_READ}), "1 per day")


def test_a_remembered_token_expires_on_time(setup: TokenSetup) -> None:
    issued = setup.issue(expires_in_seconds=10)
    setup.clocks.move(9.9)
    setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.clocks.move(0.1)
    refused(setup, issued.secret)


def test_the_address_is_checked_every_time_and_only_for_good_tokens(setup: TokenSetup) -> None:
    issued = setup.issue(allowed_ips=("203.0.113.0/24",))
    for _ in range(2):
        setup.service.authenticator.authenticate(issued.secret, ADDRESS)
        setup.service.authenticator.authenticate(issued.secret, f"::ffff:{ADDRESS}")
        with pytest.raises(AddressNotAllowed) as caught:
            setup.service.authenticator.authenticate(issued.secret, "198.51.100.1")
        assert caught.value.token_id == issued.record.token_id
    with pytest.raises(InvalidToken):
        setup.service.authenticator.authenticate(forged(issued), "198.51.100.1")
    setup.service.revoke_token(OWNER, issued.record.token_id)
    with pytest.raises(InvalidToken):
        setup.service.authenticator.authenticate(issued.secret, "198.51.100.1")


def test_a_remembered_token_still_says_from_where_it_was_presented(setup: TokenSetup, statements: list[str]) -> None:
    secret = setup.issue().secret
    setup.service.authenticator.authenticate(secret, ADDRESS)
    statements.clear()
    addresses = ["198.51.100.1", "198.51.100.1", ADDRESS, "198.51.100.2"]
    assert [setup.service.authenticator.authenticate(secret, address).address for address in addresses] == addresses
    assert statements == []


def test_nothing_that_was_presented_is_remembered_as_it_was_nor_as_it_is_at_rest(setup: TokenSetup) -> None:
    first = setup.issue()
    for service in (setup.service, setup.another_instance()):
        service.authenticator.authenticate(first.secret, ADDRESS)
    _, _, secret_hash = _key_of(first)
    (here,), (elsewhere,) = setup.service.authenticator._cache._entries, service.authenticator._cache._entries
    assert here != elsewhere, "the same token has another key in each process"
    assert {first.secret.encode(), secret_hash}.isdisjoint((here, elsewhere))
    with pytest.raises(InvalidToken):
        setup.service.authenticator.authenticate("\udcff" + first.secret[1:], ADDRESS)


def test_a_lost_key_refuses_and_does_not_fall_over(setup: TokenSetup) -> None:
    issued = setup.issue()
    setup.vault = Vault((make_encryption_key(),))
    with pytest.raises(InvalidToken):
        setup.another_instance().authenticator.authenticate(issued.secret, ADDRESS)


def test_what_was_read_before_a_revocation_is_not_remembered_after_it(setup: TokenSetup) -> None:
    issued = setup.issue()
    ready, revoked = threading.Event(), threading.Event()

    @event.listens_for(setup.db.engine, "after_cursor_execute")
    def wait_for_the_revocation(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if threading.current_thread().name == "slow" and "lookup_id = " in statement:
            ready.set()
            assert revoked.wait(30)

    slow = threading.Thread(
        target=lambda: setup.service.authenticator.authenticate(issued.secret, ADDRESS), name="slow"
    )
    slow.start()
    assert ready.wait(30)
    setup.service.revoke_token(OWNER, issued.record.token_id)
    revoked.set()
    slow.join()
    refused(setup, issued.secret)


def test_the_cache_is_bounded(setup: TokenSetup) -> None:
    cache = TokenCache(ttl_seconds=0.5, monotonic=setup.clocks.monotonic, max_size=3)
    entry = setup.service.authenticator._verify(*_key_of(setup.issue()))
    generation, _ = cache.begin_read()
    for number in range(10):
        cache.put(bytes([number]), entry, generation)
    assert [number for number in range(10) if cache.get(bytes([number]))] == [7, 8, 9]
    setup.clocks.move(1)
    assert cache.get(bytes([9])) is None
    assert MAX_CACHED_TOKENS < 10_000


def _key_of(issued: IssuedToken) -> tuple[bytes, str, bytes]:
    parsed = parse_token(issued.secret)
    assert parsed is not None
    return b"key", parsed.lookup_id, parsed.secret_hash


def test_a_copy_of_the_database_can_neither_use_nor_check_a_token(setup: TokenSetup, tmp_path: Path) -> None:
    issued = setup.issue(name="shop")
    rotated = setup.service.rotate_token(OWNER, issued.record.token_id)
    setup.service.authenticator.authenticate(issued.secret, ADDRESS)
    setup.audit.record_refusal("invalid_token", token_id=issued.record.token_id)
    setup.audit.flush()
    with sqlite3.connect(tmp_path / "letstalk.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert issued.record.lookup_id.encode() in everything
    for one in (issued, rotated):
        _, lookup_id, secret_hash = _key_of(one)
        secret = one.secret.removeprefix(f"lt_{lookup_id}_")
        for piece in (secret.encode(), secret[:30].encode(), secret_hash, secret_hash.hex().encode()):
            assert piece not in everything


@pytest.mark.timing
def test_refusals_take_alike_long(setup: TokenSetup) -> None:
    good, revoked, expired = setup.issue(), setup.issue(), setup.issue(expires_in_seconds=1)
    setup.service.revoke_token(OWNER, revoked.record.token_id)
    setup.clocks.move(1)
    presented: dict[str, Callable[[], str]] = {
        "unknown": lambda: generate_token().token,
        "wrong": lambda: forged(good),
        "revoked": lambda: revoked.secret,
        "expired": lambda: expired.secret,
    }
    taken: dict[str, list[float]] = {kind: [] for kind in presented}
    for _ in range(400):
        for kind, make in presented.items():
            text = make()
            started = time.perf_counter()
            with pytest.raises(InvalidToken):
                setup.service.authenticator.authenticate(text, ADDRESS)
            taken[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    assert max(medians.values()) / min(medians.values()) < 1.3, medians
