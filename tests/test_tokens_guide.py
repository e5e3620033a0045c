"""The examples of docs/tokens.md, run in their order against a running service and compared with its responses."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.apps import PASSWORD, ServerProcess
from tests.support.documents import ROOT, Document, read
from tests.support.quick_starts import heard_by
from tests.support.services import needed, node_binary
from tests.support.terminal import PATIENCE_SECONDS, Typist

GUIDE = read(ROOT / "docs" / "tokens.md")
ADDRESS = "http://127.0.0.1:5000"
REPLAY_WAIT_SECONDS = 20

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
# Fields whose values differ from run to run, and the form that both the documented and the actual value have.
FORMS = {
    "token_id": UUID,
    "parent_id": UUID,
    "verification_id": UUID,
    "call_id": UUID,
    "request_id": UUID,
    "token": r"lt_[0-9A-Za-z]{12}_([0-9A-Za-z]{36}|…)",
    "prefix": r"lt_[0-9A-Za-z]{12}",
    "next_cursor": r"[\w=-]+…?",
    "created_at": TIME,
    "expires_at": TIME,
    "approved_at": TIME,
    "last_used": TIME,
    "ended_at": TIME,
    "at": TIME,
    "retry_after": r"\d{1,2}",
    "type": r"[a-z_]+",
}
FIXED_ERRORS = {"missing_authorization", "invalid_token"}
CALLS = {"calls.status", "calls.reason", "calls.ended_at"}  # how far a call has got depends on the moment
CALL_STATUSES = {"queued", "dialing", "ringing", "answered", "speaking", "completed", "canceled"}
# Codes of calls for people, single sign-on and the webhook, which other pages describe.
OTHER_CODES = {
    *("already_approved", "already_test_number", "too_many_test_numbers", "endpoint_disabled", "too_many_endpoints"),
    *("too_many_connections", "no_secret"),
    *("invalid_link", "sso_failed", "sso_canceled", "weak_password", "invalid_credentials"),
    "second_factor_required",
    *(
        "invalid_challenge",
        "not_granted",
        "person_required",
        "phone_required",
        "no_phone",
        "email_not_verified",
        "fresh_sign_in_required",
        "wrong_password",
    ),
    *("registration_closed", "mail_not_set_up", "sso_refused", "csrf_failed", "invalid_signature"),
    *("sso_not_configured", "username_taken", "email_taken", "last_admin", "sign_in_throttled"),
}


@dataclass(frozen=True, slots=True)
class Example:
    command: str
    status: int
    response: Any


def examples() -> list[Example]:
    """Every curl command of the guide, with the response that follows it."""
    found = re.findall(
        r"^```bash\n(curl (?:(?!^```).)+)^```\n\nResponse `(\d{3})`[^\n]*\n\n```json\n(.+?)^```$",
        GUIDE.text,
        re.MULTILINE | re.DOTALL,
    )
    return [Example(command, int(status), json.loads(response)) for command, status, response in found]


def difference(documented: Any, actual: Any, path: str = "") -> str | None:
    """Where `actual` does not have the form and the fixed values of `documented`; None where it does."""
    name = path.rpartition(".")[2]
    if isinstance(documented, dict):
        if not isinstance(actual, dict) or set(documented) != set(actual):
            return f"{path or 'response'}: documented {sorted(documented)}, was {actual}"
        parts = ((f"{path}.{key}".lstrip("."), documented[key], actual[key]) for key in documented)
    elif isinstance(documented, list) and documented and isinstance(documented[0], dict):
        if not isinstance(actual, list) or not actual:
            return f"{path}: documented a list, was {actual}"
        parts = ((path, documented[0], entry) for entry in actual)
    else:
        return None if _is_alike(documented, actual, name, path) else f"{path}: documented {documented}, was {actual}"
    return next((found for key, left, right in parts if (found := difference(left, right, key))), None)


def _is_alike(documented: Any, actual: Any, name: str, path: str) -> bool:
    if path in CALLS:
        return actual in CALL_STATUSES if name == "status" else actual is None or isinstance(actual, str)
    if documented is None or actual is None or type(documented) is not type(actual):
        return documented is None and actual is None
    if name in FORMS:
        return all(re.fullmatch(FORMS[name], str(value)) is not None for value in (documented, actual))
    if path == "expires_in":
        return isinstance(actual, int) and 0 < actual <= 300
    if name == "requests_total":
        return isinstance(actual, int) and actual >= 0
    if path == "message" and documented.endswith("is being called."):
        return bool(actual)
    return bool(documented == actual)


def _compare(example: Example, status: int, actual: Any) -> None:
    documented = example.response
    assert status == example.status, f"{example.command}\n{status} {actual}"
    if documented.get("code") not in {None, *FIXED_ERRORS}:
        # Programs decide by `code`; the sentence may change.
        assert isinstance(actual["error"], str)
        documented = {**documented, "error": actual["error"]}
    found = difference(documented, actual)
    assert found is None, f"{example.command}\n{found}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """What `make run` starts, with a simulator that is fast."""
    folder = tmp_path_factory.mktemp("service")
    with ServerProcess(folder, FLASK_ENV="development", SIMULATOR_SPEED="20") as server:
        yield server


def new_token(server: ServerProcess, owner_id: str) -> str:
    """The text of a token with `read` and `write`, which development gives without credentials."""
    token = httpx.post(f"{server.base}/api/tokens", json={"user_id": owner_id}, timeout=30).json()["token"]
    assert isinstance(token, str)
    return token


def run_curl(command: str, variables: dict[str, str]) -> tuple[int, Any]:
    """The status and the JSON of a curl command, typed as it stands into bash."""
    environment = {"PATH": os.environ["PATH"], **variables}
    status_too = r"curl() { command curl -w '\n%{http_code}' " + '"$@"; }\n'
    done = subprocess.run(
        ["bash", "-uc", status_too + command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_every_request_gets_the_documented_response(server: ServerProcess) -> None:
    # The guide asks for this send before its replay; the rest runs while the 20 seconds pass.
    with server.client(new_token(server, "shop")) as client:
        assert client.post("/calls/otp", json={"phone": "+1 202 555 0143"}).status_code == 202
    replay_at = time.monotonic() + REPLAY_WAIT_SECONDS
    variables = {"API": server.base}
    for example in examples():
        if "/calls/replay" in example.command:
            time.sleep(max(0.0, replay_at + 1 - time.monotonic()))
        status, actual = run_curl(example.command, variables)
        _compare(example, status, actual)
        if "token" in actual:
            is_admin = "ADMIN_TOKEN" not in variables
            variables["ADMIN_TOKEN" if is_admin else "TOKEN"] = actual["token"]
            # After the rotation, the id stays the old token's, which the guide then revokes.
            if not is_admin:
                variables.setdefault("TOKEN_ID", actual["token_id"])
        if actual.get("status") == "pending" and "call_id" in actual:
            variables["VERIFICATION_ID"] = actual["verification_id"]
            if actual["phone"] == "+12025550142":
                variables["CODE"] = heard_by(server.log, actual["phone"])


def test_every_request_of_the_guide_is_run() -> None:
    commands = [line for block in GUIDE.blocks("bash") for line in block.splitlines() if line.startswith("curl ")]
    assert len(commands) == len(examples()) == len(GUIDE.blocks("json"))
    shown = " ".join(re.sub(r"\s*\\\n\s*", " ", example.command) for example in examples())
    for path in ("/api/tokens/current", "/rotate", "/calls/otp", "/calls/verify", "/calls/replay", "/cancel"):
        assert path in shown
    for method in ("PATCH", "DELETE"):
        assert f"-X {method} $API/api/tokens/$TOKEN_ID" in shown
    introduced = {line.split("=")[0] for line in GUIDE.blocks("bash")[0].splitlines()}
    assert introduced == set(re.findall(r"\$([A-Z_]+)", shown))


def test_the_comparison_finds_each_kind_of_difference() -> None:
    documented = {"status": "pending", "token_id": "7c3a52c1-6d0b-4a57-9f6f-0d2a9b1c4e55", "name": None, "left": 4}
    assert difference(documented, {**documented, "token_id": "00000000-0000-0000-0000-000000000000"}) is None
    for change in ({"status": "failed"}, {"token_id": "7"}, {"name": "x"}, {"left": None}, {"left": 3}, {"more": 1}):
        assert difference(documented, {**documented, **change}) is not None, change
    assert difference({"tokens": [documented]}, {"tokens": [{**documented, "left": "4"}]}) is not None
    assert difference({"tokens": [documented]}, {"tokens": []}) is not None


def test_the_command_line_prints_a_token_that_works(server: ServerProcess) -> None:
    [command] = [block for block in GUIDE.blocks("bash") if "flask tokens create" in block]
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/flask"
    with server.client(server.flask(*arguments).strip()) as client:
        token = client.get("/api/tokens/current").json()
    assert (token["user_id"], token["name"], token["scopes"]) == ("shop", "back office", ["admin"])


def test_the_dashboard_has_the_steps_of_the_guide_and_shows_the_token_once(server: ServerProcess) -> None:
    section = GUIDE.section("Create a token in the dashboard").text
    labels = re.findall(r"\*\*(.+?)\*\*", section)
    with httpx.Client(base_url=server.base, follow_redirects=True, timeout=30) as browser:
        sign_in = browser.get("/api/tokens/dashboard")
        keys = {"csrf_token": _hidden_field(sign_in.text, "csrf_token")}
        tokens = browser.post(sign_in.url.path, data={**keys, "password": PASSWORD, "next": "/api/tokens/dashboard"})
        form = browser.get("/dashboard/tokens/new")
        keys = {name: _hidden_field(form.text, name) for name in ("csrf_token", "submission")}
        fields = {"name": "checkout", "user_id": "shop", "new_owner": "shop", "scopes": ["read", "write"]}
        created = browser.post("/dashboard/tokens", data={**keys, **fields})
        again = browser.get("/api/tokens/dashboard")
    pages = [sign_in, tokens, form, created, again]
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert labels
    for label in labels:
        assert any(re.search(rf">\s*{re.escape(label)}\s*<", page.text) for page in pages), label
    [secret] = set(re.findall(r"lt_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}", created.text))
    assert secret not in again.text
    with server.client(secret) as client:
        assert client.get("/api/tokens/current").json()["scopes"] == ["read", "write"]


def _hidden_field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, name
    return found[1]


def run_client(server: ServerProcess, language: str, *command: str | Path, folder: Path) -> None:
    [program] = GUIDE.blocks(language)
    (folder / command[-1]).write_text(program.replace(ADDRESS, server.base))
    [phone] = re.findall(r"\+1 202 555 01\d\d", program)
    with Typist(*command, folder=folder) as terminal:
        terminal.wait_for("Code: ")
        terminal.type("0000\n")
        terminal.wait_for("Wrong code. Attempts left: 4")
        terminal.wait_for("Code: ")
        terminal.type(heard_by(server.log, phone) + "\n")
        screen = terminal.leave()
    assert f"{phone.replace(' ', '')} pending" in screen
    assert screen.endswith("verified\n")


def test_the_python_client_works_as_typed(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETSTALK_TOKEN", new_token(server, "clients"))
    run_client(server, "python", sys.executable, "verify_phone.py", folder=tmp_path)


def test_the_javascript_client_works_as_typed(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = needed("Node", node_binary())
    monkeypatch.setenv("LETSTALK_TOKEN", new_token(server, "clients"))
    run_client(server, "javascript", node, "verify_phone.mjs", folder=tmp_path)


def test_the_guide_explains_every_error_of_tokens_and_codes() -> None:
    def table(document: Document) -> dict[str, str]:
        return {code: status for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", document.text, re.MULTILINE)}

    every = table(read(ROOT / "docs" / "api.md"))
    assert table(GUIDE) == {code: status for code, status in every.items() if code not in OTHER_CODES}
    assert set(every) >= OTHER_CODES


def test_the_examples_use_the_address_of_make_run_and_numbers_that_nobody_has() -> None:
    code = "".join(block for language in ("bash", "python", "javascript") for block in GUIDE.blocks(language))
    assert set(re.findall(r"https?://[^/\s\"'$]+", code)) == {ADDRESS}
    assert re.findall(r"\+1 202 555 01\d\d", code)
    assert not re.sub(r"\+1 202 555 01\d\d", "", code).count("+1")
