"""What the tests' quick applications share with one that serves, and what they don't."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from letstalk.accounts import repository as accounts
from letstalk.accounts.passwords import SCRYPT
from letstalk.config.settings import load_settings
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.wiring import create_app
from tests.support.account_services import someone
from tests.support.apps import environment, make_app, services_of
from tests.support.quick_apps import FAST

KEY = make_encryption_key()


def slow_app(folder: Path) -> Flask:
    folder.mkdir()
    return create_app(load_settings(environment(folder, ENCRYPTION_KEYS=KEY), None, root=folder))


def quick_app(folder: Path) -> Flask:
    folder.mkdir()
    return make_app(folder, ENCRYPTION_KEYS=KEY)


def cost_of_a_password(app: Flask) -> str:
    account = services_of(app).accounts.service.create_account(someone())
    with app.extensions["letstalk_db"].read() as connection:
        sealed = accounts.get_password(connection, account.account_id)
    assert sealed
    return Vault((KEY,)).decrypt(sealed).decode().partition("$")[0]


def tables_of(app: Flask) -> list[list[str]]:
    """The lines of each statement, sorted: Alembic rebuilds a table with its constraints in any order."""
    with app.extensions["letstalk_db"].read() as connection:
        statements = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        return [sorted(line.rstrip(", ") for line in sql.splitlines()) for sql in statements.scalars()]


def test_a_password_costs_little_in_a_quick_application_only(tmp_path: Path) -> None:
    assert cost_of_a_password(quick_app(tmp_path / "quick")) == FAST
    assert cost_of_a_password(slow_app(tmp_path / "slow")) == SCRYPT  # made after it, in the same process


def test_the_database_is_the_same(tmp_path: Path) -> None:
    assert tables_of(quick_app(tmp_path / "quick")) == tables_of(slow_app(tmp_path / "slow"))


def test_nobody_else_on_the_machine_may_read_its_file(tmp_path: Path) -> None:
    quick_app(tmp_path / "quick")
    assert (tmp_path / "quick" / "letstalk.db").stat().st_mode & 0o777 == 0o600


def test_the_routes_lead_and_are_named_the_same(tmp_path: Path) -> None:
    apps = slow_app(tmp_path / "slow"), *(quick_app(tmp_path / f"quick {number}") for number in range(2))
    seen = []
    for app in apps:
        routes = app.url_map.bind("localhost")
        matched = routes.match("/dashboard/tokens/some-token/rotate", method="POST")
        built = routes.build("dashboard.rotate", {"token_id": "a b", "more": "1"})
        seen.append((matched, built, sorted(str(rule) for rule in app.url_map.iter_rules())))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1] == "/dashboard/tokens/a%20b/rotate?more=1"
