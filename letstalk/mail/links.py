"""Links that are good once: what each is for, how long it lives, how it is written, how often one is mailed.

The token stands behind the `#`, which no browser sends: no log of a server or proxy holds it, and no Referer
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
# Hexadecimal: no mail program takes its last character for the end of a sentence.
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[0-9a-f]{{{2 * TOKEN_BYTES}}}")
# Many links for someone who asked once are a nuisance, and can be somebody else's doing. The window is no longer than
# the shortest link lives, so that whoever exhausts it leaves a link that works in the mailbox: nobody is locked out.
MOST_RECENT = 3
RECENT = timedelta(seconds=1800)
PAUSE = timedelta(seconds=60)


class LinkPurpose(StrEnum):
    VERIFY_EMAIL = "verify_email"  # whoever registered has this address
    RESET_PASSWORD = "reset_password"  # a new password for one who lost theirs
    INVITATION = "invitation"  # a name and a password for one whom an admin invited


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
    """192 random bits; the prefix tells secret scanners, and our logs, what it is."""
    return TOKEN_PREFIX + secrets.token_hex(TOKEN_BYTES)


def write_link(base_url: str, purpose: LinkPurpose, token: str) -> str:
    """The address to open; the path alone where it is not known under which address we are reached."""
    return f"{base_url}{_PAGES[purpose]}#token={token}"


def read_token(text: str) -> str | None:
    """The token in `text`, which is the token or the whole link as someone pasted it; None for anything else."""
    token = text.strip().rpartition("#token=")[2]
    return token if _TOKEN.fullmatch(token) else None


def may_mail_another(made_at: Sequence[datetime], now: datetime) -> bool:
    """Whether another link may be mailed to someone for whom some, of one purpose, were made at those moments."""
    recent = [moment for moment in made_at if now - moment < RECENT]
    return len(recent) < MOST_RECENT and all(now - moment >= PAUSE for moment in recent)
