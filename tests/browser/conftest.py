"""A served application and a real browser that visits it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from werkzeug.serving import make_server

from letstalk.config.settings import load_settings
from tests.support.quick_apps import quick_app
from tests.support.services import chromium_binary, needed

PASSWORD = "correct horse battery staple"

# Without these the browser itself calls its maker's servers.
QUIET_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@dataclass
class Visit:
    """One person's browser window, and everything that went wrong in it."""

    page: Page
    context: BrowserContext
    base: str
    problems: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._note_request)

    def _note_console(self, message: ConsoleMessage) -> None:
        # The browser writes every refused page load to the console; the tests look at those by their status.
        if message.type in ("error", "warning") and "the server responded with a status of" not in message.text:
            self.problems.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:")):
            self.foreign_requests.append(request.url)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def sign_in(self) -> None:
        """Sign in as the built-in owner. It ends at the list of tokens."""
        self.open("/api/tokens/dashboard")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="API tokens").wait_for()

    def create_token(self, name: str) -> str:
        """Make a token with the form, from the list. Returns its secret text; the page that shows it stays open."""
        self.page.get_by_role("link", name="New token").click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_role("button", name="Create token").click()
        return self.page.get_by_label("Token", exact=True).input_value()


PATIENCE_MILLISECONDS = 30_000  # a click takes a tenth of a second, where the machine does nothing else
expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the tests of a module. While it is open, Playwright runs an event loop in their thread, where
    `asyncio.run` and Django refuse to work: it is closed before the tests of another module begin.
    """
    binary = needed("Chromium", chromium_binary())
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(binary), args=QUIET_CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    env = {
        "FLASK_ENV": "development",
        "TELEPHONY_PROVIDER": "simulator",
        "DASHBOARD_PASSWORD": PASSWORD,
        "DATABASE_URL": f"sqlite:///{tmp_path}/letstalk.db",
    }
    return quick_app(load_settings(env, None, root=tmp_path))


@pytest.fixture
def base(app: Flask) -> Iterator[str]:
    """The address of the served application."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Callable[..., Visit]]:
    """Opens a window, with Playwright's context options; at the end none may have misbehaved."""
    visits: list[Visit] = []

    def start(**options: Any) -> Visit:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        visits.append(Visit(context.new_page(), context, base))
        visits[-1].watch()
        return visits[-1]

    yield start
    for each in visits:
        each.context.close()
    assert [problem for each in visits for problem in each.problems] == []
    assert [url for each in visits for url in each.foreign_requests] == []
