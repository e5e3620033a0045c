"""Pages: cross-site forms, fixed and copied sessions, redirects, frames, markup, the password."""

from __future__ import annotations

import re
import secrets

import httpx

from tools.attacks.injections import MARKUP
from tools.attacks.targets import CannotRun, Target, patiently
from tools.attacks.trials import Attack, Trial, attack

DASHBOARD = "/api/tokens/dashboard"
EVIL = "evil.example"
ELSEWHERE = (
    f"//{EVIL}", f"///{EVIL}", f"/\\{EVIL}", f"\\\\{EVIL}", f"http://{EVIL}", f"https:{EVIL}", f"/\t/{EVIL}",
    f"/\n/{EVIL}", f" //{EVIL}", f"javascript:alert(1)//{EVIL}", f"/%09/{EVIL}", f"//{EVIL}@127.0.0.1",
    f"/\r\nLocation: //{EVIL}", f"\x00//{EVIL}", f"/\x0b/{EVIL}", f"data:text/html,{EVIL}", f"//\u3002{EVIL}",
)  # fmt: skip
FORMS = ("/dashboard/tokens", "/dashboard/tokens/%s/rotate", "/dashboard/tokens/%s/revoke", "/sign-out", "/sign-in")
MAX_SIGN_INS = 5
COOKIES = ("__Host-session", "session")  # over TLS, and without


@attack("403, and the token still works")
def forge_forms(target: Target, trial: Trial) -> None:
    """Send the dashboard's forms from another site with a signed-in session"""
    signed_in, victim = _signed_in(target), target.issue("victim", ["read"])
    strangers = _csrf(target.client().get("/sign-in").text)
    fields = {"name": "forged", "user_id": target.owner_id("victim"), "scopes": "admin", "password": "x"}
    for path in (form % victim.token_id if "%s" in form else form for form in FORMS):
        for token in (None, "", "x", strangers, "a" * 1000):
            data = fields if token is None else {**fields, "csrf_token": token}
            for headers in ({}, {"Origin": f"http://{EVIL}", "Referer": f"http://{EVIL}/"}, {"X-CSRFToken": strangers}):
                trial.see_answer(signed_in.post(path, data=data, headers=headers), 403, what="form")
        trial.see_answer(signed_in.post(path, json=fields), 403, what="JSON")
        trial.see_answer(signed_in.get(path), 200, 302, 404, 405, what="GET")
    trial.see_answer(victim.get("/api/tokens/current"), 200, what="the token lives:")
    trial.see_answer(signed_in.get(DASHBOARD), 200, what="still signed in:")


