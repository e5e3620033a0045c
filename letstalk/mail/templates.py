"""The texts of our mails.

They contain nothing that a stranger typed: a person who registers with somebody else's address must not be able to
write to them in our name.
"""

from __future__ import annotations

from letstalk.mail.models import DAY_SECONDS, LinkPurpose, Mail, lifetime_seconds

_PASTE = "If the page asks for a link, paste this one."


def verification_email(to: str, brand_name: str, link: str) -> Mail:
    return _compose(
        LinkPurpose.VERIFY_EMAIL,
        to,
        f"Confirm your e-mail address for {brand_name}",
        f"Someone, hopefully you, created an account at {brand_name} with this e-mail address.",
        "To confirm that it is yours, open this link within 24 hours:",
        link,
        _PASTE,
        "If it was not you, do nothing: without the link the account cannot be used, and is deleted after a week.",
    )


def password_reset_email(to: str, brand_name: str, link: str) -> Mail:
    return _compose(
        LinkPurpose.RESET_PASSWORD,
        to,
        f"Choose a new password for {brand_name}",
        f"Someone, hopefully you, asked for a new password at {brand_name}.",
        "To choose one, open this link within 30 minutes. It works once and signs you out everywhere:",
        link,
        _PASTE,
        "If it was not you, do nothing: your password stays as it is.",
    )


def known_address_email(to: str, brand_name: str, link: str) -> Mail:
    """To a person with an account whose address was used to register again."""
    return _compose(
        LinkPurpose.RESET_PASSWORD,
        to,
        f"You already have an account at {brand_name}",
        f"Someone, hopefully you, registered at {brand_name} with this e-mail address. It already has an account.",
        "If you forgot the password, choose a new one with this link within 30 minutes. It works once:",
        link,
        _PASTE,
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
        _PASTE,
        "If you do not expect an invitation, do nothing.",
    )


def _compose(purpose: LinkPurpose, to: str, subject: str, *paragraphs: str) -> Mail:
    # A mail is useless after its link has expired, and is tried for a day at most.
    ttl_seconds = min(DAY_SECONDS, lifetime_seconds(purpose))
    return Mail(to, subject, "\n\n".join(paragraphs) + "\n", ttl_seconds)
