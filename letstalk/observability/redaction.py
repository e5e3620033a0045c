"""What no log may hold: codes, tokens, keys and passwords are blotted out, phones are masked, wherever they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

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
# Without any of these a text holds nothing of the kind, and most have none: it spares the search for all.
_SUSPECT = re.compile(r"\d|=|://|[Bb]earer|lt[rl]?_|eyJ|gAAAA")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNFIT = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()))


def mask_phone(phone: str) -> str:
    """`+256700123456` as `+2567…56`: enough to recognise, too little to call."""
    return f"{phone[:5]}…{phone[-2:]}" if len(phone) > 7 else "…"


def redact_text(text: str) -> str:
    """`text` without what must not be read in it."""
    if _UUID.fullmatch(text):
        return text
    return _UNFIT.sub(_replace, text) if _SUSPECT.search(text) else text


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
    lowered, is_secret, is_phone = _kind_of(name)
    if is_secret:
        # How many there were is no secret.
        return value if value is None or isinstance(value, bool) or _is_count(lowered, value) else REDACTED
    if is_phone:
        return _masked(value, depth)
    return redact(value, depth)


@lru_cache(maxsize=512)
def _kind_of(name: str) -> tuple[str, bool, bool]:
    """(lower case, whether it names a secret, whether a phone)."""
    lowered = name.lower()
    is_secret = lowered in _SECRET_FIELDS or lowered.rpartition("_")[2] in _SECRET_ENDINGS
    return lowered, is_secret, lowered in _PHONE_FIELDS


def _is_count(name: str, value: Any) -> bool:
    return name.endswith("s") and name != "digits" and type(value) is int


def _masked(value: Any, depth: int) -> Any:
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
