"""Every page, as wide as a desk and as narrow as a phone, light and dark: what all of them must keep.

The list is made from the routes: a page that lands is visited by itself, and the page of one thing (`/…/<id>`)
by the first link to it on another page. If no page links to it, `test_every_page_is_found` fails: link it, or add what
its list needs to tests/support/filled_app.py. What is no whole page (CSV, a part that a script fetches) is not visited.

On each page: axe-core finds nothing (WCAG 2.2 AA, best practice), the keyboard reaches everything and shows where it
is, nothing is wider than the screen, the console stays empty, no other host is asked, all of it weighs less than 150
kB, and each form is there without scripts too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
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

from letstalk.accounts.models import Role
from letstalk.accounts.repository import update_account
from letstalk.http.guards import GuardKind, guard_of
from tests.browser.axe import axe_findings, axe_source
from tests.browser.conftest import PATIENCE_MILLISECONDS, Visit
from tests.support.account_services import DEVICE, PASSWORD, someone, someone_called
from tests.support.apps import OWNER, make_app, services_of
from tests.support.filled_app import fill
from tests.support.pages import Visitor, the_owner

PAGE_KINDS = {GuardKind.SIGNED_IN, GuardKind.SIGN_IN_PAGE, GuardKind.PUBLIC}
# /docs has tests of its own, and the others are parts of a page: of the phone, of the Overview, of Try it.
NO_PAGES = (
    "/static/",
    "/simulator/screen",
    "/dashboard/live",
    "/dashboard/try/",
    "/docs",
    "/openapi.json",
    "/api/auth/",
    "/api/languages",
    "/dashboard/languages/",
)
MOST_BYTES = 150_000
# What the keyboard must reach, in the order of the document. Of the radio buttons of a group it is one.
STOPS = """
() => {
  const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
  return [...document.querySelectorAll(kinds)].filter((each) => {
    if (!each.checkVisibility({ visibilityProperty: true }) || each.disabled) {
      return false;
    }
    if (each.type !== 'radio') {
      return true;
    }
    const group = [...document.getElementsByName(each.name)].filter((other) => other.form === each.form);
    return each === (group.find((other) => other.checked) ?? group[0]);
  });
}
"""
# What is wrong with the keyboard's way. Since a key was pressed before, a focus by a script is shown as one by a key.
LOST = f"""
() => {{
  const name = (each) => each.outerHTML.slice(0, 120);
  const found = [...document.querySelectorAll('[tabindex]')].filter((each) => each.tabIndex > 0);
  const problems = found.map((each) => `has an order of its own: ${{name(each)}}`);
  for (const each of ({STOPS})()) {{
    each.focus({{ preventScroll: true }});
    const style = getComputedStyle(each);
    if (each.tabIndex < 0 || document.activeElement !== each) {{
      problems.push(`is not reached by the keyboard: ${{name(each)}}`);
    }} else if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) {{
      problems.push(`does not show the focus: ${{name(each)}}`);
    }}
  }}
  return problems;
}}
"""
# These are also walked through by the key Tab: a page of figures, lists, forms, and one of somebody unknown.
WALKED = ("/dashboard", "/dashboard/verifications", "/dashboard/tokens/new", "/dashboard/try", "/sign-in")
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
    waiting: list[Visitor]  # people who have signed in but for the second factor: each has another page for that
    linked: set[str]  # the endpoints that an admin's pages name, also those that are no whole page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    app, admin = fill(tmp_path_factory.mktemp("site"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    pages, linked = found_by(admin)
    pages |= more_pages(app)
    base, open_pages = f"http://127.0.0.1:{server.server_port}", found_by(Visitor(app))[0]
    yield Site(app, base, admin, pages, open_pages, people_who_wait(app), linked)
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


def more_pages(app: Flask) -> dict[str, str]:
    """States of a page that no link leads to."""
    tokens = services_of(app).tokens.list_tokens(OWNER, limit=2).tokens
    chosen = "&".join(f"token_id={token.token_id}" for token in tokens)
    return {
        "several tokens to revoke": f"/dashboard/tokens/revoke?{chosen}",
        "what was found": "/dashboard/search?q=acme",
        "nothing found": "/dashboard/search?q=nothing-has-this-name",
        "wrong filters": "/dashboard/verifications?phone=12&country=x",
    }


def people_who_wait(app: Flask) -> list[Visitor]:
    """Who is called, who has to enter a phone first, and who can only use a recovery code: the call is refused."""
    accounts, db = services_of(app).accounts, app.extensions["letstalk_db"]
    accounts.service.create_account(someone("nora", "viewer"))
    accounts.second_factors.set_policy(OWNER, Role.VIEWER, requires_second_factor=True)
    someone_called(accounts, db, "carl", "+256700998877")
    saved = someone_called(accounts, db, "rick", "+256700998878")
    token = accounts.sessions.start_session(saved.account_id, DEVICE, "password").access_token
    accounts.recovery_codes.replace_codes(accounts.access_tokens.authenticate(token, "127.0.0.1"), is_confirmed=True)
    with db.write() as connection:
        update_account(connection, replace(saved, phone="+88216123456"))  # a kind that is never called
    found = []
    for name in ("carl", "nora", "rick"):
        visitor = Visitor(app)
        assert visitor.post("/sign-in", username=name, password=PASSWORD).location == "/sign-in/code"
        found.append(visitor)
    return found


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
    source = axe_source()
    asked = [(site.admin, site.pages), *((visitor, {"code": "/sign-in/code"}) for visitor in site.waiting)]
    problems: list[str] = []
    for visitor, pages in [*asked, (Visitor(site.app), site.open_pages)]:
        context = browser.new_context(**options)
        if visitor.client.get_cookie("session"):
            context.add_cookies([{"name": "session", "value": visitor.session_cookie(), "url": site.base}])
        problems += problems_of(context, site, visitor, pages, source)
        context.close()
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
            *keyboard_findings(visit.page, is_walked=path in WALKED),
            *overflow_of(visit.page),
            *backticks_of(visit.page),
            *(f"the console says: {problem}" for problem in visit.problems),
            *(f"asks {url}" for url in visit.foreign_requests),
            *weight_of(text, answers),
            *(f"without scripts has no form {action}" for action in forms_of(visit.page) - set(FORM.findall(text))),
        ):
            yield f"{path}: {finding}"
        visit.problems.clear()
        visit.foreign_requests.clear()


def keyboard_findings(page: Page, *, is_walked: bool) -> list[str]:
    """What the keyboard does not reach, or where it does not show that it is there."""
    page.keyboard.press("Tab")
    found: list[str] = page.evaluate(LOST)
    return found + (walk_findings(page) if is_walked else [])


def walk_findings(page: Page) -> list[str]:
    """What the key Tab does not reach in the order of the document, from the first to the last."""
    number = f"({STOPS})().forEach((each, place) => {{ each.dataset.stop = place; }})"
    page.evaluate(f"{number}; document.activeElement.blur(); getSelection().removeAllRanges(); window.scrollTo(0, 0)")
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    count = page.locator("[data-stop]").count()
    reached: list[str] = []
    for _ in range(count * 6):  # a field for a time has a stop for each of its parts
        page.keyboard.press("Tab")
        stop = page.evaluate("document.activeElement?.dataset.stop ?? ''")
        if stop and stop not in reached:
            reached.append(stop)
        if len(reached) == count:
            break
    wanted = [str(place) for place in range(count)]
    return [] if reached == wanted else [f"Tab goes {reached} and not from 0 to {count - 1}"]


def overflow_of(page: Page) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"is {wider} pixels wider than the screen"] if wider else []


def backticks_of(page: Page) -> list[str]:
    """Sentences that were written for a terminal."""
    lines = page.locator("body").inner_text().splitlines()
    return [f"shows a backtick: {line}" for line in lines if "`" in line]


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
