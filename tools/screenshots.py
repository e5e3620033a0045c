"""Makes the pictures of the dashboard that README.md shows: `python -m tools.screenshots [FOLDER]`.

An application with a month of verifications of three owners is served, and Chromium visits its pages. Run it when pages
have changed, and look at the pictures: no test does.
"""

from __future__ import annotations

import base64
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from letstalk.calls.repository import calls
from letstalk.core.clock import utc_now
from letstalk.tokens.models import NewToken
from letstalk.verifications.repository import verifications
from tests.browser.conftest import QUIET_CHROMIUM
from tests.support.apps import OWNER, PASSWORD, ROOT, Api, make_app, services_of, working
from tests.support.services import chromium_binary, needed
from tools.benchmarks.pasts import Past, Row, phones_of_countries

FOLDER = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1280, 900
QUALITY = 82
MOST_BYTES = 300_000  # of all of them

DAYS = 30
VERIFICATIONS = 24_000
FIRST_ORDER = 10_000  # the apps' own references
OWNERS = {"shop": ("Checkout", "Sign-up"), "clinic": ("Appointments",), "bank": ("Transfers", "New device")}
CALLED = ("+12025550146", "+12025550143", "+12025550144")
REASONS = {
    "busy": "The line was busy.",
    "rejected": "The call was declined.",
    "no_answer": "Nobody picked up.",
    "machine": "A machine picked up. It was told nothing.",
    "failed": "The number does not exist.",
}


def fill(app: Flask) -> list[Api]:
    """Store a month of verifications, fewer at night than by day. Returns an app with a token for each owner."""
    tokens: dict[str, list[str]] = {}
    apps = []
    for owner_id, names in OWNERS.items():
        made = [services_of(app).tokens.create_token(OWNER, NewToken(owner_id=owner_id, name=name)) for name in names]
        tokens[owner_id] = [one.record.token_id for one in made]
        apps.append(Api(app.test_client(), made[0].secret))
    chance = random.Random(7)  # noqa: S311  # the same pictures each time
    past = Past("shop", list(OWNERS), tokens, utc_now(), youngest_days=0.005, oldest_days=DAYS)
    rows = [
        (verification | {"reference": f"order-{FIRST_ORDER + number}"}, _completed(call))
        for number, (verification, call) in enumerate(past.make(phones_of_countries(), VERIFICATIONS))
        if chance.random() < _busyness(verification)
    ]
    with app.extensions["letstalk_db"].write() as connection:
        _insert(connection, verifications, [verification for verification, _ in rows])
        _insert(connection, calls, [call for _, call in rows])
    while services_of(app).rollups.roll_up():
        pass
    return apps


def _busyness(verification: Row) -> float:
    """Between 0 and 1: of all that would be sent at the busiest hour, what is sent at this one."""
    begun = verification["created_at"]
    by_hour = 1 - abs(begun.hour - 14) / 13
    return float(by_hour * (0.6 if begun.weekday() >= 5 else 1.0))


def _completed(call: Row) -> Row:
    """The call with what a real one has: an end, and the reason for it."""
    last = call["heard_at"] or call["answered_at"] or call["rang_at"] or call["started_at"]
    ended_at = last + timedelta(seconds=3)
    reason = REASONS.get(call["status"], call["reason"])
    return {**call, "ended_at": ended_at, "duration_seconds": 12.0, "reason": reason}


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    keys = {column.name: column.key for column in table.columns}
    iterator = iter(rows)
    while some := list(islice(iterator, 2_000)):
        values = [{keys[name]: value for name, value in row.items() if name in keys} for row in some]
        connection.execute(sa.insert(table), values)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address of the application."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Photographer:
    def __init__(self, browser: Browser, base: str, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._pages = {scheme: self._signed_in(browser, scheme) for scheme in ("light", "dark")}

    def open(self, path: str, scheme: str) -> Page:
        page = self._pages[scheme]
        page.goto(self._base + path)
        return page

    def take(self, page: Page, name: str) -> None:
        page.evaluate("document.activeElement?.blur()")
        page.mouse.move(0, 0)
        protocol = page.context.new_cdp_session(page)
        shot = protocol.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        (self._folder / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))

    def _signed_in(self, browser: Browser, scheme: Any) -> Page:
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto(f"{self._base}/sign-in")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Overview").wait_for()
        return page


def take_all(apps: list[Api], photographer: Photographer) -> None:
    """Five pictures. The calls of this moment are answered on the phone's page."""
    phone = photographer.open("/simulator", "dark")
    for order, (app, number) in enumerate(zip(apps, CALLED, strict=True), FIRST_ORDER + VERIFICATIONS):
        _post(app, "/calls/otp", {"phone": number, "reference": f"order-{order}"})
    phone.get_by_role("button", name="Answer", exact=True).click()
    code = phone.locator(".phone-code").inner_text().split()[-1]
    answered = phone.locator(".phone").get_attribute("data-number")
    photographer.take(phone, "phone")
    photographer.take(photographer.open("/dashboard?period=week", "light"), "overview")

    (verified,) = [app for app, called in zip(apps, CALLED, strict=True) if called == answered]
    _post(verified, "/calls/verify", {"phone": answered, "code": code})
    story = phone.get_by_role("link", name="See the verification").get_attribute("href")
    photographer.take(photographer.open(str(story), "light"), "verification")
    photographer.take(photographer.open("/dashboard/verifications", "dark"), "verifications")

    page = photographer.open("/dashboard/try", "light")
    page.get_by_role("button", name="Call the phone").click()
    page.get_by_role("link", name="Answer the phone").wait_for()
    photographer.take(page, "try-it")


def _post(app: Api, path: str, body: dict[str, Any]) -> None:
    answer = app.post(path, body)
    if answer.status_code >= 400:
        raise RuntimeError(answer.text)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    binary = needed("Chromium", chromium_binary())
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        app = make_app(Path(data), SIMULATOR_SPEED="1", RATE_LIMIT_PHONE_ALL="off", LOG_LEVEL="WARNING")
        apps = fill(app)
        browser = playwright.chromium.launch(executable_path=str(binary), args=QUIET_CHROMIUM)
        with working(app), served(app) as base:
            take_all(apps, Photographer(browser, base, folder))
        browser.close()
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.webp"))}
    sys.stdout.writelines(f"{name}: {size:,} bytes\n" for name, size in sizes.items())
    if sum(sizes.values()) > MOST_BYTES:
        sys.exit(f"They are {sum(sizes.values()):,} bytes, more than {MOST_BYTES:,}. Lower QUALITY.")


if __name__ == "__main__":
    main()
