"""Apps are told of their tokens: with the change or not at all, without a secret, and once before the end."""

from __future__ import annotations

import json

import pytest

from letstalk.core.errors import Conflict
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.events.models import AppEvent, EventFilter
from letstalk.events.repository import list_events
from letstalk.tokens.app_events import ExpiryNotices
from letstalk.tokens.models import NewToken, TokenChanges
from tests.support.token_setup import OWNER, TokenSetup
from tests.support.world import at_once

DAY_SECONDS = 86_400


@pytest.fixture
def setup(db: Database) -> TokenSetup:
    return TokenSetup(db, Vault((make_encryption_key(),)))


def told(setup: TokenSetup) -> list[AppEvent]:
    """Oldest first."""
    with setup.db.read() as connection:
        found = list_events(connection, "acme", EventFilter(), after=None, limit=100)
    return sorted(found, key=lambda event: (event.created_at, event.sequence or 0))


def types(setup: TokenSetup) -> list[str]:
    return [event.type.value for event in told(setup)]


def test_creation_rotation_and_revocation_are_told_without_a_secret(setup: TokenSetup) -> None:
    issued = setup.service.create_token(OWNER, NewToken(owner_id="acme", name="web"))
    setup.clocks.move(1)
    rotated = setup.service.rotate_token(OWNER, issued.record.token_id)
    setup.clocks.move(1)
    setup.service.revoke_token(OWNER, rotated.record.token_id)
    setup.service.revoke_token(OWNER, rotated.record.token_id)  # changes nothing
    with pytest.raises(Conflict):
        setup.service.rotate_token(OWNER, issued.record.token_id)
    assert types(setup) == ["token.created", "token.rotated", "token.revoked"]
    created, replaced, revoked = (event.detail for event in told(setup))
    assert (created["token_id"], created["name"], created["user_id"]) == (issued.record.token_id, "web", "acme")
    assert replaced["successor_id"] == rotated.record.token_id
    assert revoked["revoked_at"] is not None
    for secret in (issued.secret, rotated.secret):
        assert secret.rpartition("_")[2] not in json.dumps([created, replaced, revoked])


def test_each_token_is_told_of_once_within_seven_days_of_its_end(setup: TokenSetup) -> None:
    notices = ExpiryNotices(setup.db, setup.clocks.utc)
    create = setup.service.create_token
    token_id = create(OWNER, NewToken(owner_id="acme", expires_in_seconds=8 * DAY_SECONDS)).record.token_id
    create(OWNER, NewToken(owner_id="acme"))
    old = create(OWNER, NewToken(owner_id="acme")).record.token_id
    setup.service.rotate_token(OWNER, old)  # ends soon, and is meant to
    before = len(types(setup))
    assert notices.record_expiring() == 0
    setup.clocks.move(DAY_SECONDS + 1)
    assert [notices.record_expiring(), notices.record_expiring()] == [1, 0]
    setup.clocks.move(5 * DAY_SECONDS)
    assert notices.record_expiring() == 0
    assert [(event.type.value, event.subject_id) for event in told(setup)[before:]] == [("token.expiring", token_id)]
    setup.service.update_token(OWNER, token_id, TokenChanges(expires_in_seconds=20 * DAY_SECONDS))
    assert notices.record_expiring() == 0
    setup.clocks.move(14 * DAY_SECONDS)
    assert notices.record_expiring() == 1  # it was given more time, and that ends
    setup.clocks.move(8 * DAY_SECONDS)
    assert notices.record_expiring() == 0


def test_workers_that_look_at_once_tell_of_each_token_once(setup: TokenSetup) -> None:
    for _ in range(5):
        setup.service.create_token(OWNER, NewToken(owner_id="acme", expires_in_seconds=DAY_SECONDS))
    notices = ExpiryNotices(setup.db, setup.clocks.utc)
    assert at_once([notices.record_expiring] * 3) == ["ok"] * 3
    assert types(setup).count("token.expiring") == 5
