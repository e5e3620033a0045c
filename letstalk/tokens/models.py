"""API tokens: how one is written, what is known of one, and what its fields may hold.

A token reads `lt_<lookup id>_<secret><checksum>`, in base62. The prefix is for secret scanners, the lookup id finds
the row, 30 characters of secret carry 178 bits, and the checksum (CRC32 over all before it) refuses every typo of one
character, and every swap of two neighbours, without a database read.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from letstalk.core.errors import InvalidRequest
from letstalk.core.scopes import Scope, expand_scopes

PREFIX = "lt"
LOOKUP_LENGTH = 12
SECRET_LENGTH = 30
CHECKSUM_LENGTH = 6

DEFAULT_SCOPES = ("read", "write")
MAX_EXPIRES_IN_SECONDS = 10 * 365 * 24 * 3600
DEFAULT_GRACE_SECONDS = 3600
MAX_GRACE_SECONDS = 7 * 24 * 3600
MAX_NAME_LENGTH = 100

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(
    rf"{PREFIX}_([0-9A-Za-z]{{{LOOKUP_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}}([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A token that has just been made: `token` is for its owner's eyes only, the rest is for keeping."""

    token: str = field(repr=False)
    lookup_id: str
    secret_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedToken:
    lookup_id: str
    secret_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """What is on record of a token, nothing secret in it.

    `scopes` stand as they were asked for (bundles stay bundles). `allowed_ips` is empty for anywhere, `rate_limit`
    None for the installation's default, `expires_at` None for never. `successor_id` is the token that a rotation
    put in this one's place.
    """

    token_id: str
    lookup_id: str
    user_id: str
    name: str | None
    scopes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    rate_limit: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    last_used: datetime | None = None
    requests_total: int = 0
    successor_id: str | None = None

    @property
    def prefix(self) -> str:
        """The public beginning of the token, enough to recognise it by."""
        return f"{PREFIX}_{self.lookup_id}"

    @property
    def granted(self) -> frozenset[Scope]:
        return expand_scopes(self.scopes)

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def generate_token() -> NewSecret:
    """A new token, from the operating system's generator."""
    lookup_id = _random_text(LOOKUP_LENGTH)
    body = f"{PREFIX}_{lookup_id}_{_random_text(SECRET_LENGTH)}"
    token = body + checksum(body)
    return NewSecret(token, lookup_id, hash_token(token))


def parse_token(text: str) -> ParsedToken | None:
    """The parts to look a token up and to check it by, or None for what cannot be a token of ours."""
    match = _SHAPE.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[2]:
        return None
    return ParsedToken(match[1], hash_token(text))


def hash_token(token: str) -> bytes:
    """SHA-256 of the whole token.

    A slow hash defends secrets that can be guessed. 178 random bits cannot, at any speed, so a fast one loses nothing
    and keeps authentication cheap enough to do on every request.
    """
    return hashlib.sha256(token.encode("ascii")).digest()


def checksum(body: str) -> str:
    """CRC32 of `body` as six base62 digits, which hold its 32 bits with room to spare."""
    number = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(_BASE62))
        digits = _BASE62[remainder] + digits
    return digits


def check_scopes(names: Sequence[str]) -> tuple[str, ...]:
    """`names`, each once, in their order. Raises InvalidRequest for an empty list or an unknown scope."""
    if not names:
        raise InvalidRequest.in_field("scopes", "scopes must name at least one scope.")
    expand_scopes(names)
    return tuple(dict.fromkeys(names))


def check_name(name: str | None) -> str | None:
    """`name` without spaces around it. Raises InvalidRequest unless it is 1 to 100 characters on one line."""
    if name is None:
        return None
    name = name.strip()
    # Not str.isprintable: it refuses the joiners that many scripts and emoji are written with.
    is_one_line = not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
    if not name or len(name) > MAX_NAME_LENGTH or not is_one_line:
        raise InvalidRequest.in_field("name", f"name must be 1 to {MAX_NAME_LENGTH} characters on one line.")
    return name


def check_expires_in(seconds: int | None) -> int | None:
    """`seconds` itself. Raises InvalidRequest outside 1 second to 10 years."""
    if seconds is not None and not 1 <= seconds <= MAX_EXPIRES_IN_SECONDS:
        raise InvalidRequest.in_field("expires_in", f"expires_in must be 1 to {MAX_EXPIRES_IN_SECONDS} seconds.")
    return seconds


def check_grace(seconds: int) -> int:
    """`seconds` itself. Raises InvalidRequest outside 0 seconds to 7 days."""
    if not 0 <= seconds <= MAX_GRACE_SECONDS:
        raise InvalidRequest.in_field("grace_seconds", f"grace_seconds must be 0 to {MAX_GRACE_SECONDS}.")
    return seconds


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))
