"""The `.env` and the secrets that are made where there are none."""

from __future__ import annotations

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from letstalk.config.first_run import write_env
from letstalk.config.settings import PROJECT_ROOT, load_settings
from letstalk.core.secret_files import make_secret_key, read_or_make, write_once


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(PROJECT_ROOT / ".env.example", tmp_path)
    return tmp_path


def test_a_fresh_clone_gets_a_development_set_up_with_secrets_of_its_own(root: Path) -> None:
    assert write_env(root)
    settings = load_settings({}, root / ".env", root=root)
    assert settings.is_development
    assert settings.telephony_provider == "simulator"
    assert not settings.dashboard_password_was_made
    assert len(settings.dashboard_password.get_secret_value()) >= 12
    assert stat.S_IMODE((root / ".env").stat().st_mode) == 0o600
    assert not list(root.glob("instance/*")), "all secrets stand in .env"


def test_the_comments_of_the_example_stay(root: Path) -> None:
    write_env(root)
    for line in (root / ".env.example").read_text().splitlines():
        if line.startswith("#"):
            assert line in (root / ".env").read_text().splitlines()


def test_no_two_set_ups_share_a_secret(root: Path) -> None:
    write_env(root)
    first = load_settings({}, root / ".env", root=root)
    (root / ".env").unlink()
    write_env(root)
    second = load_settings({}, root / ".env", root=root)
    assert first.secret_key != second.secret_key
    assert first.encryption_keys != second.encryption_keys
    assert first.dashboard_password != second.dashboard_password


def test_an_env_file_that_stands_is_left_alone(root: Path) -> None:
    (root / ".env").write_text("PORT=5001\n")
    assert not write_env(root)
    assert (root / ".env").read_text() == "PORT=5001\n"


def test_an_example_without_the_lines_to_fill_in_is_refused(root: Path) -> None:
    (root / ".env.example").write_text("PORT=5000\n")
    with pytest.raises(ValueError, match="FLASK_ENV="):
        write_env(root)
    assert not (root / ".env").exists()


def test_of_many_processes_that_make_a_secret_at_once_all_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "instance" / "secret_key"
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: read_or_make(path, make_secret_key), range(64)))
    assert len(secrets) == 1
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"], "no draft stays behind"


def test_what_stands_is_never_written_over(tmp_path: Path) -> None:
    assert write_once(tmp_path / "kept", "first")
    assert not write_once(tmp_path / "kept", "second")
    assert (tmp_path / "kept").read_text() == "first"


def test_an_empty_secret_file_is_refused_rather_than_used(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(ValueError, match="empty"):
        read_or_make(tmp_path / "secret_key", make_secret_key)
