"""What no log may contain: codes, tokens, keys and passwords are removed, phone numbers masked, anywhere in a line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

REDACTED = "[redacted]"
_DEEPEST = 6  # levels of nested values; deeper ones are left out

# The value of a field with one of these names, or with one of these endings, is removed whatever it is.
_SECRET_FIELDS = frozenset(
    {
        "authorization",
        "body",
        "code",
        "codes",
        "cookie",
        "digest",
        "digits",
        "message",
        "payload",
        "session",
        "speech",
        "ssml",
    }
)
_SECRET_ENDINGS = (
    *("challenge", "key", "keys", "password", "passwords", "sealed"),
    *("secret", "secrets", "token", "tokens", "verifier"),
)
_PHONE_FIELDS = frozenset({"from_number", "phone", "phones", "to"})

# What is removed even from the middle of a sentence, such as an exception that quotes it. The first match counts.
_PATTERNS: dict[str, str] = {
    "token": r"\blt_[0-9A-Za-z]{4,}_[0-9A-Za-z]{4,}",
    "refresh": r"\bltr_[0-9A-Za-z_\-]{8,}",
    "link": r"\bltl_[0-9a-f]{8,}",
    "hook": r"\b(?:ltc_|whsec_)[0-9A-Za-z+/=]{8,}",  # the address of a connection, the secret of a webhook
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
# Every other pattern contains one of these marks. Most texts contain none, which saves the full search.
_MARK = re.compile(r"=|://|[Bb]earer|lt[rlc]?_|whsec_|eyJ|gAAAA|KEY")
_DIGIT = re.compile(r"\d")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNFIT = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()))
_UNFIT_NUMBER = re.compile("|".join(f"(?P<{name}>{_PATTERNS[name]})" for name in _NUMBERS))
_MASKED = re.compile(r"\+\d{4}…\d{2}")  # as `mask_phone` leaves a phone in E.164


def mask_phone(phone: str) -> str:
    """`+12025550142` as `+1202…42`: enough to recognise, not enough to call."""
    return f"{phone[:5]}…{phone[-2:]}" if len(phone) > 7 else "…"


def is_uuid(text: str) -> bool:
    return len(text) == 36 and _UUID.fullmatch(text) is not None


def redact_text(text: str) -> str:
    """`text` without its secrets, its phone numbers masked."""
    if is_uuid(text):
        return text
    if _MARK.search(text):
        return _UNFIT.sub(_replace, text)
    if _DIGIT.search(text):
        return _UNFIT_NUMBER.sub(_replace, text)
    return text


def redact_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line, redacted, and their names too."""
    redacted = {}
    for name, value in entry.items():
        shown, is_secret, is_phone, _ = _field_of(name)
        if is_secret or is_phone:
            redacted[shown] = redact_field(name, value)
        elif type(value) is str:
            redacted[shown] = redact_text(value)
        else:
            redacted[shown] = value if type(value) is int else redact(value)
    return redacted


def redact(value: Any, depth: int = 0) -> Any:
    """`value` with every text in it redacted. What is no text, number or collection becomes its redacted `repr`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no infinity and no NaN
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
    """The value of a field. Its name alone can require that it is removed."""
    field = _field_of(name)
    if field.is_secret:
        # A count is not a secret.
        is_count = field.may_count and type(value) is int
        return value if value is None or isinstance(value, bool) or is_count else REDACTED
    if field.is_phone:
        return _masked(value, depth)
    return redact(value, depth)


class _Field(NamedTuple):
    """What a field's name decides: the name to show, and how much of the value to show."""

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
