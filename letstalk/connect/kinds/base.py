"""What each kind of system is made of: where its requests have what we need, how they are signed, and what it is told.

A kind is a table. It reads nothing but the fields that it names, so whatever else is in a request is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from textwrap import dedent
from typing import Any

import orjson

from letstalk.connect.models import Pointers, SystemConnection, Wanted
from letstalk.connect.signatures import Scheme
from letstalk.core.errors import InvalidRequest, InvalidSignature, LetsTalkError, TooManyRequests, Unavailable
from letstalk.http.errors import sentence_of, status_of
from letstalk.speaking.models import MAX_CODE_LENGTH, MAX_TTL_SECONDS, MIN_CODE_LENGTH, MIN_TTL_SECONDS, SpeakAccepted
from letstalk.telephony.speech.languages import choose_language

Content = Mapping[str, Any]

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
MAX_TEXT_CHARACTERS = 2000
_CODE_IN_TEXT = re.compile(rf"(?<![0-9A-Za-z+])[0-9]{{{MIN_CODE_LENGTH},{MAX_CODE_LENGTH}}}(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a request has what we need, as JSON pointers (RFC 6901): of each, the first that has a text.

    `text` is a sentence with the code in it, for what has no code alone. `repeats` is an id that stays when one message
    is tried again.
    """

    phone: tuple[str, ...]
    code: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    locale: tuple[str, ...] = ()
    ttl_seconds: str | None = None
    message_type: str | None = None
    repeats: str | None = None

    def table(self) -> Iterator[tuple[str, str]]:
        """(field, what is read from it), for people."""
        named: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("the phone", self.phone),
            ("the code", self.code),
            ("a text with the code in it", self.text),
            ("the language", self.locale),
            ("for how many seconds the code is good", _some(self.ttl_seconds)),
            ("the type of message", _some(self.message_type)),
            ("the id of the message", _some(self.repeats)),
        )
        for meaning, pointers in named:
            yield from ((pointer[1:].replace("/", "."), meaning) for pointer in pointers)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response to the other system."""

    status: int
    body: bytes
    content_type: str = JSON
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the setup: what to do, and the lines to paste with what they are. LETSTALK_URL and LETSTALK_SECRET in
    them stand for the real ones.
    """

    text: str
    label: str | None = None
    code: str | None = None

    def lines(self, url: str, secret: str) -> str | None:
        return None if self.code is None else self.code.replace("LETSTALK_URL", url).replace("LETSTALK_SECRET", secret)


def accept_as_json(accepted: SpeakAccepted) -> Reply:
    return json_reply(200, {"call_id": accepted.call_id, "call_status": accepted.call_status})


def refuse_as_json(error: LetsTalkError) -> Reply:
    """As our own API says it, but for the request's id, with 401 for a wrong secret or signature."""
    content: dict[str, Any] = {"error": sentence_of(error), "code": error.code}
    if error.retry_after_seconds is not None:
        content["retry_after"] = error.retry_after_seconds
    return json_reply(status_of_refusal(error), content, error.retry_after_seconds)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of system. `user_sees` says what its user is shown when a call is refused.

    With `is_international`, it always sends the digits of an international number. `message_types` are those that its
    requests can have, the one first that a call is placed for without a choice. With `takes_forms`, a body may be a
    form instead of JSON.
    """

    name: str
    title: str
    scheme: Scheme
    fields: Fields
    user_sees: str
    is_international: bool = False
    accept: Callable[[SpeakAccepted], Reply] = accept_as_json
    refuse: Callable[[LetsTalkError], Reply] = refuse_as_json
    message_types: tuple[str, ...] = ()
    has_pointers: bool = False
    takes_forms: bool = False

    @property
    def guide(self) -> tuple[Step, ...]:
        """How to set it up: a file in letstalk/connect/guides/, which its page in docs/connect/ has too."""
        return _read_guide(self.name)

    def fields_for(self, connection: SystemConnection) -> Fields:
        if not self.has_pointers:
            return self.fields
        pointers = connection.pointers or Pointers()
        return Fields((pointers.phone,), (pointers.code,), locale=_some(pointers.locale))


@cache
def _read_guide(kind: str) -> tuple[Step, ...]:
    text = (files("letstalk.connect") / "guides" / f"{kind}.md").read_text(encoding="utf-8")
    steps = []
    for part in re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:]:
        said, _, block = part.partition("```")
        opening, _, code = dedent(" " * 3 + block).partition("\n")
        label = opening.strip().partition(" ")[2] or None
        pasted = dedent(code).rpartition("\n```")[0] if block else None
        steps.append(Step(" ".join(said.split()), label, pasted))
    return tuple(steps)


def example_of(kind: Kind, connection: SystemConnection, phone: str, code: str) -> dict[str, Any]:
    """A request with all that is read of one: for a phone in E.164."""
    fields, content = kind.fields_for(connection), dict[str, Any]()
    _put(content, fields.phone[0], phone.removeprefix("+") if kind.is_international else phone)
    _put(content, (fields.code or fields.text)[0], code)
    if fields.message_type is not None:
        _put(content, fields.message_type, (connection.message_types or kind.message_types)[0])
    return content


def json_reply(status: int, content: Mapping[str, Any], retry_after_seconds: int | None = None) -> Reply:
    return Reply(status, orjson.dumps(content), JSON, retry_after_seconds)


def text_reply(status: int, sentence: str, retry_after_seconds: int | None = None) -> Reply:
    return Reply(status, sentence.encode(), TEXT, retry_after_seconds)


def status_of_refusal(error: LetsTalkError) -> int:
    return 401 if isinstance(error, InvalidSignature) else int(status_of(error))


def is_for_later(error: LetsTalkError) -> bool:
    """Whether the same request may be accepted after a while."""
    return isinstance(error, TooManyRequests | Unavailable)


def read_wanted(kind: Kind, connection: SystemConnection, content: Content) -> Wanted:
    """What a request asks for. Raises InvalidRequest for what is missing or of another type."""
    fields = kind.fields_for(connection)
    _ensure_type(kind, connection, fields, content)
    phone = _find_text(content, fields.phone)
    if phone is None:
        raise InvalidRequest.in_field("phone", f"The request has no phone: {_named(fields.phone)} must be a text.")
    ttl_seconds = None if fields.ttl_seconds is None else find(content, fields.ttl_seconds)
    return Wanted(
        phone=phone,
        code=_read_code(fields, content),
        locale=_choose_locale(connection, _find_text(content, fields.locale)),
        ttl_seconds=_bounded(ttl_seconds),
        repeats=None if fields.repeats is None else _find_text(content, (fields.repeats,)),
    )


def find(content: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901) in objects and lists; None where there is none."""
    for part in pointer.split("/")[1:]:
        name = _name(part)
        if isinstance(content, Mapping):
            content = content.get(name)
        elif isinstance(content, list) and name.isascii() and name.isdigit() and int(name[:6]) < len(content):
            content = content[int(name[:6])]
        else:
            return None
    return content


