"""`flask keys …`, and what a key that is missing does to everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.support.apps import make_app
from tests.support.commands import Installation, invoke, only_line

LOST = "ENCRYPTION_KEYS no longer holds the key that the stored digest keys need"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_generate_prints_a_new_key_each_time_and_needs_no_settings(tmp_path: Path, installation: Installation) -> None:
    for name in ("ENCRYPTION_KEYS", "SECRET_KEY", "DASHBOARD_PASSWORD"):
        del installation.environment[name]
    result = installation.flask("keys", "generate")
    assert (result.returncode, result.stderr) == (0, "")
    assert Fernet(only_line(result.stdout))
    assert only_line(result.stdout) != only_line(invoke(make_app(tmp_path), "keys", "generate").stdout)


def test_generate_reads_no_settings_and_opens_no_database(tmp_path: Path, installation: Installation) -> None:
    (tmp_path / "broken.env").write_text("SECRET_KEY='never closed\n")
    installation.environment["ENV_FILE"] = str(tmp_path / "broken.env")
    result = installation.flask("--app", "app", "keys", "generate")
    assert (result.returncode, result.stderr) == (0, "")
    assert Fernet(only_line(result.stdout))
    assert installation.flask("keys", "--help").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["broken.env"], "no database was made"

    refused = installation.flask("tokens", "list")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert only_line(refused.stderr) == "Error: broken.env requires NAME=value in line 1"


def test_the_commands_of_flask_itself_find_the_whole_application(installation: Installation) -> None:
    routes = installation.flask("routes")
    assert routes.returncode == 0, routes.stderr
    assert "/calls/verify" in routes.stdout


def test_keys_are_rotated_and_a_lost_one_stops_everything_with_one_line(installation: Installation) -> None:
    old, new, environment = installation.key, Fernet.generate_key().decode(), installation.environment
    token = installation.flask("tokens", "create", "--scopes", "read").stdout.strip()

    environment["ENCRYPTION_KEYS"] = f"{new},{old}"
    rotated = installation.flask("keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert [line.rsplit(maxsplit=1) for line in rotated.stdout.splitlines()] == [
        ["codes of test numbers", "0"],
        ["digest keys", "1"],
        ["mails", "0"],
        ["old passwords", "0"],
        ["passwords", "0"],
        ["replaced secrets of connections", "0"],
        ["replaced secrets of webhook endpoints", "0"],
        ["scripts of calls", "0"],
        ["secrets of connections", "0"],
        ["secrets of webhook endpoints", "0"],
        ["sign-ins elsewhere", "0"],
        ["signing keys", "0"],
        ["speeches of simulated calls", "0"],
        ["tokens", "1"],
        ["waiting codes", "0"],
    ]
    environment["ENCRYPTION_KEYS"] = new
    listed = installation.flask("tokens", "list")
    assert listed.returncode == 0, listed.stderr
    assert token[:15] in listed.stdout

    environment["ENCRYPTION_KEYS"] = old
    refused = installation.flask("keys", "rotate")
    assert (refused.returncode, refused.stdout, only_line(refused.stderr)) == (1, "", f"Error: {LOST}")
    refused = installation.serve_and_fail()
    assert (refused.returncode, refused.stdout, only_line(refused.stderr)) == (1, "", LOST)
