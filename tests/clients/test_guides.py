"""The programs of docs/connect/, run as they stand there, and their settings, which are those of the tested project."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from letstalk.core.clock import utc_now
from letstalk.events.models import AppEventType
from letstalk.events.signatures import headers_of, new_secret
from letstalk.verifications.event_objects import make_example
from tests.clients.conftest import Service
from tests.flows.installations import eventually
from tests.support.apps import NO_AUTHORITIES
from tests.support.documents import ROOT, read
from tests.support.ports import free_port
from tests.support.services import needed, node_binary

GUIDES = ROOT / "docs" / "connect"
SITE = ROOT / "tests" / "clients" / "django_site"
PHONE = "+12025550142"
BODY = json.dumps(make_example(utc_now, AppEventType.VERIFICATION_APPROVED, "acme")).encode()


def program(guide: str, language: str, word: str) -> str:
    """The block of a guide that has the word."""
    [found] = [block for block in read(GUIDES / guide).blocks(language) if word in block]
    return found


def prove_phone(command: list[str | Path], folder: Path, service: Service) -> str:
    """What a program prints that calls PHONE, and is given a wrong code and then the right one."""
    environment = {**os.environ, **service.settings, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")}
    known = service.calls_of(PHONE)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        code = service.heard(service.new_call_of(PHONE, known))
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        said, _ = running.communicate(f"{wrong}\n{code}\n", timeout=60)
    assert running.returncode == 0
    return said


def status_of(url: str, headers: dict[str, str]) -> int | None:
    """What is answered to BODY with these headers. None while nobody listens."""
    with suppress(httpx.TransportError):
        return httpx.post(url, content=BODY, headers=headers, verify=NO_AUTHORITIES).status_code
    return None


def test_the_program_in_python(service: Service, tmp_path: Path) -> None:
    text = program("python.md", "python", "input(").replace("+1 202 555 0142", PHONE)
    (tmp_path / "verify_phone.py").write_text(text, encoding="utf-8")
    said = prove_phone([sys.executable, "verify_phone.py"], tmp_path, service)
    assert "That is not the code. 4 tries are left." in said
    assert f"{PHONE} is proven." in said


def test_the_receiver_in_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    secret = new_secret()
    monkeypatch.setenv("LETSTALK_WEBHOOK_SECRET", secret)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(program("python.md", "python", "@app.post"), "python.md", "exec"), names)  # noqa: S102
    browser = names["app"].test_client()
    right, forged = (headers_of([each], "evt", int(time.time()), BODY) for each in (secret, new_secret()))
    assert browser.post("/hooks/calls", data=BODY, headers=forged).status_code == 400
    assert capsys.readouterr().out == ""
    assert browser.post("/hooks/calls", data=BODY, headers=right).status_code == 204
    assert capsys.readouterr().out == "+1202…42 order-4711\n"


def test_the_program_in_javascript(service: Service, workplace: Path) -> None:
    text = program("javascript.md", "javascript", "question(").replace("+1 202 555 0142", "+1 202 555 0145")
    (workplace / "verify_phone.mjs").write_text(text, encoding="utf-8")
    node = needed("Node", node_binary())
    with subprocess.Popen(
        [node, "verify_phone.mjs"],
        cwd=workplace,
        env=os.environ | service.settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        code = service.heard_by("+12025550145")
        assert running.stdin is not None
        # One line after the other: Node's readline drops what comes before the question.
        for line in (f"{(int(code) + 1) % 1_000_000:06}", code):
            wait_for_question(running)
            running.stdin.write(f"{line}\n")
            running.stdin.flush()
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "+12025550145 is proven." in said


def wait_for_question(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    seen = ""
    while not seen.endswith("The code: "):
        character = running.stdout.read(1)
        assert character, f"it ended: {seen!r}"
        seen += character


def test_the_receiver_in_javascript(workplace: Path) -> None:
    secret, port = new_secret(), free_port()
    (workplace / "receiver.mjs").write_text(program("javascript.md", "javascript", "createServer"), encoding="utf-8")
    environment = {**os.environ, "LETSTALK_WEBHOOK_SECRET": secret, "PORT": str(port)}
    node, url = needed("Node", node_binary()), f"http://127.0.0.1:{port}/hooks/calls"
    with subprocess.Popen(
        [node, "receiver.mjs"], cwd=workplace, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            right, forged = (headers_of([each], "evt", int(time.time()), BODY) for each in (secret, new_secret()))
            assert eventually(lambda: status_of(url, forged), "the receiver does not answer") == 400
            assert status_of(url, right) == 204
        finally:
            running.kill()
        assert running.communicate()[0] == "+1202…42 order-4711\n"


def test_the_lines_for_better_auth(service: Service, workplace: Path) -> None:
    (workplace / "auth.js").write_text(
        program("better-auth.md", "javascript", "signUpOnVerification"), encoding="utf-8"
    )
    done = subprocess.run(
        [needed("Node", node_binary()), "guide.js"],
        cwd=workplace,
        env=os.environ | service.settings | {"BETTER_AUTH_SECRET": "a secret for tests only, nothing else at all"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.splitlines() == ["200 code sent", "400 INVALID_OTP", "200 +12025550144"], done.stderr


def test_the_adapter_for_allauth_is_the_one_that_is_tested() -> None:
    tested = (SITE / "people" / "adapters.py").read_text(encoding="utf-8")
    assert tested.split() == program("django.md", "python", "CallsMixin").split()


def test_the_settings_for_django_are_those_of_the_tested_project() -> None:
    tested = _assignments((SITE / "settings.py").read_text(encoding="utf-8"))
    shown: dict[str, str] = {}
    for block in read(GUIDES / "django.md").blocks("python"):
        shown |= _assignments(block)
    del shown["ACCOUNT_ADAPTER"]  # it is elsewhere in each project
    assert len(shown) >= 8
    assert {name: tested.get(name) for name in shown} == shown


def _assignments(source: str) -> dict[str, str]:
    """The names in capitals that are given a value at the top, with the expression."""
    return {
        node.targets[0].id: ast.unparse(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }
