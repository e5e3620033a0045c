"""What no log may hold: codes, tokens, keys and passwords are blotted out, phones are masked, wherever they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

REDACTED = "[redacted]"
_DEEPEST = 6  # of nested values; what lies deeper is left out

# A field of one of these names, or whose name ends so, is blotted out whatever it holds.
_SECRET_FIELDS = frozenset(
    {"authorization", "body", "code", "codes", "cookie", "digest", "digits", "message", "payload", "speech", "ssml"}
)
_SECRET_ENDINGS = (
    *("challenge", "key", "keys", "password", "passwords", "sealed"),
    *("secret", "secrets", "token", "tokens", "verifier"),
)
_PHONE_FIELDS = frozenset({"from_number", "phone", "phones", "to"})

# What must not be read even in the middle of a sentence, as when an exception quotes it. The first that fits counts.
_PATTERNS: dict[str, str] = {
    "token": r"\blt_[0-9A-Za-z]{4,}_[0-9A-Za-z]{4,}",
    "refresh": r"\bltr_[0-9A-Za-z_\-]{8,}",
    "link": r"\bltl_[0-9a-f]{8,}",
    "jwt": r"\beyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*",
    "bearer": r"\b[Bb]earer\s+[^\s\"',]+",
    "address": r"\b[a-z][a-z0-9+.\-]*://[^\s/@\"']*:[^\s/@\"']*@",  # the password of a database or of Redis
    "sealed": r"\bgAAAA[0-9A-Za-z_\-]{16,}=*",  # a Fernet token
    "key": r"(?<![0-9A-Za-z_\-+])[0-9A-Za-z_\-/+]{43}=",  # 32 bytes in base64: a Fernet key, a public key
    "telnyx": r"\bKEY[0-9A-Za-z]{20,}(?:_[0-9A-Za-z]+)?",
    "spoken": r"(?<![\d.,])\d(?:(?:[ ,.]|<[^<>]{1,40}>){1,4}\d){5,9}(?![\d.,]*\d)",  # a code as it is read out
    "e164": r"(?:\+|%2[Bb])\d[\d ().\-]{4,18}\d",
    "phone": r"(?<![\w.+\-])\d{9,15}(?![\w\-]|\.\d)",  # without its plus; ids have letters or hyphens about them
}
_NUMBERS = ("spoken", "e164", "phone")
# Each of the others holds one of these; most texts hold none, and that spares the search for all.
_MARK = re.compile(r"=|://|[Bb]earer|lt[rl]?_|eyJ|gAAAA|KEY")
_DIGIT = re.compile(r"\d")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNFIT = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()))
_UNFIT_NUMBER = re.compile("|".join(f"(?P<{name}>{_PATTERNS[name]})" for name in _NUMBERS))
_MASKED = re.compile(r"\+\d{4}…\d{2}")  # as `mask_phone` leaves a phone in E.164

# The words that lines are made of, such as events, methods and routes: looked through once, then known to be harmless.
_harmless: set[str] = set()
_MOST_HARMLESS = 1024
_LONGEST_HARMLESS = 64  # characters


def mask_phone(phone: str) -> str:
    """`+256700123456` as `+2567…56`: enough to recognise, too little to call."""
    return f"{phone[:5]}…{phone[-2:]}" if len(phone) > 7 else "…"


def redact_text(text: str) -> str:
    """`text` without what must not be read in it."""
    if text in _harmless or (len(text) == 36 and _UUID.fullmatch(text)):
        return text
    if _MARK.search(text):
        return _UNFIT.sub(_replace, text)
    if _DIGIT.search(text):
        return _UNFIT_NUMBER.sub(_replace, text)
    if len(text) <= _LONGEST_HARMLESS:
        if len(_harmless) >= _MOST_HARMLESS:
            _harmless.clear()
        _harmless.add(text)
    return text


def redact_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line, their names redacted too."""
    redacted = {}
    for name, value in entry.items():
        shown, is_secret, is_phone, _ = _field_of(name)
        if is_secret or is_phone:
            redacted[shown] = redact_field(name, value)
        elif type(value) is str:
            redacted[shown] = value if value in _harmless else redact_text(value)
        else:
            redacted[shown] = value if type(value) is int else redact(value)
    return redacted


def redact(value: Any, depth: int = 0) -> Any:
    """`value` with every text in it redacted; what is no text, number or collection as its redacted `repr`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON knows no other
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {redact_text(str(name)): redact_field(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in value]
    return redact_text(repr(value))


def redact_field(name: str, value: Any, depth: int = 0) -> Any:
    """The value of a field, which its name alone may forbid."""
    field = _field_of(name)
    if field.is_secret:
        # How many there were is no secret.
        is_count = field.may_count and type(value) is int
        return value if value is None or isinstance(value, bool) or is_count else REDACTED
    if field.is_phone:
        return _masked(value, depth)
    return redact(value, depth)


class _Field(NamedTuple):
    """What its name says of a field: the name as it may be shown, and what may be shown of its value."""

    shown: str
    is_secret: bool
    is_phone: bool
    may_count: bool


@lru_cache(maxsize=512)
def _field_of(name: str) -> _Field:
    lowered = name.lower()
    return _Field(
        shown=redact_text(name),
        is_secret=lowered in _SECRET_FIELDS or lowered.rpartition("_")[2] in _SECRET_ENDINGS,
        is_phone=lowered in _PHONE_FIELDS,
        may_count=lowered.endswith("s") and lowered != "digits",
    )


def _masked(value: Any, depth: int) -> Any:
    if isinstance(value, str) and _MASKED.fullmatch(value):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item, depth) for item in value]
    if isinstance(value, str | int) and "…" not in str(value):
        return mask_phone(str(value))
    return redact(value, depth)


def _drop_password(found: str) -> str:
    scheme, _, _ = found.partition("://")
    return f"{scheme}://{REDACTED}@"


_REPLACEMENTS: dict[str, Callable[[str], str]] = {
    "token": lambda _found: f"lt_{REDACTED}",
    "bearer": lambda _found: f"Bearer {REDACTED}",
    "address": _drop_password,
    "e164": mask_phone,
    "phone": mask_phone,
}


def _replace(found: re.Match[str]) -> str:
    replacement = _REPLACEMENTS.get(found.lastgroup or "")
    return REDACTED if replacement is None else replacement(found.group())
