"""`flask accounts …`: the commands of an operator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from letstalk.sso.models import Identity, IdentityRefused
from tests.support.account_services import DEVICE, OTHER_PASSWORD, PASSWORD, Person
from tests.support.apps import make_app, services_of
from tests.support.commands import Installation, invoke, only_line

ADA = ("--username", "ada", "--email", "ada@example.com")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


def run(app: Flask, *words: str, typed: str = "") -> Result:
    return invoke(app, "accounts", *words, typed=typed)


def person(app: Flask, name: str = "ada", password: str = PASSWORD) -> Person:
    account = services_of(app).accounts.service.find_by_username(name)
    assert account is not None
    return Person(app.test_client(), account, password)


def test_an_account_is_made_with_a_password_from_standard_input_and_can_sign_in(app: Flask) -> None:
    made = run(app, "create", *ADA, "--role", "developer", "--user-ids", "acme, globex", typed=f"{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    ada = person(app)
    assert only_line(made.stdout) == ada.account.account_id
    assert (ada.account.role.value, ada.account.owner_ids) == ("developer", ("acme", "globex"))
    assert ada.sign_in().status_code == 200
    assert PASSWORD not in made.output


def test_a_real_shell_pipes_the_password_in(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    made = installation.flask("accounts", "create", *ADA, "--role", "admin", typed=PASSWORD)
    assert made.returncode == 0, made.stderr
    assert len(only_line(made.stdout)) == 36
    listed = json.loads(installation.flask("accounts", "list", "--json").stdout)
    assert [(account["username"], account["role"], account["state"]) for account in listed] == [
        ("ada", "admin", "active")
    ]
    assert PASSWORD not in made.stderr


def test_no_password_is_ever_an_argument(app: Flask) -> None:
    for words in (("create", *ADA, "--password", PASSWORD), ("set-password", "ada", PASSWORD)):
        assert run(app, *words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        ((*ADA,), "short\n", "12 to 256"),
        ((*ADA,), "", "12 to 256"),
        ((*ADA,), "password1234\n", "easy to guess"),
        (("--username", "a b", "--email", "ada@example.com"), f"{PASSWORD}\n", "username"),
        (("--username", "ada", "--email", "nobody"), f"{PASSWORD}\n", "e-mail"),
        ((*ADA, "--phone", "12"), f"{PASSWORD}\n", "phone"),
    ],
)
def test_what_can_be_no_account_is_one_line_and_makes_none(
    app: Flask, words: tuple[str, ...], typed: str, said: str
) -> None:
    result = run(app, "create", *words, typed=typed)
    assert result.exit_code == 1
    assert said in only_line(result.stderr)
    assert run(app, "list", "--json").stdout.strip() == "[]"


def test_the_list_is_a_table_without_secrets(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    header, row = run(app, "list").stdout.splitlines()
    assert header.split()[:2] == ["ACCOUNT", "ID"]
    assert row.split()[1:] == ["ada", "ada@example.com", "viewer", "active", "-"]


def test_a_role_is_given_by_name_address_or_id_and_old_access_tokens_end(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    ada = person(app)
    ada.sign_in()
    for name, role in (("ADA", "developer"), ("Ada@example.com", "admin"), (ada.account.account_id, "viewer")):
        assert run(app, "set-role", name, role).exit_code == 0
        assert ada.get("/api/auth/me").status_code == 401
        ada.keep(ada.client.post("/api/auth/refresh", json={"refresh_token": ada.refresh_token}))
        assert ada.get("/api/auth/me").get_json()["role"] == role
    assert run(app, "set-role", "ada", "root").exit_code == 2
    assert "nobody" in only_line(run(app, "set-role", "nobody", "admin").stderr).lower()


def test_a_disabled_person_is_out_at_once_and_can_be_let_in_again(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    ada = person(app)
    ada.sign_in()
    assert run(app, "disable", "ada").exit_code == 0
    assert ada.get("/api/auth/me").status_code == 401
    assert ada.sign_in().status_code == 401
    assert run(app, "disable", "ada", "--undo").exit_code == 0
    assert ada.sign_in().status_code == 200


def test_a_new_password_ends_every_session(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    ada = person(app)
    ada.sign_in()
    assert run(app, "set-password", "ada", typed="short\n").exit_code == 1
    assert ada.get("/api/auth/me").status_code == 200
    changed = run(app, "set-password", "ada", typed=f"{OTHER_PASSWORD}\n")
    assert changed.exit_code == 0
    assert OTHER_PASSWORD not in changed.output
    assert ada.get("/api/auth/me").status_code == 401
    assert ada.sign_in().status_code == 401
    assert person(app, password=OTHER_PASSWORD).sign_in().status_code == 200


def test_who_somebody_is_elsewhere_can_be_forgotten(app: Flask) -> None:
    run(app, "create", *ADA, typed=PASSWORD)
    before, moved = (Identity("https://id.example.com", subject, "ada@example.com") for subject in ("1", "2"))

    def comes_in(identity: Identity) -> bool:
        try:
            with app.extensions["letstalk_db"].write() as connection:
                return bool(services_of(app).single_sign_on.identities.admit(connection, identity, None))
        except IdentityRefused:
            return False

    assert (comes_in(before), comes_in(moved)) == (True, False)
    done = run(app, "unlink", "ada@example.com")
    assert (done.exit_code, done.stderr) == (0, "ada@example.com was linked with 1 identities, and has none now.\n")
    assert (comes_in(moved), comes_in(before)) == (True, False)
    assert run(app, "unlink", "nobody").exit_code == 1


def test_a_new_signing_key_keeps_the_tokens_of_the_one_before(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    ada = person(app)
    ada.sign_in()
    rotated = invoke(app, "keys", "rotate-signing")
    assert rotated.exit_code == 0
    assert len(only_line(rotated.stdout)) == 36
    assert ada.get("/api/auth/me").status_code == 200
    assert ada.sign_in().status_code == 200
    assert ada.get("/api/auth/me").status_code == 200


def test_everything_that_an_operator_does_is_in_the_audit_trail(app: Flask) -> None:
    run(app, "create", *ADA, typed=f"{PASSWORD}\n")
    run(app, "set-role", "ada", "admin")
    run(app, "disable", "ada")
    run(app, "set-password", "ada", typed=f"{OTHER_PASSWORD}\n")
    ada = person(app).account.account_id
    with app.extensions["letstalk_db"].read() as connection:
        rows = connection.exec_driver_sql("SELECT action, actor_kind, account_id FROM audit_events ORDER BY at").all()
    assert [tuple(row) for row in rows] == [
        ("account.created", "command_line", ada),
        ("account.updated", "command_line", ada),
        ("account.updated", "command_line", ada),
        ("account.password_changed", "command_line", ada),
    ]


def test_the_owner_s_password_can_be_switched_off_once_an_admin_can_sign_in(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    settings = installation.environment
    settings["OWNER_SIGN_IN"] = "off"
    for refused in (installation.serve_and_fail(), installation.flask("accounts", "list")):
        assert refused.returncode != 0
        said = only_line(refused.stderr).removeprefix("Error: ")
        assert said.startswith("OWNER_SIGN_IN=off requires an active admin account")
    settings["OWNER_SIGN_IN"] = "on"
    assert installation.flask("accounts", "create", *ADA, "--role", "admin", typed=PASSWORD).returncode == 0
    settings["OWNER_SIGN_IN"] = "off"
    del settings["DASHBOARD_PASSWORD"]  # nobody needs to make one up any more
    listed = installation.flask("accounts", "list")
    assert listed.returncode == 0, listed.stderr
    last = installation.flask("accounts", "disable", "ada")
    assert last.returncode == 1
    assert "last admin" in only_line(last.stderr)


def test_with_the_owner_switched_off_the_password_opens_nothing_and_ends_what_it_opened(tmp_path: Path) -> None:
    from tests.support.apps import PASSWORD as OWNER_PASSWORD

    app = make_app(tmp_path)
    run(app, "create", *ADA, "--role", "admin", typed=f"{PASSWORD}\n")
    opened = services_of(app).owner_sessions.sign_in(OWNER_PASSWORD, "127.0.0.1")
    closed = services_of(make_app(tmp_path, OWNER_SIGN_IN="off"))
    assert not closed.owner_sessions.is_live(opened)
    with pytest.raises(Exception, match="not the password"):
        closed.owner_sessions.sign_in(OWNER_PASSWORD, "127.0.0.1")
    assert closed.accounts.sign_ins.sign_in("ada", PASSWORD, DEVICE)
