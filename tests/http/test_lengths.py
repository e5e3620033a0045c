"""Every text that a stranger can send has a length before anything is done with it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from letstalk.accounts.passwords import MAX_PASSWORD_BYTES, PasswordService
from letstalk.core.common_passwords import LEAST_MEASURED, LEET, MEASURED_KINDS, MEASURED_LENGTH, measured_part
from letstalk.http.forms import LONGER_FIELDS, MAX_FIELD_BYTES
from letstalk.http.guards import GuardKind, guard_of
from letstalk.http.json_bodies import MAX_BODY_BYTES
from tests.support.apps import make_app, services_of
from tests.support.pages import Visitor

COMBINING = "\u0316" * 30_000  # 60 kB: NFKC takes seconds for it


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_app(tmp_path_factory.mktemp("lengths"))


def unbounded(schema: dict[str, Any], known: dict[str, Any], where: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """Where a value of `schema` can hold text or a list without a longest length."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from unbounded(known[name], known, f"{where} {name}", (*seen, name))
        return
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from unbounded(part, known, where, seen)
    is_text = schema.get("type") == "string" and schema.get("format") != "uuid"
    if is_text and not schema.keys() & {"maxLength", "enum", "const"}:
        yield where
    if schema.get("type") == "array":
        if "maxItems" not in schema:
            yield f"{where}[]"
        yield from unbounded(schema["items"], known, f"{where}[]", seen)
    for name, value in schema.get("properties", {}).items():
        yield from unbounded(value, known, f"{where}.{name}", seen)


def test_every_text_and_list_of_a_request_has_a_longest_length_in_the_description(app: Flask) -> None:
    described = app.test_client().get("/openapi.json").get_json()
    known, found, looked_at = described["components"]["schemas"], list[str](), 0
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            # A webhook is read only after its signature was checked.
            if method == "parameters" or path.startswith("/api/webhooks/"):
                continue
            bodies = operation.get("requestBody", {}).get("content", {}).values()
            for schema in (one["schema"] for one in (*operation.get("parameters", ()), *bodies)):
                looked_at += 1
                found += unbounded(schema, known, f"{method} {path}")
    assert found == []
    assert looked_at > 40


def fields_of_our_forms() -> set[str]:
    pages = [path.read_text(encoding="utf-8") for path in Path("templates").rglob("*.html")]
    named = {name for page in pages for name in re.findall(r'<(?:input|textarea|select)\b[^>]* name="([^"{]+)"', page)}
    macro = {field for page in pages for field in re.findall(r'new_password\(errors, "(\w+)"', page)}
    return named | macro


def pages_with_a_form(app: Flask) -> list[str]:
    """The path of each page that takes a form from anyone."""
    return sorted(
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ())
        and (guard := guard_of(app.view_functions[rule.endpoint])) is not None
        and guard.kind is GuardKind.SIGN_IN_PAGE
    )


def test_a_field_of_a_form_that_is_too_long_is_refused_before_anything_reads_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_be_called(*_: object, **__: object) -> None:
        pytest.fail("the form was read")

    accounts = services_of(app).accounts
    monkeypatch.setattr(type(accounts.sign_ins), "check_password", must_not_be_called)
    monkeypatch.setattr(type(accounts.registrations), "register", must_not_be_called)
    monkeypatch.setattr(PasswordService, "check_new", must_not_be_called)
    monkeypatch.setattr("letstalk.http.form_checks.csrf.protect", must_not_be_called)
    visitor, fields = Visitor(app), fields_of_our_forms()
    assert {"username", "password", "new_password", "email", "token", "csrf_token", "next", "user_ids"} <= fields
    assert len(pages_with_a_form(app)) >= 7
    paths = pages_with_a_form(app)
    for number, field in enumerate([*sorted(fields), "invented"]):
        too_long = "x" * (LONGER_FIELDS[field] + 1) if field in LONGER_FIELDS else COMBINING[: MAX_FIELD_BYTES // 2 + 1]
        data = {"username": "ada", "password": "x", field: too_long}
        answer = visitor.client.post(paths[number % len(paths)], data=data)
        assert answer.status_code == 400, field
        assert f"{field} must have at most" in answer.text
    for path in paths:
        answer = visitor.client.post(path, data={"username": COMBINING[:9_000], "password": "x"})
        assert answer.status_code == 400, path


def test_one_body_cannot_hold_more_than_its_fields_may(app: Flask) -> None:
    longest = max(LONGER_FIELDS.values())
    assert longest < MAX_BODY_BYTES
    body = urlencode({"user_ids": "x" * longest, "csrf_token": "x"})
    answer = app.test_client().post("/sign-in", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 403, "as long as a field may be: only the token of the form is missing"


@pytest.mark.parametrize("password", [COMBINING[:513], "x" * (MAX_PASSWORD_BYTES + 1)])
def test_a_password_in_json_has_at_most_1024_bytes(app: Flask, password: str) -> None:
    for path, fields in {
        "/api/auth/login": {"username": "ada", "password": password},
        "/api/auth/register": {"username": "ada", "email": "ada@example.com", "password": password},
        "/api/auth/reset-password": {"token": "ltl_x", "new_password": password},
        "/api/auth/register-invitation": {"token": "ltl_x", "username": "ada", "password": password},
    }.items():
        answer = app.test_client().post(path, json=fields)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request"), path
        assert "1024" in answer.get_json()["error"]


def test_of_letters_that_are_written_as_symbols_only_so_many_kinds_are_estimated_together() -> None:
    hardest = "".join(islice(cycle(sorted(LEET)), 128))
    part = measured_part(hardest)
    assert len(part) == LEAST_MEASURED
    for password in (hardest, "a" + hardest, "correct horse battery staple " + hardest, "12345 " * 20 + hardest):
        part = measured_part(password)
        assert password.startswith(part)
        assert len(part) <= MEASURED_LENGTH
        assert len(LEET & set(part)) <= MEASURED_KINDS or len(part) <= LEAST_MEASURED
    assert measured_part("correct horse battery staple") == "correct horse battery staple"


def test_a_password_of_such_letters_takes_no_longer_than_a_blink(app: Flask) -> None:
    passwords = services_of(app).accounts.passwords
    started = time.thread_time()  # not what the machine does meanwhile
    passwords.prepare("".join(islice(cycle(sorted(LEET)), 128)))
    assert time.thread_time() - started < 2
