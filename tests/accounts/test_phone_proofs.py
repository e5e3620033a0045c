"""A phone counts once a code that was read to it was given; its sign-ins belong to the account and to no one else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from letstalk.accounts import repository as accounts_repository
from letstalk.accounts.models import AccountChanges, Role
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.core.errors import (
    Forbidden,
    InvalidCode,
    InvalidCredentials,
    InvalidRequest,
    LetsTalkError,
    NoPendingVerification,
    NotAuthenticated,
    PhoneRequired,
    SecondFactorRequired,
)
from letstalk.core.rates import Rate
from letstalk.db import migrations
from letstalk.db.database import Database
from letstalk.verifications.destinations import DestinationPolicy
from tests.support.account_services import (
    ADDRESS,
    DEVICE,
    OTHER_PASSWORD,
    PASSWORD,
    Person,
    a_person,
    accounts_of,
    audited,
    someone,
    someone_called,
)
from tests.support.apps import OWNER, make_app, services_of
from tests.support.pages import Visitor
from tests.support.world import PHONE, StandingClock, World, at_once, wrong_code

OTHER_PHONE = "+256700123457"


def refusal(action: Callable[[], object]) -> LetsTalkError:
    with pytest.raises(LetsTalkError) as caught:
        action()
    return caught.value


def challenged(accounts: Accounts, name: str = "ada") -> str:
    with pytest.raises(SecondFactorRequired) as caught:
        accounts.sign_ins.sign_in(name, PASSWORD, DEVICE)
    return caught.value.challenge


def heard(world: World, phone: str = PHONE) -> str:
    world.pass_time(25)
    return world.heard(phone)[-1]


def signed_in(accounts: Accounts, account_id: str, method: str = "password") -> Actor:
    token = accounts.sessions.start_session(account_id, DEVICE, method).access_token
    return accounts.access_tokens.authenticate(token, ADDRESS)


class TestProving:
    def test_a_phone_is_pending_until_its_code_is_given_and_then_counts(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = accounts.service.create_account(someone(password=None))
        actor = signed_in(accounts, ada.account_id, "sso")
        accounts.second_factors.begin_proof(actor, PHONE, is_confirmed=False)
        code = heard(world)
        assert isinstance(refusal(lambda: accounts.second_factors.finish_proof(actor, wrong_code(code))), InvalidCode)
        pending = accounts.service.find(ada.account_id)
        assert pending is not None
        assert (pending.phone, pending.pending_phone) == (None, PHONE)
        proven = accounts.second_factors.finish_proof(actor, code, second_factor=True)
        assert (proven.phone, proven.pending_phone, proven.second_factor) == (PHONE, None, True)
        assert isinstance(refusal(lambda: accounts.second_factors.finish_proof(actor, code)), NoPendingVerification)
        assert PHONE not in repr(audited(world, "account.updated"))

    def test_the_phone_that_was_proven_stays_in_force_until_another_is(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db)
        actor = signed_in(accounts, ada.account_id)
        accounts.second_factors.begin_proof(actor, OTHER_PHONE, is_confirmed=True)
        code = heard(world, OTHER_PHONE)
        challenge = challenged(accounts)
        world.pass_time(25)
        assert len(world.heard(PHONE)) == 1
        accounts.second_factors.finish_proof(actor, code)
        over = refusal(lambda: accounts.sign_ins.finish_second_factor(challenge, world.heard(PHONE)[-1], DEVICE))
        assert (type(over), over.code) == (NotAuthenticated, "invalid_challenge")
        world.pass_time(30)
        challenged(accounts)
        world.pass_time(25)
        assert len(world.heard(PHONE)) == 1, "the old phone is called no more"
        assert len(world.heard(OTHER_PHONE)) == 2

    def test_nobody_s_sign_in_calls_what_was_only_entered(self, world: World) -> None:
        """By the person, by an admin, at the creation, and in an invitation; also where the role asks for a code."""
        accounts = accounts_of(world)
        ada = accounts.service.create_account(someone(role="viewer"))
        actor = signed_in(accounts, ada.account_id)
        accounts.service.create_account(someone("grace", "viewer", phone=OTHER_PHONE))
        accounts.service.update_account(actor, ada.account_id, AccountChanges(phone=PHONE), is_confirmed=True)
        for by, changes in ((actor, AccountChanges(second_factor=True)), (OWNER, AccountChanges(second_factor=True))):
            refused = refusal(
                lambda: accounts.service.update_account(by, ada.account_id, changes, is_confirmed=True)  # noqa: B023
            )
            assert isinstance(refused, InvalidRequest)
        assert accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
        accounts.second_factors.set_policy(OWNER, Role.VIEWER, requires_second_factor=True)
        for name in ("ada", "grace"):
            with pytest.raises(PhoneRequired):
                accounts.sign_ins.sign_in(name, PASSWORD, DEVICE)
        world.pass_time(60)
        assert world.provider.dials == []

    def test_one_account_has_few_numbers_called_however_fast_and_whichever(self, db: Database) -> None:
        world = World(db)
        accounts = accounts_of(world)
        ada = accounts.service.create_account(someone(password=None))
        actor = signed_in(accounts, ada.account_id, "sso")

        def ask(number: int) -> None:
            accounts.second_factors.begin_proof(actor, f"+25670012{number:04d}", is_confirmed=False)

        outcomes = at_once([lambda number=number: ask(number) for number in range(20)])  # type: ignore[misc]
        assert outcomes.count("ok") == 5
        assert set(outcomes) == {"ok", "phone_limit"}
        for _ in range(22):  # hours, in each of which it tries again and again
            world.clock.move(3600)
            actor = signed_in(accounts, ada.account_id, "sso")
            at_once([lambda number=number: ask(100 + number) for number in range(8)])  # type: ignore[misc]
        with db.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM verifications").scalar_one() == 10

    def test_another_account_s_proofs_are_its_own_and_its_code_proves_nothing_for_it(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = accounts.service.create_account(someone(password=None))
        eve = accounts.service.create_account(someone("eve", password=None))
        for_ada, for_eve = signed_in(accounts, ada.account_id), signed_in(accounts, eve.account_id)
        accounts.second_factors.begin_proof(for_ada, PHONE, is_confirmed=False)
        accounts.service.update_account(OWNER, eve.account_id, AccountChanges(phone=PHONE))
        code = heard(world)
        assert isinstance(refusal(lambda: accounts.second_factors.finish_proof(for_eve, code)), NoPendingVerification)
        assert accounts.second_factors.finish_proof(for_ada, code).phone == PHONE

    def test_a_code_proves_no_phone_that_was_entered_after_it(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = accounts.service.create_account(someone(password=None))
        actor = signed_in(accounts, ada.account_id)
        accounts.second_factors.begin_proof(actor, PHONE, is_confirmed=False)
        code = heard(world)
        accounts.service.update_account(actor, ada.account_id, AccountChanges(phone=OTHER_PHONE))
        assert isinstance(refusal(lambda: accounts.second_factors.finish_proof(actor, code)), NoPendingVerification)

    def test_proofs_count_with_the_calls_of_all_to_a_phone(self, db: Database) -> None:
        world = World(db, phone_rates=(Rate(2, 600),))
        accounts = accounts_of(world)
        for owner in ("acme", "globex"):
            world.send(PHONE, owner=owner)
        ada = accounts.service.create_account(someone(password=None))
        actor = signed_in(accounts, ada.account_id)
        assert (
            refusal(lambda: accounts.second_factors.begin_proof(actor, PHONE, is_confirmed=False)).code == "phone_limit"
        )
        found = accounts.service.find(ada.account_id)
        assert found is not None
        assert found.pending_phone is None, "a call that is refused changes nothing"


class TestChangingTheFactor:
    def test_who_has_no_password_must_have_signed_in_a_moment_ago(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db, password=None)
        actor = signed_in(accounts, ada.account_id, "sso")
        world.clock.move(601)
        for changes in (
            AccountChanges(phone=OTHER_PHONE),
            AccountChanges(phone=None),
            AccountChanges(second_factor=False),
        ):
            refused = refusal(lambda: accounts.service.update_account(actor, ada.account_id, changes))  # noqa: B023
            assert (type(refused), refused.code) == (Forbidden, "fresh_sign_in_required")
        begun = refusal(lambda: accounts.second_factors.begin_proof(actor, OTHER_PHONE, is_confirmed=False))
        assert begun.code == "fresh_sign_in_required"
        assert accounts.service.find(ada.account_id) == accounts.service.find_by_username("ada")
        world.pass_time(60)
        assert world.provider.dials == []
        fresh = signed_in(accounts, ada.account_id, "sso")
        assert not accounts.service.update_account(
            fresh, ada.account_id, AccountChanges(second_factor=False)
        ).second_factor

    def test_a_renewed_token_is_as_old_as_its_sign_in(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db, password=None)
        first = accounts.sessions.start_session(ada.account_id, DEVICE, "jwt")
        world.clock.move(601)
        renewed = accounts.sessions.refresh(first.refresh_token, DEVICE)
        actor = accounts.access_tokens.authenticate(renewed.access_token, ADDRESS)
        refused = refusal(lambda: accounts.service.update_account(actor, ada.account_id, AccountChanges(phone=None)))
        assert refused.code == "fresh_sign_in_required"

    def test_with_a_factor_in_force_the_password_alone_does_not_make_an_old_session_fresh(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db)
        actor = signed_in(accounts, ada.account_id)
        changes = AccountChanges(second_factor=False)
        assert isinstance(
            refusal(lambda: accounts.service.update_account(actor, ada.account_id, changes)), InvalidRequest
        )
        world.clock.move(601)
        refused = refusal(lambda: accounts.service.update_account(actor, ada.account_id, changes, is_confirmed=True))
        assert refused.code == "fresh_sign_in_required"

    def test_no_old_session_and_no_token_of_an_admin_takes_a_factor_away(self, world: World) -> None:
        """Whoever has stolen an admin's access token can make an API token, which is the admin's by no session."""
        accounts = accounts_of(world)
        root = someone_called(accounts, world.db, "root", role="admin")
        ada = someone_called(accounts, world.db, "ada", OTHER_PHONE)
        actor = signed_in(accounts, root.account_id)
        token = replace(trusted_actor(ActorKind.TOKEN, ADDRESS), token_id="a token")
        world.clock.move(601)
        for by, account in ((actor, ada), (token, ada), (token, root)):
            for changes in (AccountChanges(phone=None), AccountChanges(second_factor=False)):
                refused = refusal(
                    lambda: accounts.service.update_account(by, account.account_id, changes)  # noqa: B023
                )
                assert (type(refused), refused.code) == (Forbidden, "fresh_sign_in_required")
            found = accounts.service.find(account.account_id)
            assert found is not None
            assert (found.phone, found.second_factor) == (account.phone, True)
        entered = accounts.service.update_account(token, ada.account_id, AccountChanges(phone="+256700123459"))
        assert (entered.phone, entered.second_factor) == (OTHER_PHONE, True)
        for by in (signed_in(accounts, root.account_id), OWNER):
            assert accounts.service.update_account(by, ada.account_id, AccountChanges(phone=None)).phone is None

    @pytest.mark.parametrize("change", ["password", "phone", "factor off", "erased", "disabled and enabled", "proven"])
    def test_each_change_ends_the_sign_in_that_waits(self, world: World, change: str) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db)
        challenge = challenged(accounts)
        code = heard(world)
        service = accounts.service
        if change == "password":
            accounts.passwords.set_password(ada.account_id, OTHER_PASSWORD)
        elif change == "phone":
            service.update_account(OWNER, ada.account_id, AccountChanges(phone=None))
        elif change == "factor off":
            service.update_account(OWNER, ada.account_id, AccountChanges(second_factor=False))
        elif change == "erased":
            with world.db.write() as connection:
                accounts_repository.forget_phone(connection, PHONE)
        elif change == "disabled and enabled":
            service.update_account(OWNER, ada.account_id, AccountChanges(disabled=True))
            service.update_account(OWNER, ada.account_id, AccountChanges(disabled=False))
        else:
            actor = signed_in(accounts, ada.account_id)
            accounts.second_factors.begin_proof(actor, OTHER_PHONE, is_confirmed=True)
            accounts.second_factors.finish_proof(actor, heard(world, OTHER_PHONE))
        before = len(accounts.sessions.list_sessions(ada.account_id))
        over = refusal(lambda: accounts.sign_ins.finish_second_factor(challenge, code, DEVICE))
        assert (type(over), over.code) == (NotAuthenticated, "invalid_challenge")
        assert len(accounts.sessions.list_sessions(ada.account_id)) == before

    def test_what_changes_nothing_ends_no_sign_in(self, world: World) -> None:
        accounts = accounts_of(world)
        ada = someone_called(accounts, world.db)
        challenge = challenged(accounts)
        code = heard(world)
        accounts.service.update_account(OWNER, ada.account_id, AccountChanges(username="lovelace", second_factor=True))
        assert accounts.sign_ins.finish_second_factor(challenge, code, DEVICE).account.username == "lovelace"

    @pytest.mark.parametrize("kind", ["api", "browser"])
    def test_a_sign_in_that_began_with_the_old_password_opens_nothing_after_the_new_one(
        self, world: World, kind: str
    ) -> None:
        accounts = accounts_of(world)
        accounts.service.create_account(someone())
        old = accounts.sign_ins.check_password("ada", PASSWORD, DEVICE)
        accounts.passwords.set_password(old.account_id, OTHER_PASSWORD)
        start = accounts.sessions.start_session if kind == "api" else accounts.sessions.start_browser_session
        refused = refusal(lambda: start(old.account_id, DEVICE, "password", credentials_epoch=old.credentials_epoch))
        assert isinstance(refused, InvalidCredentials)
        assert accounts.sessions.list_sessions(old.account_id) == []


class TestBudgets:
    def test_two_accounts_with_one_phone_do_not_disturb_one_another(self, db: Database) -> None:
        world = World(db, owner_rates=(Rate(5, 600), Rate(10, 86_400)), phone_rates=(Rate(10, 600), Rate(30, 86_400)))
        accounts = accounts_of(world)
        someone_called(accounts, db)
        someone_called(accounts, db, "eve")
        challenge = challenged(accounts)
        code = heard(world)
        for _ in range(5):
            challenged(accounts, "eve")
            world.pass_time(40)
        dials = len(world.provider.dials)
        assert challenged(accounts, "eve"), "which leads back to the last code"
        world.pass_time(40)
        assert len(world.provider.dials) == dials
        assert accounts.sign_ins.finish_second_factor(challenge, code, DEVICE), "not superseded"
        assert challenged(accounts), "nor too many"

    def test_wrong_codes_of_one_account_end_no_other_s_sign_in(self, world: World) -> None:
        accounts = accounts_of(world)
        someone_called(accounts, world.db)
        someone_called(accounts, world.db, "eve")
        for _ in range(2):
            challenge = challenged(accounts, "eve")
            wrong = wrong_code(heard(world))
            for _ in range(5):
                refusal(lambda: accounts.sign_ins.finish_second_factor(challenge, wrong, DEVICE))  # noqa: B023
            world.pass_time(10)
        assert refusal(lambda: accounts.sign_ins.sign_in("eve", PASSWORD, DEVICE)).code == "too_many_failures"
        assert accounts.sign_ins.finish_second_factor(challenged(accounts), heard(world), DEVICE)

    def test_sends_of_strangers_to_a_phone_keep_its_owner_from_no_sign_in(self, db: Database) -> None:
        world = World(db, owner_rates=(Rate(5, 600),), phone_rates=(Rate(10, 600), Rate(30, 86_400)))
        accounts = accounts_of(world)
        someone_called(accounts, db)
        for number in range(10):
            world.send(PHONE, owner=f"customer-{number}")
        assert refusal(lambda: world.send(PHONE, owner="one-more")).code == "phone_limit"
        world.pass_time(570)
        challenge = challenged(accounts)
        assert accounts.sign_ins.finish_second_factor(challenge, heard(world), DEVICE)

    def test_proofs_of_strangers_in_a_block_of_numbers_keep_nobody_there_from_signing_in(self, db: Database) -> None:
        policy = DestinationPolicy(block_rates=(Rate(6, 3600),), owner_rates=(Rate(8, 3600),), has_breaker=True)
        world = World(db, destination_policy=policy)
        accounts = accounts_of(world)
        someone_called(accounts, db)
        outcomes = []
        for number in range(10, 22):
            eve = accounts.service.create_account(someone(f"eve{number}", password=None))
            actor = signed_in(accounts, eve.account_id)
            prove = partial(accounts.second_factors.begin_proof, actor, f"+2567001234{number}", is_confirmed=False)
            outcomes += at_once([prove])
        assert outcomes.count("ok") == 6, "all accounts together have no more called than one owner"
        assert set(outcomes) == {"ok", "destination_limit"}
        challenge = challenged(accounts)
        world.pass_time(120)
        assert accounts.sign_ins.finish_second_factor(challenge, world.heard(PHONE)[-1], DEVICE)

    def test_a_sign_in_counts_as_a_call_for_the_others(self, db: Database) -> None:
        world = World(db, phone_rates=(Rate(1, 600),))
        accounts = accounts_of(world)
        someone_called(accounts, db)
        challenged(accounts)
        assert refusal(lambda: world.send(PHONE)).code == "phone_limit"


class TestOverHttp:
    @pytest.fixture
    def clock(self) -> StandingClock:
        return StandingClock()

    @pytest.fixture
    def app(self, tmp_path: Path, clock: StandingClock) -> Flask:
        return make_app(tmp_path, clock)

    def test_a_phone_is_called_and_its_code_is_asked_for(self, app: Flask) -> None:
        ada = a_person(app)
        without = ada.post("/api/auth/phone", {"phone": PHONE})
        assert (without.status_code, without.get_json()["code"]) == (400, "invalid_request")
        assert ada.post("/api/auth/phone", {"phone": PHONE, "current_password": "wrong"}).status_code == 403
        assert ada.post("/api/auth/phone", {"current_password": PASSWORD}).status_code == 400, "which phone?"
        called = ada.post("/api/auth/phone", {"phone": "+256 700 123456", "current_password": PASSWORD})
        assert (called.status_code, called.get_json()) == (202, {"phone": "+2567…56", "expires_in": 600})
        assert ada.get("/api/auth/me").get_json()["pending_phone"] == PHONE
        for body, status in (({"code": "x"}, 400), ({}, 400), ({"code": "123456", "second_factor": "x"}, 400)):
            assert ada.post("/api/auth/phone/verify", body).status_code == status
        stranger = a_person(app, "eve")
        assert stranger.post("/api/auth/phone/verify", {"code": "123456"}).status_code == 404
        again = ada.post("/api/auth/phone", {"current_password": PASSWORD})
        assert again.get_json()["code"] == "resend_too_soon"

    def test_an_old_session_gets_403_and_the_page_says_what_to_do(self, app: Flask, clock: StandingClock) -> None:
        accounts = services_of(app).accounts
        ada = someone_called(accounts, app.extensions["letstalk_db"])
        person = Person(app.test_client(), ada)
        person.token = accounts.sessions.start_session(ada.account_id, DEVICE, "password").access_token
        clock.move(601)
        body = {"phone": None, "current_password": PASSWORD}
        answer = person.call("PATCH", f"/api/accounts/{ada.account_id}", body)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "fresh_sign_in_required")
        assert person.get("/api/auth/me").get_json()["phone"] == PHONE

    def test_where_the_role_asks_for_it_a_person_proves_the_phone_while_signing_in(self, app: Flask) -> None:
        accounts = services_of(app).accounts
        accounts.service.create_account(someone(phone=PHONE))
        accounts.second_factors.set_policy(OWNER, Role.DEVELOPER, requires_second_factor=True)
        visitor = Visitor(app)
        answer = visitor.post("/sign-in", username="ada", password=PASSWORD)
        assert (answer.status_code, answer.location) == (302, "/sign-in/code")
        page = visitor.get("/sign-in/code").text
        assert "Call me" in page
        assert "+2567…56" in page
        assert 'name="code"' not in page
        assert visitor.post("/sign-in/phone").location == "/sign-in/code"
        assert 'name="code"' in visitor.get("/sign-in/code").text
        again = visitor.post("/sign-in/phone")
        assert again.status_code == 429
        assert not visitor.is_signed_in()
        client = app.test_client()
        body = client.post("/api/auth/login", json={"username": "ada", "password": PASSWORD}).get_json()
        assert (body["code"], body["phone"]) == ("phone_required", "+2567…56")
        early = client.post("/api/auth/second-factor", json={"challenge": body["challenge"], "code": "123456"})
        assert early.status_code in (400, 401)


def test_the_migration_keeps_the_phones_of_those_who_are_called_and_makes_the_others_wait(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for url in (f"sqlite:///{tmp_path}/old.db", request.getfixturevalue("postgresql_url")):
        db = Database(url)
        migrations.upgrade(db)
        world = World(db)
        accounts = accounts_of(world)
        for name in ("called", "never", "off", "none"):
            accounts.service.create_account(someone(name, password=None))
        migrations.downgrade(db, "0008")
        with db.write() as connection:
            for name, phone, factor, signed_in_at in (
                ("called", PHONE, True, world.clock() - timedelta(days=1)),
                ("never", PHONE, True, None),
                ("off", OTHER_PHONE, False, world.clock()),
            ):
                given = {"phone": phone, "factor": factor, "name": name}
                given["at"] = (
                    signed_in_at
                    if not db.is_sqlite or signed_in_at is None
                    else signed_in_at.replace(tzinfo=None).isoformat(" ")
                )
                statement = "UPDATE accounts SET phone = :phone, second_factor = :factor, last_signed_in_at = :at"
                connection.execute(text(f"{statement} WHERE username = :name"), given)
        migrations.upgrade(db)
        found = {name: accounts.service.find_by_username(name) for name in ("called", "never", "off", "none")}
        assert {name: (it.phone, it.pending_phone, it.second_factor) for name, it in found.items() if it} == {
            "called": (PHONE, None, True),
            "never": (None, PHONE, False),
            "off": (None, OTHER_PHONE, False),
            "none": (None, None, False),
        }
        migrations.downgrade(db, "0008")
        with db.read() as connection:
            phones = connection.exec_driver_sql("SELECT phone FROM accounts WHERE username = 'off'").scalars().all()
        assert phones == [OTHER_PHONE]
        db.close()
