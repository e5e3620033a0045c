"""Each call of the API: what is sent, and how its response is read. Both clients send these."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from letstalk_client.events import AnyEvent, EventPage, read_event, read_event_page
from letstalk_client.models import (
    AcceptedCode,
    Approval,
    Languages,
    SentCode,
    SpokenCall,
    Verification,
    VerificationPage,
    VerificationStatus,
)
from letstalk_client.reading import read

Result = TypeVar("Result")

MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Request(Generic[Result]):
    """One call. What it sends is not shown, as it may hold a code and a phone.

    `is_repeatable` says that it may be sent again although an earlier try may have been carried out.
    """

    method: str
    path: str
    read: Callable[[Any], Result] = field(repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str | int] = field(default_factory=dict, repr=False)
    idempotency_key: str | None = None
    is_repeatable: bool = False


def send(
    phone: str,
    *,
    message: str | None = None,
    message_template: str | None = None,
    locale: str | None = None,
    locale_fallback: bool | None = None,
    code_length: int | None = None,
    expires_in: int | None = None,
    reference: str | None = None,
    session: str | None = None,
    idempotency_key: str | None = None,
) -> Request[SentCode]:
    body = _given(
        phone=phone,
        message=message,
        message_template=message_template,
        locale=locale,
        locale_fallback=locale_fallback,
        code_length=code_length,
        expires_in=expires_in,
        reference=reference,
        session=session,
    )
    return _placing_a_call("/calls/otp", partial(read, SentCode), body, idempotency_key)


def replay(
    phone: str | None = None,
    *,
    verification_id: str | None = None,
    session: str | None = None,
    idempotency_key: str | None = None,
) -> Request[SentCode]:
    body = _given(phone=phone, verification_id=verification_id, session=session)
    return _placing_a_call("/calls/replay", partial(read, SentCode), body, idempotency_key)


def verify(
    phone: str | None = None, *, code: str, verification_id: str | None = None, session: str | None = None
) -> Request[Approval]:
    body = _given(phone=phone, verification_id=verification_id, session=session, code=code)
    # Not repeatable: a code is accepted once, and each wrong one uses an attempt.
    return Request("POST", "/calls/verify", partial(read, Approval), body)


def get(verification_id: str) -> Request[Verification]:
    return _reading(f"/calls/{_part(verification_id)}", partial(read, Verification))


def get_spoken_call(call_id: str) -> Request[SpokenCall]:
    return _reading(f"/calls/{_part(call_id)}", partial(read, SpokenCall))


def list_verifications(
    *,
    phone: str | None = None,
    status: VerificationStatus | None = None,
    reference: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[VerificationPage]:
    query = _given(phone=phone, status=status, reference=reference, limit=limit, cursor=cursor)
    return _reading("/calls", partial(read, VerificationPage), query)


def cancel(verification_id: str) -> Request[Verification]:
    return Request("POST", f"/calls/{_part(verification_id)}/cancel", partial(read, Verification))


def speak(
    phone: str,
    code: str,
    *,
    locale: str | None = None,
    brand: str | None = None,
    reference: str | None = None,
    expires_in: int | None = None,
    idempotency_key: str | None = None,
) -> Request[AcceptedCode]:
    body = _given(phone=phone, code=code, locale=locale, brand=brand, reference=reference, expires_in=expires_in)
    return _placing_a_call("/calls/speak", partial(read, AcceptedCode), body, idempotency_key)


def report_outcome(call_id: str, *, approved: bool) -> Request[SpokenCall]:
    path = f"/calls/{_part(call_id)}/outcome"
    return Request("POST", path, partial(read, SpokenCall), {"approved": approved})


def list_events(
    *,
    type: str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
    verification_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[EventPage]:
    query = _given(type=type, verification_id=verification_id, limit=limit, cursor=cursor)
    times = {name: _in_utc(at) for name, at in (("from", since), ("to", before)) if at is not None}
    return _reading("/api/events", read_event_page, query | times)


def get_event(event_id: str) -> Request[AnyEvent]:
    return _reading(f"/api/events/{_part(event_id)}", read_event)


def list_languages() -> Request[Languages]:
    return _reading("/api/languages", partial(read, Languages))


def _placing_a_call(
    path: str, read_response: Callable[[Any], Result], body: Mapping[str, Any], idempotency_key: str | None
) -> Request[Result]:
    """All tries have one key, so that only one call is placed. Raises ValueError for what can't be a key."""
    key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise ValueError(f"An idempotency key is 1 to {MAX_KEY_CHARACTERS} printable ASCII characters.")
    return Request("POST", path, read_response, body, idempotency_key=key, is_repeatable=True)


def _reading(
    path: str, read_response: Callable[[Any], Result], query: Mapping[str, str | int] | None = None
) -> Request[Result]:
    return Request("GET", path, read_response, query=query or {}, is_repeatable=True)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _part(text: str) -> str:
    """`text` as one part of a path. Raises ValueError for an empty one, which would name another call."""
    if not text or text in (".", ".."):
        raise ValueError("The id is empty.")
    return quote(text, safe="")


def _in_utc(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("A time needs its time zone.")
    return at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
