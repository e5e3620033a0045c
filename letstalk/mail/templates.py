"""The texts of our mails.

They contain nothing that a stranger typed, except a name that is no more than a word: a person who registers with
somebody else's address must not be able to write to them in our name.
"""

from __future__ import annotations

import re
from datetime import datetime

from letstalk.mail.models import DAY_SECONDS, LinkPurpose, Mail, lifetime_seconds

# No dot and no sign of an address, so that no mail program makes a link of it.
_SHOWN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,23}")


def describe_request(at: datetime, address: str) -> str:
    """When somebody asked for a mail, and from which address, for its reader. `at` is in UTC."""
    return f" on {at.day} {at:%B %Y} at {at:%H:%M} UTC, from the network address {address}"


def verification_email(to: str, brand_name: str, link: str, asked: str = "", *, name: str = "") -> Mail:
    """`asked` is what `describe_request` returned, here and below. `name` is the username of the new account."""
    named = f" The name of the account is {name}." if _SHOWN_NAME.fullmatch(name) else ""
    return _compose(
        LinkPurpose.VERIFY_EMAIL,
        to,
        f"Confirm your e-mail address for {brand_name}",
        f"Someone, hopefully you, asked for an account at {brand_name} with this e-mail address{asked}.{named}",
        "To confirm that it is yours and to choose your password, open this link within 24 hours:",
        link,
        "If it was not you, do nothing: without the link the account cannot be used, and is deleted after a week.",
    )


def password_reset_email(to: str, brand_name: str, link: str, asked: str = "") -> Mail:
    return _compose(
        LinkPurpose.RESET_PASSWORD,
        to,
        f"Choose a new password for {brand_name}",
        f"Someone, hopefully you, asked for a new password at {brand_name}{asked}.",
        "To choose one, open this link within 30 minutes. It works once and signs you out everywhere:",
        link,
        "If it was not you, do nothing: your password stays as it is.",
    )


def known_address_email(to: str, brand_name: str, link: str, asked: str = "") -> Mail:
    """To a person with an account whose address was used to register again."""
    return _compose(
        LinkPurpose.RESET_PASSWORD,
        to,
        f"You already have an account at {brand_name}",
        f"Someone, hopefully you, registered at {brand_name} with this e-mail address{asked}. It has one already.",
        "If you forgot the password, choose a new one with this link within 30 minutes. It works once:",
        link,
        "If it was not you, do nothing: nothing has changed.",
    )


def invitation_email(to: str, brand_name: str, link: str) -> Mail:
    return _compose(
        LinkPurpose.INVITATION,
        to,
        f"You are invited to {brand_name}",
        f"An administrator of {brand_name} invites you.",
        "To choose your name and your password, open this link within 7 days. It works once:",
        link,
        "If you do not expect an invitation, do nothing.",
    )


def webhook_disabled_email(to: str, brand_name: str, url: str, reason: str) -> Mail:
    """To the people of an owner whose webhook endpoint was disabled. `url` was given by one of them."""
    paragraphs = (
        f"{brand_name} no longer sends events to your webhook endpoint {url}",
        reason,
        "Repair the endpoint, enable it in the dashboard under Webhooks, and replay what it has missed. "
        "Events are kept for 30 days.",
    )
    return Mail(to, f"A webhook endpoint of yours at {brand_name} was disabled", "\n\n".join(paragraphs) + "\n")


def _compose(purpose: LinkPurpose, to: str, subject: str, reason: str, task: str, link: str, otherwise: str) -> Mail:
    # A mail is useless after its link has expired, and is tried for a day at most.
    ttl_seconds = min(DAY_SECONDS, lifetime_seconds(purpose))
    paragraphs = (reason, task, link, "If the page asks for a link, paste this one.", otherwise)
    return Mail(to, subject, "\n\n".join(paragraphs) + "\n", ttl_seconds)
