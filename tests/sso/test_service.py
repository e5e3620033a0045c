"""Single sign-on on each database: attempts that work once, linked identities, and no transaction during a request."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from letstalk.accounts.models import AccountChanges, AccountState, Role, person_actor
from letstalk.accounts.services import Accounts
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import utc_now
from letstalk.core.errors import InsufficientScope, SingleSignOnFailed, SingleSignOnRefused, Unavailable
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.operations.key_rotation import KeyRotation
from letstalk.sso.identities import IdentityService
from letstalk.sso.models import Identity, IdentityRefused, OpenIdOptions
from letstalk.sso.openid import OpenIdProvider
from letstalk.sso.service import Callback, SingleSignOnOptions, SingleSignOnService
from tests.support.account_services import DEVICE, accounts_of, audited, someone
from tests.support.apps import OWNER
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, FakeOpenIdProvider, Person
from tests.support.world import World, at_once

BROWSER = "b" * 43
ADA = Identity("https://id.example.com", "ada-1", "ada@example.com", "ada")


def identities_of(world: World, accounts: Accounts) -> IdentityService:
    return IdentityService(world.db, accounts.service, AuditTrail(world.db, clock=world.clock), world.clock)


def service_of(
    world: World,
    accounts: Accounts,
    provider: FakeOpenIdProvider,
    sign_up: Role | None = None,
    vault: Vault | None = None,
) -> SingleSignOnService:
    options = OpenIdOptions(provider.issuer, CLIENT_ID, CLIENT_SECRET, "openid email", "https://x.example/callback")
    # What tokens say of the time is told by the stand-in's clock, which is the real one.
    client = OpenIdProvider(options, utc_now)
    wanted = SingleSignOnOptions("Acme", "https://x.example/start", sign_up)
    audit = AuditTrail(world.db, clock=world.clock)
    return SingleSignOnService(
        world.db, vault or world.vault, client, identities_of(world, accounts), audit, world.clock, wanted
    )


def brought_back(service: SingleSignOnService, provider: FakeOpenIdProvider, person: Person | None = None) -> Callback:
    return Callback(**provider.sign_in(service.begin(BROWSER, "/next"), person))


def test_of_many_callbacks_at_once_one_counts(db: Database, provider: FakeOpenIdProvider) -> None:
    world = World(db)
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    service = service_of(world, accounts, provider)
    callback = brought_back(service, provider)
    outcomes = at_once([lambda: service.finish(callback, BROWSER, DEVICE)] * 8)
    assert sorted(outcomes) == ["ok", *["sso_failed"] * 7]
    assert provider.asked["/token"] == 1, "the others did not even ask"


def test_of_many_first_sign_ins_at_once_all_reach_one_account(db: Database) -> None:
    world = World(db)
    accounts = accounts_of(world)
    identities = identities_of(world, accounts)
    reached: list[str] = []

    def come() -> None:
        with world.db.write() as connection:
            reached.append(identities.admit(connection, ADA, Role.VIEWER).account_id)

    assert set(at_once([come] * 8)) == {"ok"}
    assert (len(reached), len(set(reached))) == (8, 1)
    assert len(audited(world, "identity.linked")) == 1


def test_of_two_subjects_with_one_address_at_once_one_is_linked(db: Database) -> None:
    world = World(db)
    accounts = accounts_of(world)
    identities = identities_of(world, accounts)
    accounts.service.create_account(someone())
    refused: list[str] = []

    def come(subject: str) -> None:
        with world.db.write() as connection:
            try:
                identities.admit(connection, replace(ADA, subject=subject), None)
            except IdentityRefused as error:
                refused.append(error.reason)

    at_once([lambda: come("ada-1"), lambda: come("ada-2")])
    assert refused == ["the account is linked with another subject"]


def test_nobody_waits_while_the_provider_takes_its_time(db: Database, provider: FakeOpenIdProvider) -> None:
    world = World(db)
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    service = service_of(world, accounts, provider)
    callback = brought_back(service, provider)
    provider.may_answer.clear()
    finishing = threading.Thread(target=service.finish, args=(callback, BROWSER, DEVICE))
    finishing.start()
    deadline = time.monotonic() + 30
    while not provider.asked["/token"] and time.monotonic() < deadline:
        time.sleep(0.01)
    # A request that had to wait here would wait until the provider is given up.
    with world.db.write() as connection:
        world.db.lock(connection, "identities")
    assert finishing.is_alive()
    provider.may_answer.set()
    finishing.join()
    assert len(audited(world, "identity.linked")) == 1


def test_an_attempt_survives_a_rotation_of_the_keys(world: World, provider: FakeOpenIdProvider) -> None:
    accounts = accounts_of(world)
    accounts.service.create_account(someone())
    callback = brought_back(service_of(world, accounts, provider), provider)
    new = make_encryption_key()
    KeyRotation(world.db, Vault((new, *world.encryption_keys))).rotate_keys()
    account, next_path = service_of(world, accounts, provider, vault=Vault((new,))).finish(callback, BROWSER, DEVICE)
    assert (account.username, next_path) == ("ada", "/next")


def test_while_the_provider_is_away_nothing_is_kept(world: World, provider: FakeOpenIdProvider) -> None:
    accounts = accounts_of(world)
    provider.answers["/.well-known/openid-configuration"] = (503, b"")
    with pytest.raises(Unavailable):
        service_of(world, accounts, provider).begin(BROWSER, None)
    with world.db.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sso_attempts").scalar() == 0


def test_what_was_used_up_holds_no_secret(world: World, provider: FakeOpenIdProvider) -> None:
    accounts = accounts_of(world)
    service = service_of(world, accounts, provider)
    callback = brought_back(service, provider)
    with pytest.raises(SingleSignOnRefused):
        service.finish(callback, BROWSER, DEVICE)
    with pytest.raises(SingleSignOnFailed):
        service.finish(callback, BROWSER, DEVICE)
    with world.db.read() as connection:
        assert connection.exec_driver_sql("SELECT verifier_sealed FROM sso_attempts").scalar() is None


def test_an_admin_lets_an_address_link_once_more(world: World) -> None:
    accounts = accounts_of(world)
    identities = identities_of(world, accounts)
    account = accounts.service.create_account(someone())
    moved = replace(ADA, subject="ada-2")
    assert admitted(world, identities, ADA)
    assert not admitted(world, identities, moved)
    with pytest.raises(InsufficientScope):
        identities.unlink(person_actor(account, "x"), account.account_id)
    assert identities.unlink(OWNER, account.account_id) == 1
    assert identities.unlink(OWNER, account.account_id) == 0
    assert admitted(world, identities, moved)
    assert len(audited(world, "identity.unlinked")) == 1


@pytest.mark.parametrize("state", [AccountState.INVITED, AccountState.UNVERIFIED])
def test_who_never_came_is_let_in_by_a_verified_address_alone(world: World, state: AccountState) -> None:
    accounts = accounts_of(world)
    identities = identities_of(world, accounts)
    username = None if state is AccountState.INVITED else "ada"
    password = None if state is AccountState.INVITED else "planted by somebody else"
    wanted = replace(someone(), state=state, username=username, password=password)
    account = accounts.service.create_account(wanted)
    assert not admitted(world, identities, replace(ADA, verified_email=None))
    assert admitted(world, identities, ADA)
    found = accounts.service.find(account.account_id)
    assert found is not None
    assert (found.state, found.has_password, found.role) == (AccountState.ACTIVE, False, Role.DEVELOPER)


def test_enabling_an_account_that_nobody_proved_leaves_its_owner_no_planted_password(world: World) -> None:
    accounts = accounts_of(world)
    identities = identities_of(world, accounts)
    wanted = replace(someone(), state=AccountState.UNVERIFIED, password="planted by somebody else")
    account = accounts.service.create_account(wanted)
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=True))
    assert not admitted(world, identities, ADA), "an admin closed it"
    accounts.service.update_account(OWNER, account.account_id, AccountChanges(disabled=False))
    assert admitted(world, identities, ADA)
    found = accounts.service.find(account.account_id)
    assert found is not None
    assert (found.state, found.has_password, found.email_verified_at) == (AccountState.ACTIVE, False, world.clock())


def admitted(world: World, identities: IdentityService, identity: Identity) -> bool:
    try:
        with world.db.write() as connection:
            identities.admit(connection, identity, None)
    except IdentityRefused:
        return False
    return True
