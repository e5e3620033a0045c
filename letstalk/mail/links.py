"""One-time links: their purposes, their lifetimes, how they are written, and how often one is mailed.

The token follows the `#`, which browsers do not send, so no log of a server or proxy and no Referer contains it
(OWASP ASVS 5.0, 14.2.1).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

TOKEN_PREFIX = "ltl_"
TOKEN_BYTES = 24
# Hexadecimal: no mail program mistakes its last character for the end of a sentence.
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[0-9a-f]{{{2 * TOKEN_BYTES}}}")
# Many mails annoy their recipient, and a stranger can cause them. The window is no longer than the shortest lifetime of
# a link, so that a stranger who exhausts it leaves a working link in the mailbox: nobody is locked out.
MOST_RECENT = 3
RECENT = timedelta(seconds=1800)
PAUSE = timedelta(seconds=60)


class LinkPurpose(StrEnum):
    VERIFY_EMAIL = "verify_email"  # the person who registered has this address
    RESET_PASSWORD = "reset_password"  # a new password in place of a forgotten one
    INVITATION = "invitation"  # a username and a password for a person whom an admin invited


_LIFETIMES: dict[LinkPurpose, int] = {
    LinkPurpose.VERIFY_EMAIL: 24 * 3600,
    LinkPurpose.RESET_PASSWORD: 1800,
    LinkPurpose.INVITATION: 7 * 24 * 3600,
}
_PAGES: dict[LinkPurpose, str] = {
    LinkPurpose.VERIFY_EMAIL: "/verify-email",
    LinkPurpose.RESET_PASSWORD: "/reset-password",
    LinkPurpose.INVITATION: "/accept-invitation",
}


def lifetime_seconds(purpose: LinkPurpose) -> int:
    return _LIFETIMES[purpose]


def new_token() -> str:
    """192 random bits. The prefix tells secret scanners, and the redaction of our logs, what it is."""
    return TOKEN_PREFIX + secrets.token_hex(TOKEN_BYTES)


def write_link(base_url: str, purpose: LinkPurpose, token: str) -> str:
    """The address to open; the path alone where `base_url` is empty."""
    return f"{base_url}{_PAGES[purpose]}#token={token}"


def read_token(text: str) -> str | None:
    """The token in `text`, which is the token or the whole link as a person pasted it; None for anything else."""
    token = text.strip().rpartition("#token=")[2]
    return token if _TOKEN.fullmatch(token) else None


def may_mail_another(made_at: Sequence[datetime], now: datetime) -> bool:
    """Whether another link may be mailed to a person whose links of the same purpose were made at those times."""
    recent = [made for made in made_at if now - made < RECENT]
    return len(recent) < MOST_RECENT and all(now - made >= PAUSE for made in recent)
