"""A page of another site in a real browser: it calls what CORS_ORIGINS lets it call, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from tests.support.apps import issue_token, make_app

# What a page sees: the status and what it may read, or that the browser kept the answer from it.
ASK = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return {status: answer.status, request: answer.headers.get("X-Request-Id"), body: await answer.text()};
  } catch (error) {
    return {kept: String(error)};
  }
}"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another site</title>")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def sites() -> Iterator[tuple[str, str]]:
    """Two other sites, of which the first is named."""
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)) as named,
        serving(ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)) as unnamed,
    ):
        yield named, unnamed


@pytest.fixture
def served(sites: tuple[str, str], tmp_path: Path) -> Iterator[tuple[Flask, str]]:
    app = make_app(tmp_path, CORS_ORIGINS=sites[0])
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as base:
        yield app, base


def ask(page: Page, url: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(ASK, [url, options])
    return answer


def test_a_page_of_a_named_site_calls_with_its_token_and_others_do_not(
    browser: Browser, sites: tuple[str, str], served: tuple[Flask, str]
) -> None:
    app, base = served
    token = {"Authorization": f"Bearer {issue_token(app, 'admin')}", "Content-Type": "application/json"}
    send: dict[str, Any] = {"method": "POST", "headers": {**token, "Idempotency-Key": "one"}}
    send["body"] = '{"phone": "+1 202 555 0177"}'
    page = browser.new_page()
    page.goto(sites[0])
    # `Cross-Origin-Resource-Policy: same-origin` is about what is fetched without CORS, and stands in nobody's way.
    sent = ask(page, f"{base}/calls/otp", **send)
    assert sent["status"] == 202, sent
    assert sent["request"]
    assert ask(page, f"{base}/calls")["status"] == 401
    assert ask(page, f"{base}/api/auth/sessions", method="DELETE", headers=token)["status"] == 403
    # Named or not: no tokens, no accounts, no pages, and nothing with cookies.
    for path in ("/api/tokens", "/api/accounts", "/health"):
        assert "kept" in ask(page, base + path, headers=token), path
    assert "kept" in ask(page, f"{base}/calls", headers=token, credentials="include")
    assert "kept" in ask(page, f"{base}/api/tokens", method="POST")
    page.goto(sites[1])
    assert "kept" in ask(page, f"{base}/calls", headers=token)
    assert "kept" in ask(page, f"{base}/calls/otp", **send)
    page.close()
