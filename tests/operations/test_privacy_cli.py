"""`flask privacy …`: a copy on standard output, an erasure that asks first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from tests.support.apps import PHONE, Api, issue_token, make_app, services_of
from tests.support.commands import Installation, invoke, only_line

NATIONAL = "0700 123456"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    # As slow as life: a call that must be live is not over before it is asked about.
    app = make_app(tmp_path, DEFAULT_REGION="UG", SIMULATOR_SPEED="1")
    assert Api(app.test_client(), issue_token(app)).post("/calls/otp", {"phone": PHONE}).status_code == 202
    return app


def run(app: Flask, *words: str, typed: str = "") -> Result:
    return invoke(app, "privacy", *words, typed=typed)


def kept(app: Flask) -> int:
    return len(services_of(app).privacy.export_phone(PHONE)["verifications"])


def test_export_prints_json_alone(tmp_path: Path, app: Flask) -> None:
    installation = Installation(tmp_path, {"DEFAULT_REGION": "UG", "ENCRYPTION_KEYS": keys_of(tmp_path)})
    result = installation.flask("privacy", "export", NATIONAL)
    assert (result.returncode, PHONE in result.stderr) == (0, False)
    copy = json.loads(result.stdout)
    assert copy["phone"] == PHONE
    assert [one["user_id"] for one in copy["verifications"]] == ["acme"]
    assert kept(app) == 1


def test_erase_asks_first_and_takes_no_for_an_answer(app: Flask) -> None:
    result = run(app, "erase", PHONE, typed="n\n")
    assert result.exit_code == 1
    assert "can't be undone" in result.stdout
    assert kept(app) == 1
    assert run(app, "erase", PHONE).exit_code == 1
    assert kept(app) == 1


@pytest.mark.parametrize(("words", "typed"), [(["--yes"], ""), ([], "y\n")])
def test_erase_deletes(app: Flask, words: list[str], typed: str) -> None:
    result = run(app, "erase", NATIONAL, *words, typed=typed)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "Erased 1 verifications."
    assert kept(app) == 0


@pytest.mark.parametrize("words", [["export", "nobody"], ["erase", "--yes", "nobody"]])
def test_what_is_no_phone_is_refused_in_one_line(app: Flask, words: list[str]) -> None:
    result = run(app, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr).startswith("Error: ")


def test_erase_is_refused_while_a_call_is_live(app: Flask) -> None:
    services_of(app).dispatch.dispatch()
    try:
        result = run(app, "erase", "--yes", PHONE)
    finally:
        app.extensions["letstalk_background_work"].stop()
    assert (result.exit_code, result.stdout) == (1, "")
    assert only_line(result.stderr) == "Error: A call to this phone is live. Try again in three minutes."
    assert kept(app) == 1


def keys_of(folder: Path) -> str:
    """The encryption key that an application in development made for itself."""
    return (folder / "instance" / "encryption_keys").read_text().strip()
