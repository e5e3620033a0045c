"""The keys of the code digests: made once, the same for every instance, never in the database in plain."""

from __future__ import annotations

import base64

import pytest
from sqlalchemy import text

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.verifications.codes import DigestKeys
from tests.support.world import StandingClock, World, at_once

KEY = make_encryption_key()


def keys_of(db: Database, *encryption_keys: str) -> DigestKeys:
    """As one more instance reads them."""
    return DigestKeys(db, Vault(encryption_keys or (KEY,)), StandingClock())


def stored(db: Database) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(text("SELECT key_encrypted FROM digest_keys")).scalars())


def test_the_first_key_is_made_when_it_is_first_needed_and_stays(db: Database) -> None:
    assert stored(db) == []
    key_id, key = keys_of(db).current()
    assert len(key) == 32
    assert keys_of(db).current() == (key_id, key)
    assert keys_of(db).find(key_id) == key
    assert len(stored(db)) == 1


def test_instances_that_start_at_once_agree_on_one_key(db: Database) -> None:
    found: list[tuple[str, bytes]] = []
    instances = [keys_of(db) for _ in range(6)]
    assert at_once([lambda keys=keys: found.append(keys.current()) for keys in instances]) == ["ok"] * 6  # type: ignore[misc]
    assert len(set(found)) == 1
    assert len(stored(db)) == 1


def test_the_database_does_not_hold_the_key_in_plain(sqlite_db: Database) -> None:
    _, key = keys_of(sqlite_db).current()
    [sealed] = stored(sqlite_db)
    assert sealed.startswith("gAAAA")
    assert base64.urlsafe_b64encode(key).decode() not in sealed
    assert key.hex() not in sealed


def test_a_lost_encryption_key_is_told_as_such_and_no_new_key_takes_its_place(db: Database) -> None:
    keys_of(db).current()
    with pytest.raises(LostKey):
        keys_of(db, make_encryption_key()).current()
    assert len(stored(db)) == 1


def test_a_newer_encryption_key_beside_the_old_one_changes_nothing(db: Database) -> None:
    before = keys_of(db).current()
    assert keys_of(db, make_encryption_key(), KEY).current() == before


def test_an_unknown_key_id_is_not_answered_with_another_key(sqlite_db: Database) -> None:
    keys = keys_of(sqlite_db)
    keys.current()
    with pytest.raises(KeyError):
        keys.find("no such key")


def test_a_key_that_another_instance_has_made_is_found(db: Database) -> None:
    world = World(db, encryption_keys=(KEY,))
    other = World(db, encryption_keys=(KEY,), clock=world.clock)
    accepted = world.send()
    assert other.check(accepted.verification_id, world.code_of(accepted.verification_id))


def test_what_is_derived_is_the_same_for_all_and_bound_to_its_purpose(db: Database) -> None:
    keys = keys_of(db)
    assert keys.derive("one") == keys_of(db).derive("one")
    assert keys.derive("one") != keys.derive("two")
    assert keys.current()[1] not in (keys.derive("one"), keys.derive("two"))


def test_the_very_first_send_makes_its_key_without_waiting_for_itself(db: Database) -> None:
    assert stored(db) == []
    World(db).send()
    assert len(stored(db)) == 1
