"""`/api/auth`: invitations, registration, verification and resets. No response reveals whether an address is known."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from letstalk.accounts.models import AccountState, NewAccount
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.database import Database
from tests.support.account_services import OTHER_PASSWORD, PASSWORD
from tests.support.apps import TurnableClock, issue_token, make_app, services_of, working
from tests.support.mail_parts import EMAIL, TOKEN
from tests.support.mail_servers import MailServer, mail_server, send_due_mails, settings_for
from tools.attacks.timing import SERIES, compare

BASE = "https://calls.example.com"
ROUNDS = {"forgot-password": 250, "resend-verification": 250, "register": 25}
OUTSIDE = "203.0.113.7"


@dataclass
class Auth:
    """Asks `/api/auth`; each request comes from an address of its own unless one is named."""

    app: Flask
    server: MailServer
    clock: TurnableClock
    addresses: Iterator[int] = field(default_factory=count)

    def post(self, call: str, body: dict[str, Any], address: str | None = None, **headers: str) -> TestResponse:
        number = next(self.addresses)
        address = address or f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}"
        return self.app.test_client().post(
            f"/api/auth/{call}", json=body, headers=headers, environ_overrides={"REMOTE_ADDR": address}
        )

    def invite(self, token: str | None = None, **wanted: Any) -> TestResponse:
        presented = token or issue_token(self.app, "admin")
        body = {"email": EMAIL, "role": "developer", "user_ids": ["acme"], **wanted}
        return self.post("invite", body, Authorization=f"Bearer {presented}")

    def make_account(self, email: str, username: str, state: AccountState = AccountState.ACTIVE) -> None:
        accounts = services_of(self.app).accounts
        accounts.service.create_account(NewAccount(email=email, username=username, password=PASSWORD, state=state))

    def deliver(self) -> None:
        send_due_mails(self.app, self.clock())

    def mailed_link(self, address: str = EMAIL) -> str:
        self.deliver()
        text = self.server.mails_to(address)[-1]
        return next(line for line in text.splitlines() if "#token=" in line)


def mail_settings(server: MailServer) -> dict[str, str]:
    return {**settings_for(server), "REGISTRATION": "open"}


@contextmanager
def auth_with(folder: Path, **settings: str) -> Iterator[Auth]:
    clock = TurnableClock()
    with mail_server() as server:
        yield Auth(make_app(folder, clock, **{**mail_settings(server), **settings}), server, clock)


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    with auth_with(tmp_path) as it:
        yield it


def refusal(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code)
    return body


def told(answer: TestResponse) -> tuple[int, dict[str, Any], list[str]]:
    """All of an answer that could tell something: its status, its body, the names of its headers."""
    return answer.status_code, answer.get_json(), sorted(answer.headers.keys())


def test_an_invitation_goes_from_the_admin_by_mail_to_a_signed_in_person(auth: Auth) -> None:
    answer = auth.invite()
    body = answer.get_json()
    assert answer.status_code == 201
    assert (body["email"], body["role"], body["user_ids"], body["mailed"]) == (EMAIL, "developer", ["acme"], True)
    assert body["link"] == auth.mailed_link()
    assert body["link"].startswith(f"{BASE}/accept-invitation#token=")
    assert answer.headers["Cache-Control"] == "no-store"
    token = body["link"].partition("#token=")[2]
    details = auth.post("invitation-details", {"token": token})
    assert details.get_json() == {
        "email": EMAIL,
        "role": "developer",
        "user_ids": ["acme"],
        "expires_at": body["expires_at"],
    }
    accepted = auth.post("register-invitation", {"token": token, "username": "ada", "password": PASSWORD})
    signed_in = accepted.get_json()
    assert accepted.status_code == 201
    assert (signed_in["username"], signed_in["role"], signed_in["token_type"]) == ("ada", "developer", "Bearer")
    me = auth.app.test_client().get("/api/auth/me", headers={"Authorization": f"Bearer {signed_in['token']}"})
    assert me.get_json()["email"] == EMAIL
    assert auth.post("login", {"username": "ada", "password": PASSWORD}).status_code == 200
    refusal(auth.post("invitation-details", {"token": token}), 400, "invalid_link")


def test_only_admins_invite_tokens_and_people_alike(auth: Auth) -> None:
    refusal(auth.post("invite", {"email": EMAIL, "role": "viewer"}), 401, "missing_authorization")
    body = refusal(auth.invite(issue_token(auth.app, "read", "write", "tokens:write")), 403, "insufficient_scope")
    assert body["required_scopes"] == ["admin"]
    auth.make_account("dev@example.org", "dev")
    viewer = auth.post("login", {"username": "dev", "password": PASSWORD}).get_json()["token"]
    refusal(auth.invite(viewer), 403, "insufficient_scope")
    refusal(auth.invite(email="dev@example.org"), 409, "email_taken")
    refusal(auth.invite(role="owner"), 400, "invalid_request")
    auth.deliver()
    assert auth.server.taken == []


def test_without_a_mail_server_in_production_only_the_admin_gets_the_link(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(tmp_path, FLASK_ENV="production", ENCRYPTION_KEYS=make_encryption_key(), PUBLIC_URL=BASE)
    auth = Auth(app, MailServer(0), TurnableClock())
    body = auth.invite().get_json()
    assert body["mailed"] is False
    [token] = TOKEN.findall(body["link"])
    for call in ("forgot-password", "resend-verification"):
        refusal(auth.post(call, {"email": EMAIL}), 403, "mail_not_set_up")
    registration = {"username": "ada", "email": "eve@example.org", "password": PASSWORD}
    refusal(auth.post("register", registration), 403, "registration_closed")
    assert token not in "".join(capfd.readouterr())
    accepted = auth.post("register-invitation", {"token": body["link"], "username": "ada", "password": PASSWORD})
    assert accepted.status_code == 201
    assert token not in "".join(capfd.readouterr())


def test_without_a_public_address_production_gives_a_path_and_believes_no_host(tmp_path: Path) -> None:
    app = make_app(tmp_path, FLASK_ENV="production", ENCRYPTION_KEYS=make_encryption_key())
    auth = Auth(app, MailServer(0), TurnableClock())
    body = auth.post(
        "invite",
        {"email": EMAIL, "role": "viewer"},
        address="127.0.0.1",
        Authorization=f"Bearer {issue_token(auth.app, 'admin')}",
    ).get_json()
    assert body["link"].startswith("/accept-invitation#token=")


@pytest.mark.parametrize(
    ("address", "host", "begins"),
    [
        ("127.0.0.1", "localhost:5000", "http://localhost:5000/"),
        ("127.0.0.1", "evil.example", "/reset-password"),
        (OUTSIDE, "localhost:5000", "/reset-password"),
    ],
)
def test_development_shows_the_link_on_the_terminal_and_believes_only_its_own_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, host: str, begins: str
) -> None:
    auth = Auth(make_app(tmp_path), MailServer(0), TurnableClock())
    auth.make_account(EMAIL, "ada")
    assert auth.post("forgot-password", {"email": EMAIL}, address, Host=host).status_code == 200
    assert "#token=" not in capsys.readouterr().out
    auth.deliver()
    [line] = [line.strip() for line in capsys.readouterr().out.splitlines() if "#token=" in line]
    assert line.startswith(begins)


def test_whoever_registers_proves_the_address_and_signs_in(auth: Auth) -> None:
    answer = auth.post("register", {"username": "ada", "email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 201
    assert PASSWORD not in answer.text
    link = auth.mailed_link()
    refusal(auth.post("login", {"username": "ada", "password": PASSWORD}), 401, "invalid_credentials")
    refusal(auth.post("verify-email", {"token": link}), 400, "invalid_request")
    weak = refusal(auth.post("verify-email", {"token": link, "password": "short"}), 400, "weak_password")
    assert weak["details"][0]["field"] == "password"
    assert auth.post("verify-email", {"token": link, "password": OTHER_PASSWORD}).status_code == 200
    refusal(auth.post("login", {"username": "ada", "password": PASSWORD}), 401, "invalid_credentials")
    assert auth.post("login", {"username": "ada", "password": OTHER_PASSWORD}).status_code == 200
    refusal(auth.post("verify-email", {"token": link, "password": PASSWORD}), 400, "invalid_link")


def test_who_registers_need_give_no_password_and_a_weak_one_is_refused_at_once(auth: Auth) -> None:
    body = {"username": "ada", "email": EMAIL}
    assert auth.post("register", body, OUTSIDE).status_code == 201
    auth.deliver()
    [mail] = auth.server.mails_to(EMAIL)
    assert f"from the network address {OUTSIDE}" in mail.replace("\n", " ")
    refusal(auth.post("register", {**body, "password": "short"}), 400, "weak_password")


def test_registration_is_closed_unless_it_is_opened(tmp_path: Path) -> None:
    auth = Auth(make_app(tmp_path), MailServer(0), TurnableClock())
    body = {"username": "ada", "email": EMAIL, "password": PASSWORD}
    refusal(auth.post("register", body), 403, "registration_closed")


def test_a_lost_password_is_replaced_and_ends_every_session(auth: Auth) -> None:
    auth.make_account(EMAIL, "ada")
    token = auth.post("login", {"username": "ada", "password": PASSWORD}).get_json()["token"]
    auth.post("forgot-password", {"email": EMAIL})
    link = auth.mailed_link()
    weak = refusal(auth.post("reset-password", {"token": link, "new_password": "short"}), 400, "weak_password")
    assert weak["details"][0]["field"] == "new_password"
    assert auth.post("reset-password", {"token": link, "new_password": OTHER_PASSWORD}).status_code == 200
    me = auth.app.test_client().get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    refusal(me, 401, "invalid_token")
    refusal(auth.post("login", {"username": "ada", "password": PASSWORD}), 401, "invalid_credentials")
    assert auth.post("login", {"username": "ada", "password": OTHER_PASSWORD}).status_code == 200
    refusal(auth.post("reset-password", {"token": link, "new_password": PASSWORD}), 400, "invalid_link")


@pytest.mark.parametrize("call", ["verify-email", "reset-password", "invitation-details", "register-invitation"])
def test_whatever_is_wrong_with_a_link_is_answered_alike(auth: Auth, call: str) -> None:
    more = {
        "verify-email": {"password": PASSWORD},
        "reset-password": {"new_password": PASSWORD},
        "register-invitation": {"username": "ada", "password": PASSWORD},
    }.get(call, {})
    auth.make_account(EMAIL, "grace")
    auth.post("forgot-password", {"email": EMAIL})
    for_something_else = auth.mailed_link()
    if call == "reset-password":
        for_something_else = auth.invite(email="b@example.org").get_json()["link"]
    answers = [
        auth.post(call, {"token": token, **more}) for token in ("ltl_" + 48 * "0", "x", "💥", for_something_else)
    ]
    for answer in answers:
        refusal(answer, 400, "invalid_link")
    assert len({answer.get_json()["error"] for answer in answers}) == 1


# --- Nobody can find out who is here. ---


def bodies(call: str, email: str) -> dict[str, Any]:
    registration = {"username": f"name-{random.getrandbits(60):x}", "password": PASSWORD}
    return {"email": email, **(registration if call == "register" else {})}


def accounts_of(auth: Auth, call: str) -> tuple[Callable[[], str], Callable[[], str]]:
    """Two sources of addresses: one that somebody has, whom the call concerns, and ones that nobody has."""
    numbers = count()
    state = AccountState.UNVERIFIED if call == "resend-verification" else AccountState.ACTIVE
    auth.make_account(EMAIL, "ada", state)
    return (lambda: EMAIL), (lambda: f"nobody{next(numbers)}@example.org")


@pytest.mark.parametrize("call", list(ROUNDS))
def test_an_answer_does_not_tell_who_has_the_address(auth: Auth, call: str) -> None:
    known, unknown = accounts_of(auth, call)
    answers = [told(auth.post(call, bodies(call, source()))) for source in (known, unknown, known, unknown)]
    for _, body, _ in answers:
        body.pop("request_id", None)
    assert answers[0][0] == (201 if call == "register" else 200)
    assert all(answer == answers[0] for answer in answers)
    auth.deliver()
    mailed = set(auth.server.recipients)
    assert EMAIL in mailed, "the known one was worth the test"
    assert call == "register" or mailed == {EMAIL}


@pytest.mark.parametrize("call", list(ROUNDS))
def test_the_same_is_done_before_the_answer_whoever_has_the_address(auth: Auth, call: str) -> None:
    known, unknown = accounts_of(auth, call)
    db: Database = auth.app.extensions["letstalk_db"]
    statements: list[str] = []
    db.close()  # so that SQLite itself tells of each statement, on every connection
    event.listen(db.engine, "connect", lambda driver, _record: driver.set_trace_callback(statements.append))
    auth.post(call, bodies(call, unknown()))  # what is done once a process
    done = []
    for source in (known, unknown):
        statements.clear()
        auth.post(call, bodies(call, source()))
        done.append([statement.split("(")[0].strip() for statement in statements])  # without the values
    assert done[0] == done[1]
    assert done[0] == ["BEGIN IMMEDIATE", "INSERT INTO mails", "COMMIT"], "nothing is looked up"


@pytest.mark.timing
@pytest.mark.parametrize("call", list(ROUNDS))
def test_the_time_of_an_answer_does_not_tell_who_has_the_address(auth: Auth, call: str) -> None:
    """While the worker runs, which does what the request has left."""
    known, unknown = accounts_of(auth, call)
    with working(auth.app):
        for _ in range(SERIES):
            taken: dict[bool, list[float]] = {True: [], False: []}
            for number in range(ROUNDS[call] + 3):
                cases = [True, False]
                random.shuffle(cases)
                for is_known in cases:
                    body = bodies(call, known() if is_known else unknown())
                    seconds = timed(auth, call, body)
                    if number >= 3:
                        taken[is_known].append(seconds)
            difference = compare(taken[False], taken[True])
            if not difference.alarms:
                return
    raise AssertionError(f"an address that somebody has answers in another time: {difference}")


def timed(auth: Auth, call: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    assert auth.post(call, body).status_code in (200, 201)
    return time.perf_counter() - started


@pytest.mark.parametrize("call", list(ROUNDS))
def test_an_address_on_the_net_may_ask_ten_times_a_minute(auth: Auth, call: str) -> None:
    answers = [auth.post(call, bodies(call, f"a{number}@example.org"), OUTSIDE) for number in range(11)]
    assert [answer.status_code < 300 for answer in answers] == [True] * 10 + [False]
    body = refusal(answers[-1], 429, "rate_limited")
    assert answers[-1].headers["Retry-After"] == str(body["retry_after"])
    assert auth.post(call, bodies(call, EMAIL), "203.0.113.8").status_code < 300, "others are not kept waiting"


def test_a_mailbox_is_not_flooded_by_asking_from_everywhere(auth: Auth) -> None:
    auth.make_account(EMAIL, "ada")
    for number in range(30):
        call = "forgot-password" if number % 5 else "register"
        assert auth.post(call, bodies(call, EMAIL)).status_code < 300
        auth.deliver()
        auth.clock.move(20)
    assert len(auth.server.taken) == 3
