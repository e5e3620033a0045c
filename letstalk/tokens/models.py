"""API tokens: their text, their fields, the limits of each field, and changes to a token.

The text of a token is `lt_<lookup id>_<secret><checksum>`, in base62. The prefix is for secret scanners, and the lookup
id finds the row. The 30 characters of the secret hold 178 random bits. The checksum (CRC32 of the text before it)
detects every typo of one character, and every swap of two adjacent ones, without a database read.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from letstalk.core.actors import CustomMessage, check_owner_id
from letstalk.core.clock import iso_utc_or_none
from letstalk.core.errors import InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.core.ip_addresses import normalise_allowed
from letstalk.core.rates import parse_rates
from letstalk.core.scopes import Scope, expand_scopes
from letstalk.core.unset import UNSET, Unset

PREFIX = "lt"
LOOKUP_LENGTH = 12
SECRET_LENGTH = 30
CHECKSUM_LENGTH = 6

DEFAULT_SCOPES = ("read", "write")
MAX_EXPIRES_IN_SECONDS = 10 * 365 * 24 * 3600
DEFAULT_GRACE_SECONDS = 3600
MAX_GRACE_SECONDS = 7 * 24 * 3600
MAX_NAME_LENGTH = 100
MAX_GENERATIONS = 5  # each request of a token is counted for all tokens above it

UNUSED_AFTER = timedelta(days=90)
NEW_FOR = timedelta(days=1)
EXPIRING_WITHIN = timedelta(days=14)

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(
    rf"{PREFIX}_([0-9A-Za-z]{{{LOOKUP_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}}([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new token: `token` is the text for its owner, and is not stored. The rest is stored."""

    token: str = field(repr=False)
    lookup_id: str
    secret_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedToken:
    lookup_id: str
    secret_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """The record of a token. It contains no secret.

    `scopes` are as they were requested (bundles are not expanded). Empty `allowed_ips` permits every address,
    `rate_limit` None is the installation's default, and `expires_at` None is never. `successor_id` is the token that
    replaced this one in a rotation. `custom_message` None is what the installation allows. `parent_id` is the token
    that created this one. Requests are counted under `bucket_id`, the first token of its rotations; None is its own.
    `created_by` is the account whose person, or whose token, created this one; `maker_name` its username or address
    now. The token `is_suspended`, and refused, while that account is disabled.
    """

    token_id: str
    lookup_id: str
    owner_id: str
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
    custom_message: CustomMessage | None = None
    parent_id: str | None = None
    bucket_id: str | None = field(default=None, compare=False)
    created_by: str | None = None
    maker_name: str | None = None
    is_suspended: bool = False

    @property
    def counted_under(self) -> str:
        return self.bucket_id or self.token_id

    @property
    def prefix(self) -> str:
        """The public start of the token's text, by which people recognise it."""
        return f"{PREFIX}_{self.lookup_id}"

    @property
    def granted(self) -> frozenset[Scope]:
        return expand_scopes(self.scopes)

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def is_unused(self, now: datetime) -> bool:
        """Whether it works, and was not used for 90 days, or never since the day on which it was created."""
        if not self.is_live(now):
            return False
        return self.created_at < now - NEW_FOR if self.last_used is None else self.last_used < now - UNUSED_AFTER

    def expires_soon(self, now: datetime) -> bool:
        """Whether it works, and expires within 14 days."""
        return self.is_live(now) and self.expires_at is not None and self.expires_at <= now + EXPIRING_WITHIN


def generate_token() -> NewSecret:
    """A new token, from the operating system's random generator."""
    lookup_id = _random_text(LOOKUP_LENGTH)
    body = f"{PREFIX}_{lookup_id}_{_random_text(SECRET_LENGTH)}"
    token = body + checksum(body)
    return NewSecret(token, lookup_id, hash_token(token))


def parse_token(text: str) -> ParsedToken | None:
    """What is required to look a token up and to check it. None for text that is not a token of ours."""
    match = _SHAPE.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[2]:
        return None
    return ParsedToken(match[1], hash_token(text))


def public_part(text: str) -> str:
    """The lookup id in the text of a token or in its start, such as a pasted prefix. Other text is not changed."""
    return text.split("_")[1] if text.startswith(f"{PREFIX}_") else text


def hash_token(token: str) -> bytes:
    """SHA-256 of the whole text. A slow hash is only needed for secrets that can be guessed."""
    return hashlib.sha256(token.encode("ascii")).digest()


def checksum(body: str) -> str:
    """CRC32 of `body` in six base62 digits."""
    number = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(_BASE62))
        digits = _BASE62[remainder] + digits
    return digits


@dataclass(frozen=True, slots=True)
class NewToken:
    """The fields of a new token. None is the default: no name, no expiry, any address, the default rate limit, and the
    messages that the installation and the actor may send.
    """

    owner_id: str | None = None
    scopes: tuple[str, ...] | None = None
    name: str | None = None
    expires_in_seconds: int | None = None
    allowed_ips: tuple[str, ...] | None = None
    rate_limit: str | None = None
    custom_message: CustomMessage | None = None


