"""A mail, when to retry one, and the one-time links that mails contain.

The token of a link follows the `#`, which browsers do not send, so no log of a server or proxy and no Referer contains
it (OWASP ASVS 5.0, 14.2.1).
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import unquote

DAY_SECONDS = 24 * 3600
FIRST_PAUSE_SECONDS = 15
LONGEST_PAUSE_SECONDS = 600

TOKEN_PREFIX = "ltl_"
TOKEN_BYTES = 24
# Hexadecimal, so that no mail program takes its last character for the end of a sentence.
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[0-9a-f]{{{2 * TOKEN_BYTES}}}(?![0-9A-Za-z])")
# What mail programs and mail scanners make of a line: the soft line breaks and `=` of quoted-printable (RFC 2045,
# section 6.7), and percent-encoding, each of which a scanner may add to another's.
_SOFT_BREAK = re.compile(r"=(?=\r?\n)")
_ENCODED_EQUALS = re.compile(r"=3D", re.IGNORECASE)
_MOST_LAYERS = 3
# Many mails annoy their recipient, and a stranger can cause them. The window is no longer than the shortest lifetime of
# a link, so that a stranger who exhausts it leaves a working link in the mailbox: nobody is locked out.
MOST_RECENT = 3
RECENT = timedelta(seconds=1800)
PAUSE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Mail:
    """One recipient, a subject and plain text. It is not sent after `ttl_seconds`."""

    to: str
    subject: str
    body: str
    ttl_seconds: int = DAY_SECONDS


def retry_at(attempts: int, now: datetime, chance: float) -> datetime:
    """The time of the next try: 15 s after the first, then twice as long each time, up to 10 minutes.

    `chance`, from 0 to 1, shortens the pause by up to a quarter: mails that failed together are not retried together.
    """
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 10))
    return now + timedelta(seconds=pause * (1 - chance / 4))


class LinkPurpose(StrEnum):
    VERIFY_EMAIL = "verify_email"  # proves an address, whose person chooses the password
    RESET_PASSWORD = "reset_password"  # replaces a forgotten password
    INVITATION = "invitation"  # a person whom an admin invited chooses a username and a password


# The page that a link opens, and its lifetime in seconds.
_LINKS: dict[LinkPurpose, tuple[str, int]] = {
    LinkPurpose.VERIFY_EMAIL: ("/verify-email", DAY_SECONDS),
    LinkPurpose.RESET_PASSWORD: ("/reset-password", 1800),
    LinkPurpose.INVITATION: ("/accept-invitation", 7 * DAY_SECONDS),
}


def lifetime_seconds(purpose: LinkPurpose) -> int:
    return _LINKS[purpose][1]


def new_token() -> str:
    """192 random bits. The prefix tells secret scanners, and the redaction of our logs, what it is."""
    return TOKEN_PREFIX + secrets.token_hex(TOKEN_BYTES)


def write_link(base_url: str, purpose: LinkPurpose, token: str) -> str:
    """The URL to open, or only its path if `base_url` is empty."""
    page, _ = _LINKS[purpose]
    return f"{base_url}{page}#token={token}"


def read_token(text: str) -> str | None:
    """The token in `text`: the token or the whole link as a person pasted it, in quotes or brackets, with a full stop,
    broken into lines, or as a mail scanner has encoded it. None where there is none, or more than one.
    """
    text = _ENCODED_EQUALS.sub("=", _SOFT_BREAK.sub("", text))
    for _ in range(_MOST_LAYERS):
        text = unquote(text)
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    # Without white space only if there is no token with it: the next word might look like a part of the token.
    found = _find_tokens(text) or _find_tokens("".join(text.split()))
    return found.pop() if len(found) == 1 else None


def _find_tokens(text: str) -> set[str]:
    """The tokens in `text`. None at all if it has the beginning of one that is not whole."""
    found = _TOKEN.findall(text)
    return set(found) if len(found) == text.count(TOKEN_PREFIX) else set()


def may_mail_another(created_at: Sequence[datetime], now: datetime) -> bool:
    """Whether a person whose links of the same purpose were created at `created_at` may be mailed another one."""
    recent = [created for created in created_at if now - created < RECENT]
    return len(recent) < MOST_RECENT and all(now - created >= PAUSE for created in recent)
