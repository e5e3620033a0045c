"""The tests see nothing of the project's `.env`, of `instance/` or of the environment of the person who starts them."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from letstalk.config.settings import SETTING_NAMES, SettingsError, load_settings
from tests.support.apps import ROOT, ServerProcess
from tests.support.surroundings import leave_the_caller_behind

STARTED_BY_TESTS = ("tests", "tools")
COPIED = ("letstalk", "templates", "static", "tests", "tools", "app.py", "pyproject.toml", ".env.example")
RUBBISH = ("__pycache__", "node_modules", ".*_cache")
POISON = {
    **dict.fromkeys(SETTING_NAMES, "poison"),
    **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:1"),
    "SECRET_KEY_FILE": "/nowhere",
    "ENV_FILE": "/nowhere",
    "FLASK_APP": "nothing",
    "FLASK_RUN_PORT": "1",
    "LANG": "tlh",
    "LC_ALL": "tlh",
    "PYTHONWARNINGS": "error",
    "MAKEFLAGS": "n",
}
# They start `flask` and `python app.py`, and build applications in their own process.
TELLING_TESTS = ("tests/operations/test_keys_cli.py", "tests/config/test_first_run.py")


def test_what_the_caller_has_set_reaches_neither_the_tests_nor_what_they_start() -> None:
    environment = {**POISON, "PATH": "/bin", "REQUIRE_ALL": "1", "PYTEST_XDIST_WORKER": "gw0", "npm_config_x": "y"}
    leave_the_caller_behind(environment)
    assert "poison" not in environment.values()
    assert environment == {
        "PATH": "/bin",
        "REQUIRE_ALL": "1",
        "PYTEST_XDIST_WORKER": "gw0",
        "npm_config_x": "y",
        "npm_config_proxy": "http://127.0.0.1:1",
        "npm_config_https_proxy": "http://127.0.0.1:1",
        "ENV_FILE": os.devnull,
        "FLASK_SKIP_DOTENV": "1",
        "LC_ALL": "C.UTF-8",
    }


def test_a_test_finds_no_setting_unless_it_sets_it(tmp_path: Path) -> None:
    assert not {*SETTING_NAMES} & {*os.environ}
    with pytest.raises(SettingsError, match="SECRET_KEY is missing"):
        load_settings()
    for environment in (os.environ, ServerProcess(tmp_path).environment):
        assert environment["ENV_FILE"] == os.devnull
        assert environment["FLASK_SKIP_DOTENV"] == "1"


@pytest.mark.parametrize("folder", STARTED_BY_TESTS)
def test_every_program_that_is_given_an_environment_gets_the_clean_one(folder: str) -> None:
    """A dict of one's own would forget that there is no `.env`, as three helpers did."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "env":
                assert not isinstance(node.value, ast.Dict), f"{path}:{node.value.lineno}"


@pytest.mark.timeout(300)
def test_the_tests_pass_after_make_run_whatever_its_env_file_says(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns(*RUBBISH))
        else:
            clone.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, clone)
    (clone / ".env").write_text("".join(f"{name}=poison\n" for name in SETTING_NAMES) + "SECRET_KEY='never closed\n")
    (clone / ".flaskenv").write_text("FLASK_APP=nothing\n")
    for name in ("secret_key", "encryption_keys"):
        (clone / "instance").mkdir(exist_ok=True)
        (clone / "instance" / name).touch()  # which is refused wherever it is read
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "-x", *TELLING_TESTS],
        cwd=clone,
        env=os.environ | POISON,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert sorted(path.name for path in (clone / "instance").iterdir()) == ["encryption_keys", "secret_key"]
