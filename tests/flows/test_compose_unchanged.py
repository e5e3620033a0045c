"""`compose.yaml` as it stands: a server, a worker, PostgreSQL and Redis in production, and a first code in the browser.

The containers' settings are read from the file. Only what the containers' own network, names and ports would give is
replaced.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.installations import eventually
from tests.support.apps import NO_AUTHORITIES, ROOT, ServerProcess
from tests.support.ports import free_port
from tests.test_deployment import DEPLOY, read_yaml

DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


@dataclass
class Browser:
    """A browser that runs no scripts."""

    http: httpx.Client

    def open(self, path: str) -> str:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, page: str, path: str, **fields: str) -> str:
        """Send the form of `page` that goes to `path`, with `fields` too. Returns the page that follows."""
        form = next(found for found in re.findall(r"<form.*?</form>", page, re.DOTALL) if f'action="{path}"' in found)
        held = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        answer = self.http.post(path, data={**{name: unescape(text) for name, text in held.items()}, **fields})
        assert answer.status_code == 200, answer.text
        return answer.text

    def wait_for(self, path: str, words: str) -> str:
        """The page at `path`, as soon as it has these words."""
        return eventually(lambda: text if words in (text := self.open(path)) else "", f"no {words!r} at {path}")


def environment_of(service: dict[str, Any], secrets: Path, urls: dict[str, str]) -> dict[str, str]:
    """What compose gives to the container, with the defaults of its `${…}`, and the databases of the test."""
    given = {name: DEFAULT.sub(r"\1", str(value)) for name, value in service["environment"].items()}
    found = {name: text.replace("/run/secrets", str(secrets)) for name, text in given.items() if text}
    for name, url in urls.items():
        path = Path(found[f"{name}_FILE"])
        path.unlink()
        path.write_text(url)
    return found


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path / "deploy")
    subprocess.run([tmp_path / "deploy" / "make-secrets.sh"], check=True, capture_output=True, timeout=30)
    return tmp_path / "secrets"


@pytest.fixture
def browser(tmp_path: Path, secrets: Path, migrated_postgresql_url: str, redis_url: str) -> Iterator[Browser]:
    services = read_yaml(ROOT / "compose.yaml")["services"]
    urls = {"DATABASE_URL": migrated_postgresql_url, "REDIS_URL": redis_url}
    with ExitStack() as stack:
        server = ServerProcess(tmp_path)
        outside = {name: server.environment[name] for name in ("PATH", "ENV_FILE", "FLASK_SKIP_DOTENV", "LC_ALL")}
        own = {"HOST": "127.0.0.1", "PORT": str(server.port)}
        server.environment = {**outside, **environment_of(services["server"], secrets, urls), **own}
        worker = {**outside, **environment_of(services["worker"], secrets, {}), "HOST": "127.0.0.1"}
        worker["WORKER_METRICS"] = f"127.0.0.1:{free_port()}"
        stack.enter_context(server)
        command = [sys.executable, "-m", *services["worker"]["command"]]
        with (tmp_path / "worker.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=worker, stdout=log, stderr=log)
        stack.callback(process.wait, timeout=30)
        stack.callback(process.terminate)
        http = httpx.Client(base_url=server.base, verify=NO_AUTHORITIES, timeout=30, follow_redirects=True)
        yield Browser(stack.enter_context(http))
        assert "production" in server.environment["FLASK_ENV"]
        assert process.poll() is None, (tmp_path / "worker.log").read_text()


def test_whoever_starts_compose_unchanged_finishes_a_verification_in_the_browser(
    browser: Browser, secrets: Path, tmp_path: Path
) -> None:
    password = (secrets / "dashboard_password").read_text().strip()
    overview = browser.send(browser.open("/"), "/sign-in", password=password)
    assert "No code was sent yet" in overview
    trial = browser.send(browser.open("/dashboard/try"), "/dashboard/try/token")
    [token_id] = re.findall(r'<option value="([0-9a-f-]{36})"', trial)
    sent = browser.send(trial, "/dashboard/try", token_id=token_id, phone="+1 202 555 0142")
    assert 'href="/simulator"' in sent
    # Nobody had the phone's page open when the call was placed: it waits for who was sent there.
    ringing = browser.wait_for("/simulator", "Answer</span>")
    assert "+12025550142" in ringing
    [call_path] = set(re.findall(r'action="(/simulator/calls/[0-9a-f-]+)/answer"', ringing))
    browser.send(ringing, f"{call_path}/answer")
    talking = browser.wait_for("/simulator", 'class="phone-code"')
    [code] = re.findall(r'class="phone-code">.*?(\d{6})<', talking)
    assert f"Your code is: {' '.join(code)}" in talking
    [back] = re.findall(r'href="(/dashboard/try\?verification_id=[0-9a-f-]+)"', talking)
    approved = browser.send(browser.open(back), "/dashboard/try/check", code=code)
    assert "<strong>Approved.</strong>" in approved
    assert "The phone is verified." in browser.wait_for("/simulator", "phone-approved")
    for log in ("server.log", "worker.log"):
        assert code not in (tmp_path / log).read_text()
    assert "the simulator, whose phone is /simulator" in (tmp_path / "server.log").read_text()
    # What tells a program what was said is for a developer's own machine.
    assert browser.http.get(call_path).status_code == 404
