"""What the first start says when it can't go on, where it listens, and which commands there are."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet

from letstalk import wiring
from letstalk.config.settings import SettingsError, load_settings
from tests.support.apps import ServerProcess, environment, issue_token, make_app
from tests.support.commands import Installation, invoke, only_line


@pytest.mark.parametrize("kind", ["development", "production"])
def test_a_port_that_is_taken_is_one_line_that_names_the_setting(kind: str, tmp_path: Path) -> None:
    installation = Installation(tmp_path, {"FLASK_ENV": kind})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        installation.environment["PORT"] = str(port)
        result = installation.serve_and_fail()
    assert (result.returncode, result.stdout) == (1, "")
    line = only_line(result.stderr)
    assert line.startswith(f"PORT {port} is taken: another program listens on 127.0.0.1:{port}")
    assert ".env" in line


def test_production_does_not_start_with_a_password_that_everybody_uses(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {"FLASK_ENV": "production"})
    installation.environment["DASHBOARD_PASSWORD"] = "password1234"
    result = installation.serve_and_fail()
    assert result.returncode == 1
    assert only_line(result.stderr).startswith("DASHBOARD_PASSWORD is easy to guess")


def test_an_address_of_another_machine_is_one_line_that_names_the_setting(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.environment["HOST"] = "2001:db8::1"
    result = installation.serve_and_fail()
    assert result.returncode == 1
    line = only_line(result.stderr)
    assert line.startswith("HOST requires an address of this machine, and [2001:db8::1]:")


def test_the_unspecified_address_of_ipv6_is_both_families_and_is_shown_in_brackets(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.environment["HOST"] = "::"
    with server:
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{server.port}/health", timeout=30).status_code == 200
        assert f"http://[::]:{server.port}" in server.log()


def test_flask_run_refuses_because_it_would_accept_sends_and_never_call(tmp_path: Path) -> None:
    for kind in ("development", "production"):
        result = Installation(tmp_path, {"FLASK_ENV": kind}).flask("run", "--port", "0")
        assert result.returncode == 1
        assert "python app.py" in only_line(result.stderr)


def test_no_command_of_an_extension_is_offered_or_runs(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    offered = [
        line.split()[0] for line in installation.flask("--help").stdout.partition("Commands:")[2].splitlines() if line
    ]
    assert {"tokens", "worker", "routes"} <= set(offered)
    assert not {"openapi", "limiter", "run"} & set(offered)
    for words in (["openapi"], ["limiter", "config"], ["limiter", "limits"], ["limiter", "clear", "--all"]):
        result = installation.flask(*words)
        assert result.returncode != 0
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
    assert "No such command" in invoke(make_app(tmp_path), "openapi").output


def test_production_after_development_says_where_the_key_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issue_token(make_app(tmp_path))
    monkeypatch.setattr(wiring, "PROJECT_ROOT", tmp_path)
    made = (tmp_path / "instance" / "encryption_keys").read_text().strip()
    new = Fernet.generate_key().decode()

    def start(keys: str) -> str:
        given = environment(tmp_path, FLASK_ENV="production", ENCRYPTION_KEYS=keys)
        with pytest.raises(SettingsError) as caught:
            wiring.create_app(load_settings(given, None, root=tmp_path))
        text = str(caught.value)
        assert "\n" not in text
        assert made not in text
        return text

    text = start(new)
    assert text.startswith("ENCRYPTION_KEYS no longer holds the key that the stored ")
    assert "instance/encryption_keys" in text
    assert "ENCRYPTION_KEYS_FILE=instance/encryption_keys" in text
    (tmp_path / "instance" / "encryption_keys").write_text(Fernet.generate_key().decode())
    assert "instance" not in start(new), "another key would not help"
    (tmp_path / "instance" / "encryption_keys").write_bytes(b"\xff")
    assert "instance" not in start(new)
