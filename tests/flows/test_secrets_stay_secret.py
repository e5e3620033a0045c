"""A full journey, and then a search for its codes and tokens in everything that it left behind."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import Table

from tests.flows.installations import Installation, Owner, installed
from tests.support.apps import PASSWORD
from tests.support.fixtures.databases import all_tables

MESSAGE = "Hello from Acme. Your code is {code}. Goodbye."


def disguises(secret: str) -> dict[str, bytes]:
    """The secret as it is, and in the forms in which it could be carried off or searched for."""
    raw = secret.encode()
    forms = {"plain": raw, "hex": raw.hex().encode(), "reversed": raw[::-1]}
    for shift in range(3):  # base64 of a longer text that holds it somewhere
        encoded = base64.b64encode(b"\0" * shift + raw)[(shift * 8 + 5) // 6 :].rstrip(b"=")
        forms[f"base64 at {shift}"] = encoded[: len(raw) * 8 // 6 - 1]
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, raw, usedforsecurity=False).digest()
        forms |= {f"{name} raw": digest, f"{name} hex": digest.hex().encode()}
        forms |= {f"{name} base64": base64.b64encode(digest).rstrip(b"=")}
    return forms


def find_secret(secret: str, content: bytes) -> list[str]:
    """The forms in which `content` holds the secret."""
    lower = content.lower()
    found = [name for name, form in disguises(secret).items() if form in content or form.lower() in lower]
    if secret.isdigit() and secret.encode() in re.sub(rb"\D", b"", re.sub(rb"<[^>]*>|\\u003c.*?\\u003e", b"", content)):
        found.append("parted")
    return found


@dataclass
class Journey:
    """What was secret in it, and every answer that anybody got."""

    codes: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: list[httpx.Response] = field(default_factory=list)
    shown_once: list[httpx.Response] = field(default_factory=list)

    @property
    def token_secrets(self) -> list[str]:
        """The tokens, and the part of each that is no public prefix."""
        return self.tokens + [token.rpartition("_")[2] for token in self.tokens]

    def travel(self, service: Installation) -> None:
        self._use_the_api(service)
        self._use_the_dashboard(service)
        self._be_refused(service)
        for path in ("/metrics", "/health/ready", "/openapi.json", "/docs"):
            self.answers.append(httpx.get(service.server.base + path, timeout=30))

    def _use_the_api(self, service: Installation) -> None:
        admin, phone = service.admin(), "+256700600001"
        created = admin.post("/api/tokens", {"user_id": "acme", "name": "Shop"})
        acme = self._holder(service, created)
        self.tokens.append(admin.token)

        verification_id = acme.send(phone, code_length=10, message=MESSAGE)
        code = service.code(phone)
        acme.ended_call(verification_id)
        acme.verify(phone, code[::-1])
        acme.post("/calls/verify", {"phone": phone, "code": "no digits"})
        service.let_pass(seconds=40)
        assert acme.replay(phone).status_code == 202
        assert service.code(phone, nth=2) == code
        acme.ended_call(verification_id)

        rotated = admin.post(f"/api/tokens/{created.json()['token_id']}/rotate", {})
        successor = self._holder(service, rotated)
        assert successor.verify(phone, code).status_code == 200
        assert successor.verify(phone, code).status_code == 410
        canceled = successor.send("+256700600002", code_length=10)
        second_code = service.code("+256700600002")
        assert successor.cancel(canceled).status_code == 200
        successor.get("/calls")
        successor.verification(verification_id)
        admin.get("/api/tokens", include_revoked=1)
        admin.http.delete(f"/api/tokens/{rotated.json()['token_id']}")
        assert successor.get("/calls").status_code == 401
        self.codes += [code, second_code]
        for each in (admin, acme, successor):
            self.answers += [answer for answer in each.answers if answer not in self.shown_once]

    def _holder(self, service: Installation, created: httpx.Response) -> Owner:
        assert created.status_code == 201, created.text
        self.shown_once.append(created)
        self.tokens.append(created.json()["token"])
        return service.user_of(created.json()["token"])

    def _use_the_dashboard(self, service: Installation) -> None:
        with httpx.Client(base_url=service.server.base, timeout=30, follow_redirects=True) as browser:

            def submit(path: str, form_path: str, **fields: str) -> httpx.Response:
                form = browser.get(form_path)
                hidden = dict(re.findall(r'name="(csrf_token|submission)" value="([^"]+)"', form.text))
                return browser.post(path, data={**hidden, **fields})

            assert submit("/sign-in", "/sign-in", password=PASSWORD).status_code == 200
            created = submit(
                "/dashboard/tokens", "/dashboard/tokens/new", name="By hand", user_id="acme", scopes="read"
            )
            self.shown_once.append(created)
            self.tokens.append(self._shown_in(created))
            listed = browser.get("/api/tokens/dashboard?revoked=1&q=acme")
            token_ids = set(re.findall(r"/dashboard/tokens/([0-9a-f-]{36})", listed.text))
            assert token_ids
            for token_id in token_ids:
                self.answers.append(browser.get(f"/dashboard/tokens/{token_id}"))
            path = f"/dashboard/tokens/{sorted(token_ids)[0]}"
            self.answers += [listed, browser.get(f"{path}/rotate"), browser.get(f"{path}/revoke")]

    def _shown_in(self, page: httpx.Response) -> str:
        assert page.status_code == 200
        shown = re.search(r"lt_[0-9A-Za-z]+_[0-9A-Za-z]+", page.text)
        assert shown is not None
        return shown[0]

    def _be_refused(self, service: Installation) -> None:
        """Secrets in places where they do not belong, which logs and errors might quote."""
        code, token = self.codes[0], self.tokens[0]
        mistyped = service.user_of(token[:-1] + ("a" if token[-1] != "a" else "b"))
        wrong = [
            mistyped.get("/calls"),
            mistyped.http.get(f"/calls/{code}", headers={"X-Request-Id": code}),
            mistyped.http.post("/calls/verify", content=f'{{"code": "{code}", "phone"'),
            mistyped.http.get("/api/tokens", headers={"Authorization": token}),
        ]
        assert {answer.status_code for answer in wrong} <= {400, 401, 404}
        self.answers += wrong
        self.tokens.append(mistyped.token)


def contents_of(table: Table, service: Installation) -> bytes:
    """Every value in the table, as text or as the bytes that it is."""
    with service.database.read() as connection:
        values = [value for row in connection.execute(table.select()) for value in row]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def test_no_code_and_no_token_is_left_anywhere(tmp_path: Path, database_url: str) -> None:
    journey = Journey()
    with installed(tmp_path, database_url=database_url, LOG_LEVEL="DEBUG") as service:
        journey.travel(service)
        live_files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        commands = service.telnyx.requests()
        tables = {f"the table {table.name}": contents_of(table, service) for table in all_tables()}
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert b"event_applied" in files["server.log"]
    assert b"+256700600001" in tables["the table verifications"]
    if database_url.startswith("sqlite:"):  # whose file and journal hold deleted rows too
        assert {"letstalk.db", "letstalk.db-wal", "server.log"} <= live_files.keys()

    places = {f"{name} (live)": content for name, content in live_files.items()} | files | tables
    for number, answer in enumerate(journey.answers):
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        where = f"{number}: {answer.request.method} {answer.request.url.path} {answer.status_code}"
        places[where] = head.encode() + b"\n\n" + answer.content
    for name, body in commands:
        said = {field: value for field, value in body.items() if field != "payload"}
        states = base64.b64decode(body.get("client_state", ""))
        places[f"the {name} command"] = places.get(f"the {name} command", b"") + str(said).encode() + states

    assert len(set(journey.codes)) == 2
    assert len(set(journey.tokens)) == 5
    secrets = journey.codes + journey.token_secrets
    leaks = [
        f"{'a code' if secret.isdigit() else 'a token'}, {form}, in {place}"
        for secret in secrets
        for place, content in places.items()
        for form in find_secret(secret, content)
    ]
    assert leaks == []
    for answer in journey.shown_once:
        assert not any(find_secret(code, answer.content) for code in journey.codes)
        assert "no-store" in answer.headers["Cache-Control"]


def test_the_search_would_find_what_it_searches_for() -> None:
    code, token = "0123456789", "lt_abcdef_0123456789ABCDEFghij"
    around = b"some text before " + base64.b64encode(b"xy" + token.encode() + b"z") + b" and after"
    assert find_secret(token, around)
    assert find_secret(code, b'<speak>0 <break time="250ms"/>1 2 3, 4 5. 6 7 8 9</speak>') == ["parted"]
    assert find_secret(code, hashlib.sha256(code.encode()).hexdigest().encode())
    assert find_secret(token, b"nothing of the kind") == []