def code_in_text(text: str) -> str:
    """The only code of 4 to 10 digits in a text. Raises InvalidRequest where there is none, or more than one."""
    found = set(_CODE_IN_TEXT.findall(text[:MAX_TEXT_CHARACTERS]))
    if len(found) != 1:
        problem = "has no code" if not found else f"has {len(found)} numbers that could be the code"
        sentence = f"The text {problem}: it must have one number of {MIN_CODE_LENGTH} to {MAX_CODE_LENGTH} digits."
        raise InvalidRequest.in_field("text", sentence)
    return str(found.pop())


def _put(content: dict[str, Any], pointer: str, value: str) -> None:
    """Put `value` where the JSON pointer says, into objects that are made as they are needed."""
    *above, last = (_name(part) for part in pointer.split("/")[1:])
    for name in above:
        below = content.setdefault(name, {})
        content = below if isinstance(below, dict) else content
    content[last] = value


def _name(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _ensure_type(kind: Kind, connection: SystemConnection, fields: Fields, content: Content) -> None:
    """Raises InvalidRequest for a type of message that the connection places no call for."""
    if fields.message_type is None or not kind.message_types:
        return
    given = find(content, fields.message_type)
    allowed = connection.message_types or kind.message_types[:1]
    if given not in allowed:
        shown = given if given in kind.message_types else "This type"
        sentence = f"{shown} is not a type of message that this connection places calls for ({', '.join(allowed)})."
        raise InvalidRequest.in_field("type", sentence)


def _read_code(fields: Fields, content: Content) -> str:
    code = _find_text(content, fields.code)
    if code is not None:
        return code
    text = _find_text(content, fields.text)
    if text is None:
        raise InvalidRequest.in_field(
            "code", f"The request has no code: {_named((*fields.code, *fields.text))} must be a text."
        )
    return code_in_text(text)


def _find_text(content: Content, pointers: tuple[str, ...]) -> str | None:
    found = (find(content, pointer) for pointer in pointers)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)


def _choose_locale(connection: SystemConnection, given: str | None) -> str | None:
    """The first language of the request that is spoken (it can name several), else the connection's."""
    for locale in re.split(r"[\s,;]+", (given or "")[:200]):
        try:
            choose_language(locale, None, may_fall_back=False)
        except InvalidRequest:
            continue
        return locale
    return connection.locale


def _bounded(ttl_seconds: object) -> int | None:
    if not isinstance(ttl_seconds, int | float) or not ttl_seconds > 0:
        return None
    return int(max(MIN_TTL_SECONDS, min(MAX_TTL_SECONDS, ttl_seconds)))


def _named(pointers: tuple[str, ...]) -> str:
    return " or ".join(pointer[1:].replace("/", ".") for pointer in pointers)


def _some(pointer: str | None) -> tuple[str, ...]:
    return () if pointer is None else (pointer,)
