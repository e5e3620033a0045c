"""What all forms share: showing errors, and ignoring a form that is sent twice."""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

from flask import Response, make_response, render_template, request, session

from letstalk.core.errors import InvalidRequest, LetsTalkError
from letstalk.http.errors import record_refusal, sentence_of, status_of

Value = TypeVar("Value")

# In UTF-8. Passwords, the token of a link and all other one-line fields are shorter.
MAX_FIELD_BYTES = 1024
LONGER_FIELDS = {"user_ids": 52_000, "allowed_ips": 4096, "next": 2048, "token": 4096, "url": 8192}
"""The fields that may be longer: 100 owners of 128 characters; fifty networks; a path; a pasted link; a URL."""


def ensure_short_fields() -> None:
    """Raises InvalidRequest for a form with a value that is too long.

    Called before anything reads a form: to normalise text takes time that can grow with the square of its length.
    """
    for field, value in request.form.items(multi=True):
        longest = LONGER_FIELDS.get(field, MAX_FIELD_BYTES)
        if len(field) > MAX_FIELD_BYTES or len(value.encode("utf-8", "surrogatepass")) > longest:
            raise InvalidRequest.in_field(field[:40], f"{field[:40]} must have at most {longest} bytes.")


def form_response(template: str, error: LetsTalkError | None = None, **context: Any) -> Response:
    """The page with the form. The template gets `errors` and `problem`, as `errors_by_field` returns them."""
    beside, problem = errors_by_field(error, context.pop("fields", ()))
    page = make_response(render_template(template, errors=beside, problem=problem, **context))
    if error is not None:
        record_refusal(error)
        page.status_code = status_of(error)
        if error.retry_after_seconds is not None:
            page.headers["Retry-After"] = str(error.retry_after_seconds)
    return page


def errors_by_field(error: LetsTalkError | None, fields: tuple[str, ...]) -> tuple[dict[str, str], str | None]:
    """The message for each of `fields`, in their order on the page, and the sentence for an error of none of them."""
    if error is None:
        return {}, None
    beside: dict[str, str] = {}
    for detail in error.details:
        field = detail.field.split(".")[0]
        if field in fields:
            # An API client needs the name of the field; a person sees the sentence beside it.
            sentence = detail.message.removeprefix(f"{detail.field} ")
            beside.setdefault(field, sentence[:1].upper() + sentence[1:])
    in_order = {field: beside[field] for field in fields if field in beside}
    return in_order, None if in_order else sentence_of(error)


def form_text(field: str) -> str:
    """The text of a one-line field, without spaces around it."""
    return request.form.get(field, "").strip()


def read_choice(field: str, choices: dict[str, Value]) -> Value:
    """The value of the choice that was made. Raises InvalidRequest."""
    if (chosen := choices.get(form_text(field))) is None:
        raise InvalidRequest.in_field(field, "Choose one of the options.")
    return chosen


def local_path(target: str | None) -> str | None:
    """`target` if it is a path on this server, else None. Browsers read `//host`, `/\\host` and either of them with
    tabs or newlines in between as another host.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(character <= " " or character == "\x7f" for character in target):
        return None
    return target


def new_submission() -> str:
    """An id for a form whose response shows something once."""
    return secrets.token_urlsafe(12)


def was_sent_before() -> bool:
    """Whether this form was sent already: the page that shows something once was reloaded."""
    submission = request.form.get("submission")
    return bool(submission) and submission == session.get("last_submission")


def keep_submission() -> None:
    session["last_submission"] = request.form.get("submission", "")[:40]