@attack("403: the session alone is not enough")
def forge_json(target: Target, trial: Trial) -> None:
    """Make and change tokens through the API with a session's cookie only"""
    signed_in, victim = _signed_in(target), target.issue("victim", ["read"])
    body = '{"scopes": ["admin"], "user_id": "forged"}'
    for content_type in (
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        for headers in ({}, {"X-CSRFToken": "x"}, {"X-CSRFToken": ""}, {"Origin": f"http://{EVIL}"}):
            typed = {"Content-Type": content_type, **headers}
            trial.see_answer(signed_in.post("/api/tokens", content=body, headers=typed), 403, what="make")
            rotated = signed_in.post(f"/api/tokens/{victim.token_id}/rotate", content="{}", headers=typed)
            trial.see_answer(rotated, 403, what="rotate")
    for method in ("DELETE", "PATCH"):
        trial.see_answer(signed_in.request(method, f"/api/tokens/{victim.token_id}"), 403, what=method)
    for path in ("/calls", "/calls/otp", "/api/tokens/current"):
        trial.see_answer(signed_in.get(path), 401, 405, what="no page's business:")


@attack("a new session at sign-in; none after sign-out, not even with a copied cookie")
def fixate(target: Target, trial: Trial) -> None:
    """Set a session before the sign-in, and keep one after the sign-out"""
    browser = target.client()
    planted = _cookie(browser, browser.get("/sign-in"))
    old_csrf = _csrf(browser.get("/sign-in").text)
    entered = _sign_in(target, browser)
    session = _cookie(browser, entered)
    trial.see("a new session" if session != planted else "the planted one", holds=session != planted)
    stranger = target.client()
    for cookie in (planted, "x", _signed_otherwise(session), session.split(".")[0] + ".."):
        answer = stranger.get(DASHBOARD, headers={"Cookie": _as_cookies(cookie)})
        trial.see_answer(answer, 302, what="planted or changed:")
    stale = browser.post("/dashboard/tokens", data={"csrf_token": old_csrf, "name": "stale", "scopes": "read"})
    trial.see_answer(stale, 403, what="the old form:")
    flags = entered.headers.get("Set-Cookie", "")
    guarded = "HttpOnly" in flags and re.search("SameSite=(Lax|Strict)", flags) is not None
    trial.see("HttpOnly, SameSite" if guarded else flags[-60:], holds=guarded)
    browser.post("/sign-out", data={"csrf_token": _csrf(browser.get(DASHBOARD).text)})
    answer = stranger.get(DASHBOARD, headers={"Cookie": _as_cookies(session)})
    trial.see_answer(answer, 302, what="a copy after the sign-out:")


@attack("no redirect to another host")
def redirect_out(target: Target, trial: Trial) -> None:
    """Get redirected to another site after the sign-in"""
    signed_in, anyone = _signed_in(target), target.client()
    for elsewhere in ELSEWHERE:
        for answer in (
            signed_in.get("/sign-in", params={"next": elsewhere}),
            signed_in.get("/sign-in", params=[("next", "/docs"), ("next", elsewhere)]),
        ):
            location = answer.headers.get("Location", "")
            home = re.fullmatch(r"/(?![/\\])[!-~]*", location) is not None and not re.match(r"/[\t\n\r]", location)
            trial.see(
                f"{answer.status_code} {location}"[:50], holds=answer.status_code < 500 and (home or not location)
            )
        page = anyone.get("/sign-in", params={"next": elsewhere})
        kept = f'name="next" value="{elsewhere}"' in page.text and not elsewhere.startswith("/%")
        trial.see("kept in the form" if kept else "dropped", holds=not kept)


@attack("no frame, no script from other sites, no cached copy")
def frame(target: Target, trial: Trial) -> None:
    """Frame pages, sniff their types, cache them"""
    signed_in = _signed_in(target)
    for path in (
        "/sign-in",
        DASHBOARD,
        "/dashboard/tokens/new",
        "/docs",
        "/nothing",
        "/openapi.json",
        "/static/script.js",
    ):
        headers = signed_in.get(path, headers={"Accept": "text/html"}).headers
        policy = headers.get("Content-Security-Policy", "")
        wanted = {
            "frames": "frame-ancestors 'none'" in policy and headers.get("X-Frame-Options") == "DENY",
            "scripts": "default-src 'none'" in policy and not re.search(r"script-src[^;]*(unsafe|\*|http)", policy),
            "sniffing": headers.get("X-Content-Type-Options") == "nosniff",
            "copies": path not in (DASHBOARD, "/sign-in") or "no-store" in headers.get("Cache-Control", ""),
        }
        for name, holds in wanted.items():
            trial.see(name if holds else f"{name} of {path}", holds=holds)


@attack("escaped wherever it is shown")
def mark_up(target: Target, trial: Trial) -> None:
    """Inject markup by names, owners, searches and rejected forms"""
    signed_in, shown = _signed_in(target), []
    for text in MARKUP:
        made = target.admin.post("/api/tokens", {"user_id": text, "name": text, "scopes": ["read"], "expires_in": 300})
        token_id = made.json()["token_id"]
        shown += [signed_in.get(f"/dashboard/tokens/{token_id}{page}").text for page in ("", "/rotate", "/revoke")]
        shown += [signed_in.get(DASHBOARD, params={"q": text, "revoked": text, "cursor": text}).text]
        shown += [signed_in.get(DASHBOARD, params={"q": text}).text]
        form = {"csrf_token": _csrf(signed_in.get("/dashboard/tokens/new").text), "submission": text}
        form |= dict.fromkeys(("name", "user_id", "scopes", "expires_in", "allowed_ips", "rate_limit"), text)
        shown += [signed_in.post("/dashboard/tokens", data=form).text, signed_in.get(f"/dashboard/tokens/{text}").text]
        target.admin.ask("DELETE", f"/api/tokens/{token_id}")
    for page in shown:
        raw = next((text for text in MARKUP if text in page and text != MARKUP[-1]), None)
        computed = "1337" in page
        trial.see("escaped" if not (raw or computed) else str(raw or "computed"), holds=not raw and not computed)


@attack("429 after a few guesses, with Retry-After, even for the right one")
def guess_password(target: Target, trial: Trial) -> None:
    """Guess the dashboard's password"""
    known = _signed_in(target)
    browser = target.client()
    statuses = [_sign_in(target, browser, password=secrets.token_hex(8)).status_code for _ in range(MAX_SIGN_INS + 3)]
    judged = statuses.count(401)
    trial.see(f"{judged} judged", holds=judged <= MAX_SIGN_INS and statuses[-1] == 429)
    spoofed = target.client()
    for number in range(3):
        lie = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": "198.51.100.1", "Forwarded": "for=198.51.100.2"}
        trial.see_answer(_sign_in(target, spoofed, password="x", headers=lie), 429, what="another address:")
    left = {name: known.cookies[name] for name in known.cookies if name.endswith("letstalk_known")}
    returning = target.client()
    returning.cookies.update(left)
    trial.see_answer(_sign_in(target, returning, password=target.password), 302, what="a known browser:")


def _signed_in(target: Target) -> httpx.Client:
    """A browser with a signed-in session; the same one each time, because sign-ins are limited."""
    if target.signed_in is None:
        browser = target.client()
        if _sign_in(target, browser).status_code != 302:
            raise CannotRun("the sign-in failed: another password, or too many tries")
        target.signed_in = browser
    return target.signed_in


def _sign_in(
    target: Target, browser: httpx.Client, *, password: str | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    if password is None and target.password is None:
        raise CannotRun("needs --password, the dashboard's")
    form = {"csrf_token": _csrf(patiently(browser, "GET", "/sign-in").text), "password": password or target.password}
    return browser.post("/sign-in", data=form, headers=headers)


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    return found[1] if found else ""


def _signed_otherwise(cookie: str) -> str:
    # The first character of the signature, because decoders ignore some bits of the last one.
    content, _, signature = cookie.rpartition(".")
    return f"{content}.{'A' if signature[:1] != 'A' else 'B'}{signature[1:]}"


def _cookie(browser: httpx.Client, answer: httpx.Response) -> str:
    jars = (answer.cookies, browser.cookies)
    return next((value for jar in jars for name in COOKIES if (value := jar.get(name))), "")


def _as_cookies(value: str) -> str:
    return "; ".join(f"{name}={value}" for name in COOKIES)


ATTACKS: tuple[Attack, ...] = (forge_forms, forge_json, fixate, redirect_out, frame, mark_up, guess_password)
