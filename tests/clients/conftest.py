"""One served application with the simulator, for all tests of the clients, and the phone that it calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from letstalk.core.clock import utc_now
from letstalk_client import Client
from letstalk_client.events import CallOfEvent
from tests.flows.installations import NO_PHONE_LIMITS, eventually
from tests.support.apps import NO_AUTHORITIES, issue_token, make_app, working
from tests.support.documents import ROOT
from tests.support.npm_packages import installed_modules
from tests.support.services import needed

JAVASCRIPT = ROOT / "clients" / "javascript"
PACKAGES = ROOT / "tests" / "support" / "clients"
SCOPES = ("read", "write", "otp:speak")


@dataclass(frozen=True)
class Service:
    """Where it is served. `token` may send, check, speak and read."""

    url: str
    token: str
    issue: Callable[..., str]

    @property
    def settings(self) -> dict[str, str]:
        """The environment of an app that uses it."""
        return {"LETSTALK_URL": self.url, "LETSTALK_TOKEN": self.token}

    def calls_of(self, phone: str) -> list[str]:
        """The ids of the calls to a phone that have rung, newest first."""
        with Client(self.url, self.token) as client:
            rung = client.list_events(type="call.ringing", limit=100).events
        return [each.data.call_id for each in rung if isinstance(each.data, CallOfEvent) and each.data.phone == phone]

    def new_call_of(self, phone: str, known: list[str]) -> str:
        """The id of a call to a phone that is not among those that are known."""

        def find() -> list[str]:
            return [each for each in self.calls_of(phone) if each not in known]

        return eventually(find, f"{phone} did not ring")[0]

    def heard_by(self, phone: str) -> str:
        """The code that a phone hears in its newest call, for tests that do not see which call that is."""
        return self.heard(eventually(lambda: self.calls_of(phone), f"{phone} did not ring")[0])

    def heard(self, call_id: str) -> str:
        """The code that the phone hears in a call, once it was said."""

        def find() -> str | None:
            answer = httpx.get(f"{self.url}/simulator/calls/{call_id}", verify=NO_AUTHORITIES)
            found: str | None = answer.json().get("code")
            return found

        return str(eventually(find, "nothing was heard"))


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    app = make_app(tmp_path_factory.mktemp("clients"), utc_now, **NO_PHONE_LIMITS)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with working(app):

            def issue(*scopes: str, **fields: str) -> str:
                return issue_token(app, *scopes, **fields)

            yield Service(f"http://127.0.0.1:{server.server_port}", issue(*SCOPES), issue)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, service.token) as client:
        yield client


@pytest.fixture(scope="package")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where an app would be: the packages are in its `node_modules`."""
    folder = tmp_path_factory.mktemp("app")
    modules = folder / "node_modules"
    modules.mkdir()
    for installed in needed("better-auth, by npm", installed_modules(PACKAGES)).iterdir():
        (modules / installed.name).symlink_to(installed)
    package = modules / "letstalk-client"
    package.mkdir()
    (package / "package.json").write_bytes((JAVASCRIPT / "package.json").read_bytes())
    (package / "src").mkdir()
    for each, target in ((JAVASCRIPT / "src", package / "src"), (JAVASCRIPT / "test", folder)):
        for path in each.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    return folder
