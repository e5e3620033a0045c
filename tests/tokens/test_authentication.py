"""Who presents a token: what is refused, how alike, and for how long a good one is remembered."""

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
from letstalk.db.crypto import Vault, generate_key
from letstalk.tokens.authentication import MAX_REMEMBERED, TokenMemory
from letstalk.tokens.models import checksum, generate_token, parse_token
from letstalk.tokens.service import IssuedToken, TokenChanges
from tests.support.token_parts import ADDRESS, OWNER, Parts, make_sqlite_parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = make_sqlite_parts(tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def statements(parts: Parts) -> list[str]:
    """Every statement that reaches the database from now on."""
    seen: list[str] = []

    @event.listens_for(parts.db.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    return seen


def forged(issued: IssuedToken) -> str:
    """The lookup id of a token that exists, another secret, and the right checksum."""
    body = f"{issued.record.prefix}_{generate_token().token.split('_')[2][:30]}"
    return body + checksum(body)


def refused(parts: Parts, presented: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as caught:
        parts.service.authenticate(presented, ADDRESS)
    return caught.value


def test_a_good_token_says_who_is_asking(parts: Parts) -> None:
    issued = parts.issue("read", user_id="acme", rate_limit="5 per minute")
    actor = parts.service.authenticate(issued.secret, ADDRESS)
    assert (actor.kind, actor.user_id, actor.token_id) == (ActorKind.TOKEN, "acme", issued.record.token_id)
    assert (actor.scopes, actor.rate_limit, actor.address) == (frozenset({Scope.CALLS_READ}), "5 per minute", ADDRESS)


def test_all_wrong_tokens_get_the_same_answer(parts: Parts) -> None:
    good, revoked, expired = parts.issue(), parts.issue(), parts.issue(expires_in_seconds=1)
    parts.service.revoke_token(OWNER, revoked.record.token_id)
    parts.clocks.move(1)
    tries = (revoked.secret, expired.secret, forged(good), generate_token().token, good.secret[:-1] + "!", "", "x", "ü")
    answers = {(type(error), error.message, error.code) for error in (refused(parts, text) for text in tries)}
    assert answers == {(InvalidToken, "Invalid or revoked token", "invalid_token")}


def test_a_typo_is_refused_without_the_database(parts: Parts, statements: list[str]) -> None:
    secret = parts.issue().secret
    statements.clear()
    refused(parts, secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    refused(parts, "hello")
    assert statements == []


@pytest.mark.parametrize("kind", ["unknown", "forged", "revoked", "expired"])
def test_every_refusal_takes_one_read_and_leaves_no_memory(parts: Parts, statements: list[str], kind: str) -> None:
    issued = parts.issue(expires_in_seconds=10)
    presented = {"unknown": generate_token().token, "forged": forged(issued)}.get(kind, issued.secret)
    if kind == "revoked":
        parts.service.revoke_token(OWNER, issued.record.token_id)
    parts.clocks.move(10 if kind == "expired" else 0)
    for _ in range(2):
        statements.clear()
        refused(parts, presented)
        assert [statement.split()[0] for statement in statements if not statement.startswith("BEGIN")] == ["SELECT"]


def test_refusals_of_a_whole_secret_name_the_token_for_the_audit_trail_and_others_do_not(parts: Parts) -> None:
    issued = parts.issue()
    assert refused(parts, forged(issued)).token_id is None
    parts.service.revoke_token(OWNER, issued.record.token_id)
    assert refused(parts, issued.secret).token_id == issued.record.token_id
    assert refused(parts, forged(issued)).token_id is None


def test_a_good_token_is_remembered_for_half_a_second(parts: Parts, statements: list[str]) -> None:
    secret = parts.issue().secret
    parts.service.authenticate(secret, ADDRESS)
    statements.clear()
    parts.clocks.move(0.49)
    parts.service.authenticate(secret, ADDRESS)
    assert statements == []
    parts.clocks.move(0.01)
    parts.service.authenticate(secret, ADDRESS)
    assert statements


def test_a_revocation_holds_here_at_once_and_elsewhere_within_half_a_second(parts: Parts) -> None:
    issued = parts.issue()
    elsewhere = parts.another_instance()
    for service in (parts.service, elsewhere):
        service.authenticate(issued.secret, ADDRESS)
    parts.service.revoke_token(OWNER, issued.record.token_id)
    refused(parts, issued.secret)
    parts.clocks.move(0.5)
    with pytest.raises(InvalidToken):
        elsewhere.authenticate(issued.secret, ADDRESS)


def test_a_change_holds_at_once(parts: Parts) -> None:
    issued = parts.issue("read", "write")
    parts.service.authenticate(issued.secret, ADDRESS)
    parts.service.update_token(OWNER, issued.record.token_id, TokenChanges(scopes=("read",), rate_limit="1 per day"))
    actor = parts.service.authenticate(issued.secret, ADDRESS)
    assert (actor.scopes, actor.rate_limit) == (frozenset({Scope.CALLS_READ}), "1 per day")


def test_a_remembered_token_expires_on_time(parts: Parts) -> None:
    issued = parts.issue(expires_in_seconds=10)
    parts.clocks.move(9.9)
    parts.service.authenticate(issued.secret, ADDRESS)
    parts.clocks.move(0.1)
    refused(parts, issued.secret)


def test_the_address_is_checked_every_time_and_only_for_good_tokens(parts: Parts) -> None:
    issued = parts.issue(allowed_ips=("203.0.113.0/24",))
    for _ in range(2):
        parts.service.authenticate(issued.secret, ADDRESS)
        parts.service.authenticate(issued.secret, f"::ffff:{ADDRESS}")
        with pytest.raises(AddressNotAllowed) as caught:
            parts.service.authenticate(issued.secret, "198.51.100.1")
        assert caught.value.token_id == issued.record.token_id
    with pytest.raises(InvalidToken):
        parts.service.authenticate(forged(issued), "198.51.100.1")
    parts.service.revoke_token(OWNER, issued.record.token_id)
    with pytest.raises(InvalidToken):
        parts.service.authenticate(issued.secret, "198.51.100.1")


def test_a_remembered_token_still_says_from_where_it_was_presented(parts: Parts, statements: list[str]) -> None:
    secret = parts.issue().secret
    parts.service.authenticate(secret, ADDRESS)
    statements.clear()
    addresses = ["198.51.100.1", "198.51.100.1", ADDRESS, "198.51.100.2"]
    assert [parts.service.authenticate(secret, address).address for address in addresses] == addresses
    assert statements == []


def test_nothing_that_was_presented_is_remembered_as_it_was_nor_as_it_is_at_rest(parts: Parts) -> None:
    first = parts.issue()
    for service in (parts.service, parts.another_instance()):
        service.authenticate(first.secret, ADDRESS)
    _, _, secret_hash = _key_of(first)
    (here,), (elsewhere,) = parts.service._authenticator._memory._entries, service._authenticator._memory._entries
    assert here != elsewhere, "the same token has another key in each process"
    assert {first.secret.encode(), secret_hash}.isdisjoint((here, elsewhere))
    with pytest.raises(InvalidToken):
        parts.service.authenticate("\udcff" + first.secret[1:], ADDRESS)


def test_a_lost_key_refuses_and_does_not_fall_over(parts: Parts) -> None:
    issued = parts.issue()
    parts.vault = Vault((generate_key(),))
    with pytest.raises(InvalidToken):
        parts.another_instance().authenticate(issued.secret, ADDRESS)


def test_what_was_read_before_a_revocation_is_not_remembered_after_it(parts: Parts) -> None:
    issued = parts.issue()
    ready, revoked = threading.Event(), threading.Event()

    @event.listens_for(parts.db.engine, "after_cursor_execute")
    def wait_for_the_revocation(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if threading.current_thread().name == "slow" and "lookup_id = " in statement:
            ready.set()
            assert revoked.wait(30)

    slow = threading.Thread(target=lambda: parts.service.authenticate(issued.secret, ADDRESS), name="slow")
    slow.start()
    assert ready.wait(30)
    parts.service.revoke_token(OWNER, issued.record.token_id)
    revoked.set()
    slow.join()
    refused(parts, issued.secret)


def test_the_memory_is_bounded(parts: Parts) -> None:
    memory = TokenMemory(ttl_seconds=0.5, monotonic=parts.clocks.monotonic, max_size=3)
    entry = parts.service._authenticator._verify(*_key_of(parts.issue()))
    generation, _ = memory.begin()
    for number in range(10):
        memory.keep(bytes([number]), entry, generation)
    assert [number for number in range(10) if memory.get(bytes([number]))] == [7, 8, 9]
    parts.clocks.move(1)
    assert memory.get(bytes([9])) is None
    assert MAX_REMEMBERED < 10_000


def _key_of(issued: IssuedToken) -> tuple[bytes, str, bytes]:
    parsed = parse_token(issued.secret)
    assert parsed is not None
    return b"key", parsed.lookup_id, parsed.secret_hash


def test_a_copy_of_the_database_can_neither_use_nor_check_a_token(parts: Parts, tmp_path: Path) -> None:
    issued = parts.issue(name="shop")
    rotated = parts.service.rotate_token(OWNER, issued.record.token_id)
    parts.service.authenticate(issued.secret, ADDRESS)
    parts.audit.record_refusal("invalid_token", token_id=issued.record.token_id)
    parts.audit.flush()
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
def test_refusals_take_alike_long(parts: Parts) -> None:
    good, revoked, expired = parts.issue(), parts.issue(), parts.issue(expires_in_seconds=1)
    parts.service.revoke_token(OWNER, revoked.record.token_id)
    parts.clocks.move(1)
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
                parts.service.authenticate(text, ADDRESS)
            taken[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    assert max(medians.values()) / min(medians.values()) < 1.3, medians