@dataclass(frozen=True, slots=True)
class TokenChanges:
    """The changes to a token. UNSET leaves a value as it is, and None sets the default."""

    name: str | Unset | None = UNSET
    scopes: tuple[str, ...] | Unset = UNSET
    expires_in_seconds: int | Unset | None = UNSET
    allowed_ips: tuple[str, ...] | Unset | None = UNSET
    rate_limit: str | Unset | None = UNSET
    custom_message: CustomMessage | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token with its text (`secret`), which can only be shown now."""

    record: Token
    secret: str = field(repr=False)


class Standing(StrEnum):
    """Why somebody should look at a token: see `Token.is_unused`, `Token.expires_soon` and `Token.is_suspended`."""

    UNUSED = "unused"
    EXPIRING = "expiring"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of one of several tokens. `token` is None for one that does not exist, `reason` why it was left."""

    token_id: str
    token: Token | None
    is_revoked: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TokenPage:
    tokens: tuple[Token, ...]
    next_cursor: str | None


def normalise_scopes(names: Sequence[str]) -> tuple[str, ...]:
    """`names` in their order, without duplicates. Raises InvalidRequest for an empty list or an unknown scope."""
    if not names:
        raise InvalidRequest.in_field("scopes", "scopes must name at least one scope.")
    expand_scopes(names)
    return tuple(dict.fromkeys(names))


def normalise_name(name: str | None) -> str | None:
    """`name` without surrounding spaces. Raises InvalidRequest unless it is one line of 1 to 100 characters."""
    if name is None:
        return None
    name = name.strip()
    # Not str.isprintable: it rejects the joiners that many scripts and emoji require.
    is_one_line = not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
    if not name or len(name) > MAX_NAME_LENGTH or not is_one_line:
        raise InvalidRequest.in_field("name", f"name must be 1 to {MAX_NAME_LENGTH} characters on one line.")
    return name


def normalise_addresses(allowed_ips: tuple[str, ...] | None) -> tuple[str, ...]:
    """Addresses and blocks in canonical form. Raises InvalidRequest."""
    return () if allowed_ips is None else normalise_allowed(allowed_ips)


def normalise_rate_limit(rate_limit: str | None) -> str | None:
    """`rate_limit` with single spaces. None is the default. Raises InvalidRequest."""
    if rate_limit is None:
        return None
    parse_rates(rate_limit)
    return " ".join(rate_limit.split())


def expiry_after(now: datetime, seconds: int | None) -> datetime | None:
    """The time `seconds` after `now`. None is never. Raises InvalidRequest unless it is 1 second to 10 years."""
    if seconds is None:
        return None
    if not 1 <= seconds <= MAX_EXPIRES_IN_SECONDS:
        raise InvalidRequest.in_field("expires_in", f"expires_in must be 1 to {MAX_EXPIRES_IN_SECONDS} seconds.")
    return now + timedelta(seconds=seconds)


def check_new(wanted: NewToken, now: datetime) -> None:
    """Raises InvalidRequest with every field of `wanted` that is wrong."""
    wrong = FieldErrors()
    if wanted.owner_id is not None:
        with wrong.collected():
            check_owner_id(wanted.owner_id)
    changes = TokenChanges(
        name=wanted.name,
        scopes=DEFAULT_SCOPES if wanted.scopes is None else wanted.scopes,
        expires_in_seconds=wanted.expires_in_seconds,
        allowed_ips=wanted.allowed_ips,
        rate_limit=wanted.rate_limit,
    )
    with wrong.collected():
        _changed_fields(changes, now)
    wrong.raise_found()


def ensure_grace_seconds(seconds: int) -> None:
    """Raises InvalidRequest unless a grace period may last `seconds`: 0 seconds to 7 days."""
    if not 0 <= seconds <= MAX_GRACE_SECONDS:
        raise InvalidRequest.in_field("grace_seconds", f"grace_seconds must be 0 to {MAX_GRACE_SECONDS}.")


def apply_changes(token: Token, changes: TokenChanges, now: datetime) -> Token:
    """`token` with `changes`. Raises InvalidRequest with every field that is wrong."""
    return replace(token, **_changed_fields(changes, now))


def _changed_fields(changes: TokenChanges, now: datetime) -> dict[str, Any]:
    new: dict[str, Any] = {}
    wrong = FieldErrors()
    if not isinstance(changes.name, Unset):
        with wrong.collected():
            new["name"] = normalise_name(changes.name)
    if not isinstance(changes.scopes, Unset):
        with wrong.collected():
            new["scopes"] = normalise_scopes(changes.scopes)
    if not isinstance(changes.expires_in_seconds, Unset):
        with wrong.collected():
            new["expires_at"] = expiry_after(now, changes.expires_in_seconds)
    if not isinstance(changes.allowed_ips, Unset):
        with wrong.collected():
            new["allowed_ips"] = normalise_addresses(changes.allowed_ips)
    if not isinstance(changes.rate_limit, Unset):
        with wrong.collected():
            new["rate_limit"] = normalise_rate_limit(changes.rate_limit)
    if not isinstance(changes.custom_message, Unset):
        new["custom_message"] = changes.custom_message
    wrong.raise_found()
    return new


def describe(token: Token) -> dict[str, Any]:
    """The fields that limit `token`, as JSON for the audit trail."""
    return {
        "user_id": token.owner_id,
        "name": token.name,
        "scopes": list(token.scopes),
        "allowed_ips": list(token.allowed_ips),
        "rate_limit": token.rate_limit,
        "expires_at": iso_utc_or_none(token.expires_at),
        "custom_message": token.custom_message,
    }


def differences(old: Token, new: Token) -> dict[str, Any]:
    """The fields of `describe` that differ: `{field: [old value, new value]}`."""
    before, after = describe(old), describe(new)
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))
