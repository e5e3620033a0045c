"""New keys for old ones, while the service goes on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import event, update

from letstalk.core.errors import InvalidToken
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import LostKey, Vault, list_sealed, list_sealed_columns, replace_sealed
from letstalk.db.database import Database
from letstalk.operations.key_rotation import KeyRotation
from letstalk.tokens.repository import tokens
from letstalk.verifications.models import VerificationStatus
from tests.support.documents import ROOT, read
from tests.support.fixtures.databases import all_tables
from tests.support.lock_waits import await_who_waits
from tests.support.token_setup import ADDRESS, TokenSetup
from tests.support.world import World, phone_number

OLD, NEW = make_encryption_key(), make_encryption_key()
SEALED_NAME = re.compile("(^|_)(sealed|encrypted)$")
COLUMNS = {column.name: column for column in list_sealed_columns()}
DIGEST_KEYS, TOKENS, CODES = (COLUMNS[name] for name in ("digest keys", "tokens", "waiting codes"))


@dataclass
class Instance:
    """One process of the service, with the keys that it was given."""

    db: Database
    keys: tuple[str, ...]
    world: World = field(init=False)
    parts: TokenSetup = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.db, encryption_keys=self.keys)
        self.parts = TokenSetup(self.db, self.world.vault)

    def rotation(self, batch: int = 7) -> KeyRotation:
        return KeyRotation(self.db, self.world.vault, batch=batch)

    def new_token(self) -> str:
        return self.parts.issue().secret

    def is_good(self, token: str) -> bool:
        try:
            self.parts.service.authenticator.authenticate(token, ADDRESS)
        except InvalidToken:
            return False
        return True

    def approve(self, verification_id: str) -> None:
        """The person types what the voice reads."""
        self.world.check(verification_id, self.world.code_of(verification_id))


def sealed_under(db: Database, key: str) -> list[str]:
    """What of the database this key opens by itself, by the names of the columns."""
    vault, found = Vault((key,)), []
    with db.read() as connection:
        for column in list_sealed_columns():
            for _, sealed in list_sealed(connection, column, "", 10_000):
                try:
                    vault.decrypt(sealed)
                except LostKey:
                    continue
                found.append(column.name)
    return found


@dataclass
class Doer:
    """A thread that takes one step after another until it is told to stop, or one of them fails."""

    step: Callable[[int], None]
    taken: int = 0
    trouble: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.done.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            while not self.done.is_set():
                self.step(self.taken)
                self.taken += 1
        except BaseException as trouble:
            self.trouble = trouble


def test_everything_goes_on_while_keys_are_rotated_and_the_old_key_can_then_be_dropped(db: Database) -> None:
    before = Instance(db, (OLD,))
    early_tokens = [before.new_token() for _ in range(20)]
    early = [before.world.send(phone_number(number)).verification_id for number in range(20)]
    serving = Instance(db, (NEW, OLD))
    late_tokens: list[str] = []
    late: list[str] = []

    def send_and_verify(number: int) -> None:
        serving.approve(serving.world.send(phone_number(1000 + number)).verification_id)

    def send(number: int) -> None:
        if number < 50:  # the queue is full at some hundred
            late.append(serving.world.send(phone_number(2000 + number), owner="other").verification_id)

    def verify_an_early_one(number: int) -> None:
        if number < 10:
            serving.approve(early[number])

    def make_and_use_a_token(_number: int) -> None:
        late_tokens.append(serving.new_token())
        assert serving.is_good(late_tokens[-1])
        assert all(serving.is_good(token) for token in early_tokens[:3])

    doers = [Doer(step) for step in (send_and_verify, send, verify_an_early_one, make_and_use_a_token)]
    rotation = serving.rotation()
    rotated = [rotation.rotate_keys()]
    deadline = time.monotonic() + 60
    while min(doer.taken for doer in doers) < 10 and not any(doer.trouble for doer in doers):
        assert time.monotonic() < deadline
        rotation.rotate_keys()
    for doer in doers:
        doer.stop()

    assert [doer.trouble for doer in doers] == [None] * len(doers)
    assert rotated[0]["digest keys"] == 1
    assert rotated[0]["tokens"] >= 20
    assert sealed_under(db, OLD) == []

    after = Instance(db, (NEW,))
    assert after.rotation().check_keys() is None
    assert all(after.is_good(token) for token in early_tokens + late_tokens)
    for verification_id in early[10:]:
        after.approve(verification_id)
    for verification_id in late:
        after.world.check(verification_id, after.world.code_of(verification_id, owner="other"), owner="other")
    assert not Instance(db, (OLD,)).is_good(early_tokens[0])


def test_what_an_instance_still_encrypts_under_the_old_first_key_waits_for_the_next_rotation(db: Database) -> None:
    behind, ahead = Instance(db, (OLD, NEW)), Instance(db, (NEW, OLD))
    behind.approve(behind.world.send(phone_number(1)).verification_id)
    ahead.rotation().rotate_keys()
    token, verification_id = behind.new_token(), behind.world.send().verification_id
    assert sorted(sealed_under(db, OLD)) == ["scripts of calls", "tokens", "waiting codes"]
    # Both instances read what either wrote.
    assert ahead.is_good(token)
    assert ahead.world.code_of(verification_id) == behind.world.code_of(verification_id)
    assert "ENCRYPTION_KEYS" in (Instance(db, (NEW,)).rotation().check_keys() or "")

    ahead.rotation().rotate_keys()
    assert sealed_under(db, OLD) == []
    last = Instance(db, (NEW,))
    assert last.is_good(token)
    last.approve(verification_id)


def test_every_column_of_encrypted_values_is_rotated() -> None:
    named = {column for table in all_tables() for column in table.c if SEALED_NAME.search(column.name)}
    assert {sealed.value for sealed in list_sealed_columns()} == named
    assert len(named) == 15


def test_it_goes_in_batches_that_leave_room_for_others(sqlite_db: Database) -> None:
    before = Instance(sqlite_db, (OLD,))
    for _ in range(20):
        before.new_token()
    commits: list[int] = []
    event.listen(sqlite_db.engine, "commit", lambda _connection: commits.append(1))
    assert Instance(sqlite_db, (NEW, OLD)).rotation(batch=7).rotate_keys()["tokens"] == 20
    # 7 + 7 + 6 tokens, and one look at each other kind.
    assert len(commits) == 3 + len(list_sealed_columns()) - 1


@pytest.mark.parametrize("batch", [1, 4, 5, 100])
def test_every_value_is_rotated_whatever_the_batch(sqlite_db: Database, batch: int) -> None:
    before = Instance(sqlite_db, (OLD,))
    for number in range(5):
        before.new_token()
        before.world.send(phone_number(number))
    counts = Instance(sqlite_db, (NEW, OLD)).rotation(batch).rotate_keys()
    assert {kind: count for kind, count in counts.items() if count} == {
        "digest keys": 1,
        "scripts of calls": 5,
        "tokens": 5,
        "waiting codes": 5,
    }
    assert sealed_under(sqlite_db, OLD) == []


def test_a_value_that_changed_meanwhile_is_left_alone(db: Database) -> None:
    instance = Instance(db, (OLD,))
    instance.new_token()
    with db.read() as connection:
        ((key, old),) = list_sealed(connection, TOKENS, "", 10)
    changed = Vault((NEW,)).encrypt(b"something else")
    with db.write() as connection:
        assert replace_sealed(connection, TOKENS, key, old, changed)
        assert not replace_sealed(connection, TOKENS, key, old, "too late")
        assert list_sealed(connection, TOKENS, "", 10) == [(key, changed)]


def test_a_row_that_another_transaction_is_changing_is_left_as_that_one_leaves_it(postgresql_db: Database) -> None:
    db = postgresql_db
    instance = Instance(db, (NEW, OLD))
    instance.new_token()
    with db.read() as connection:
        ((key, _),) = list_sealed(connection, TOKENS, "", 10)
    other = Vault((NEW,)).encrypt(b"something else")
    counts: list[dict[str, int]] = []
    with db.write() as connection:
        connection.execute(update(tokens).where(tokens.c.token_id == key).values(secret_hash_encrypted=other))
        thread = threading.Thread(target=lambda: counts.append(instance.rotation().rotate_keys()), daemon=True)
        thread.start()
        await_who_waits(db)
        assert thread.is_alive()
    thread.join(30)
    assert counts[0]["tokens"] == 0
    with db.read() as connection:
        assert list_sealed(connection, TOKENS, "", 10) == [(key, other)]


def test_a_code_that_was_erased_stays_erased(db: Database) -> None:
    instance = Instance(db, (OLD,))
    instance.approve(instance.world.send().verification_id)
    assert Instance(db, (NEW, OLD)).rotation().rotate_keys()["waiting codes"] == 0
    with db.read() as connection:
        assert list_sealed(connection, CODES, "", 10) == []


def test_a_lost_key_stops_the_rotation_with_what_it_could_not_open_and_changes_nothing_of_it(db: Database) -> None:
    Instance(db, (OLD,)).new_token()
    with db.read() as connection:
        before = list_sealed(connection, TOKENS, "", 10)
    rotation = Instance(db, (NEW,)).rotation()
    with pytest.raises(LostKey, match=f"no key in ENCRYPTION_KEYS decrypts tokens {before[0][0]}"):
        rotation.rotate_keys()
    with db.read() as connection:
        assert list_sealed(connection, TOKENS, "", 10) == before


@pytest.mark.parametrize("kind", ["digest keys", "scripts of calls", "tokens", "waiting codes"])
def test_one_lost_value_among_many_is_noticed_at_the_start(sqlite_db: Database, kind: str) -> None:
    instance = Instance(sqlite_db, (NEW,))
    for number in range(10):
        instance.new_token()
        instance.world.send(phone_number(number))
    column = COLUMNS[kind]
    with sqlite_db.write() as connection:
        key, sealed = list_sealed(connection, column, "", 100)[-1]
        assert instance.rotation().check_keys() is None
        replace_sealed(connection, column, key, sealed, Vault((OLD,)).encrypt(b"lost"))
    assert instance.rotation().check_keys() == (f"ENCRYPTION_KEYS no longer holds the key that the stored {kind} need")


def test_with_a_key_gone_for_good_the_documented_statements_let_it_start_anew(db: Database) -> None:
    lost = Instance(db, (OLD,))
    lost.new_token()
    approved = lost.world.send(phone_number(1)).verification_id
    lost.approve(approved)
    lost.world.send()
    restarted = Instance(db, (NEW,))
    assert restarted.rotation().check_keys() is not None

    [statements] = read(ROOT / "docs" / "operations.md").section("A lost key").blocks("sql")
    with db.write() as connection:
        for statement in statements.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    assert restarted.rotation().check_keys() is None
    assert restarted.is_good(restarted.new_token())
    restarted.approve(restarted.world.send(phone_number(2)).verification_id)
    assert restarted.world.verification(approved).status is VerificationStatus.APPROVED
