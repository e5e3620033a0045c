"""Every page, as wide as a desk and as narrow as a phone, light and dark: what all of them must keep.

The list is made from the routes: a page that lands is visited by itself, and the page of one thing (`/…/<id>`)
by the first link to it on another page. If no page links to it, `test_every_page_is_found` fails: link it, or add what
its list needs to tests/support/filled_app.py. What is no whole page (CSV, a part that a script fetches) is not visited.

On each page: axe-core finds nothing (WCAG 2.2 AA, best practice), nothing is wider than the screen, the console stays
empty, no other host is asked, all of it weighs less than 150 kB, and each form is there without scripts too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.serving import make_server

from letstalk.http.guards import GuardKind, guard_of
from tests.browser.conftest import PATIENCE_MILLISECONDS, Visit
from tests.support.apps import make_app
from tests.support.filled_app import fill
from tests.support.npm_packages import installed_modules
from tests.support.pages import Visitor, the_owner
from tests.support.services import needed

AXE = Path(__file__).parents[1] / "support" / "axe"
PAGE_KINDS = {GuardKind.SIGNED_IN, GuardKind.SIGN_IN_PAGE, GuardKind.PUBLIC}
# /docs has tests of its own, and the others are parts of a page: of the phone, of the Overview.
NO_PAGES = (
    "/static/",
    "/simulator/screen",
    "/dashboard/live",
    "/docs",
    "/openapi.json",
    "/api/auth/",
    "/api/languages",
)
MOST_BYTES = 150_000
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The address of each form that is sent, as the document has them.
FORMS = "[...document.querySelectorAll('form')].map(form => form.getAttribute('action') ?? '')"
FORM = re.compile(r'<form\b[^>]*?action="([^"]*)"')
LINK = re.compile(r'(?:href|data-[\w-]+)="(/[^"#]*)')

SIZES = [
    pytest.param({"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}, id="phone"),
    pytest.param({"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}, id="desk"),
]


@dataclass
class Site:
    """A served application with its pages, by the path that was found for each: as an admin, and as a stranger."""

    app: Flask
    base: str
    admin: Visitor
    pages: dict[str, str]
    open_pages: dict[str, str]
    linked: set[str]  # the endpoints that an admin's pages name, also those that are no whole page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    app, admin = fill(tmp_path_factory.mktemp("site"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    pages, linked = found_by(admin)
    yield Site(app, f"http://127.0.0.1:{server.server_port}", admin, pages, found_by(Visitor(app))[0], linked)
    server.shutdown()
    thread.join()
    server.server_close()


def rules_of_pages(app: Flask) -> dict[str, str]:
    """The rule of each route that may be a page, by its endpoint."""
    found = {}
    for rule in app.url_map.iter_rules():
        guard = guard_of(app.view_functions[rule.endpoint])
        is_guarded = guard is not None and guard.kind in PAGE_KINDS
        if is_guarded and "GET" in (rule.methods or ()) and not rule.rule.startswith(NO_PAGES):
            found[rule.endpoint] = rule.rule
    return found


def found_by(visitor: Visitor) -> tuple[dict[str, str], set[str]]:
    """A path for each page that `visitor` may open, by its endpoint: of the routes, and of the links on their pages.
    And every endpoint that was asked.
    """
    rules, routes = rules_of_pages(visitor.app), visitor.app.url_map.bind("localhost")
    waiting = [rule for rule in rules.values() if "<" not in rule]
    found: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        try:
            endpoint, _ = routes.match(path.split("?")[0], method="GET")
        except (HTTPException, RequestRedirect):
            continue
        if endpoint in seen or endpoint not in rules:
            continue
        seen.add(endpoint)
        answer = visitor.client.get(path, buffered=False)
        is_page = answer.status_code == 200 and answer.mimetype == "text/html"
        text = answer.text if is_page else ""
        answer.close()
        if "<html" in text:
            found[endpoint] = path
            waiting += [unescape(link) for link in LINK.findall(text)]
    return found, seen


def test_every_page_is_found(site: Site) -> None:
    rules = rules_of_pages(site.app)
    unvisited = {rule for endpoint, rule in rules.items() if "<" in rule and endpoint not in site.linked}
    assert unvisited == set(), "no page links to these"
    assert len(site.pages) >= 12
    assert len(site.open_pages) >= 6


def test_every_page_opens_where_there_is_nothing_yet(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    owner = the_owner(app)
    alone = [rule for rule in rules_of_pages(app).values() if "<" not in rule]
    statuses = {path: owner.get(path).status_code for path in alone}
    assert {path: status for path, status in statuses.items() if status not in (200, 302, 403)} == {}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("options", SIZES)
def test_every_page_keeps_what_all_must_keep(options: dict[str, Any], browser: Browser, site: Site) -> None:
    source = (needed("axe-core, by npm", installed_modules(AXE)) / "axe-core" / "axe.min.js").read_text()
    signed_in, stranger = (browser.new_context(**options) for _ in range(2))
    cookie = {"name": "session", "value": site.admin.session_cookie(), "url": site.base}
    signed_in.add_cookies([cookie])  # type: ignore[list-item]
    problems = [
        *problems_of(signed_in, site, site.admin, site.pages, source),
        *problems_of(stranger, site, Visitor(site.app), site.open_pages, source),
    ]
    signed_in.close()
    stranger.close()
    assert problems == [], "\n" + "\n".join(problems)


def problems_of(
    context: BrowserContext, site: Site, visitor: Visitor, pages: dict[str, str], source: str
) -> Iterator[str]:
    """What is wrong with each page, a line for each finding."""
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    context.add_init_script(source)
    visit = Visit(context.new_page(), context, site.base)
    visit.watch()
    answers: list[Response] = []
    visit.page.on("response", lambda answer: answers.append(answer))
    for path in pages.values():
        answers.clear()
        visit.open(path)
        text = visitor.client.get(path).text
        for finding in (
            *axe_findings(visit.page),
            *overflow_of(visit.page),
            *(f"the console says: {problem}" for problem in visit.problems),
            *(f"asks {url}" for url in visit.foreign_requests),
            *weight_of(text, answers),
            *(f"without scripts has no form {action}" for action in forms_of(visit.page) - set(FORM.findall(text))),
        ):
            yield f"{path}: {finding}"
        visit.problems.clear()
        visit.foreign_requests.clear()


def axe_findings(page: Page) -> list[str]:
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [
        f"{violation['id']}: {violation['help']}: {node['target']} {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"][:3]
    ]


def overflow_of(page: Page) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"is {wider} pixels wider than the screen"] if wider else []


def weight_of(text: str, answers: list[Response]) -> list[str]:
    """All told, also what the browser has kept from the page before."""
    files = set(re.findall(r'(?:src|href)="(/static/[^"?]+)', text))
    fetched = [answer for answer in answers if "/static/" not in answer.url and answer.request.resource_type == "fetch"]
    more = [answer for answer in fetched if answer.status < 300]  # a 304 has no body
    weight = len(text.encode()) + sum(size_of(url) for url in files) + sum(len(answer.body()) for answer in more)
    return [f"weighs {weight:,} bytes"] if weight >= MOST_BYTES else []


@cache
def size_of(url: str) -> int:
    return (Path(__file__).parents[2] / url.lstrip("/")).stat().st_size


def forms_of(page: Page) -> set[str]:
    return set(page.evaluate(FORMS))
