"""The texts of our mails.

They contain nothing that a stranger typed: a person who registers with somebody else's address must not be able to
write to them in our name.
"""

from __future__ import annotations

from letstalk.mail.links import LinkPurpose, lifetime_seconds
from letstalk.mail.models import DAY_SECONDS, Mail

_PASTE = "If the page asks for a link, paste this one."


def verification_email(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"Confirm your e-mail address for {brand_name}",
        _text(
            f"Someone, hopefully you, created an account at {brand_name} with this e-mail address.",
            "To confirm that it is yours, open this link within 24 hours:",
            link,
            _PASTE,
            "If it was not you, do nothing: without the link the account cannot be used, and is deleted after a week.",
        ),
        ttl_seconds=_ttl_seconds(LinkPurpose.VERIFY_EMAIL),
    )


def password_reset_email(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"Choose a new password for {brand_name}",
        _text(
            f"Someone, hopefully you, asked for a new password at {brand_name}.",
            "To choose one, open this link within 30 minutes. It works once and signs you out everywhere:",
            link,
            _PASTE,
            "If it was not you, do nothing: your password stays as it is.",
        ),
        ttl_seconds=_ttl_seconds(LinkPurpose.RESET_PASSWORD),
    )


def known_address_email(to: str, brand_name: str, link: str) -> Mail:
    """To a person with an account whose address was used to register again."""
    return Mail(
        to,
        f"You already have an account at {brand_name}",
        _text(
            f"Someone, hopefully you, registered at {brand_name} with this e-mail address. It already has an account.",
            "If you forgot the password, choose a new one with this link within 30 minutes. It works once:",
            link,
            _PASTE,
            "If it was not you, do nothing: nothing has changed.",
        ),
        ttl_seconds=_ttl_seconds(LinkPurpose.RESET_PASSWORD),
    )


def invitation_email(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"You are invited to {brand_name}",
        _text(
            f"An administrator of {brand_name} invites you.",
            "To choose your name and your password, open this link within 7 days. It works once:",
            link,
            _PASTE,
            "If you do not expect an invitation, do nothing.",
        ),
        ttl_seconds=_ttl_seconds(LinkPurpose.INVITATION),
    )


def _text(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs) + "\n"


def _ttl_seconds(purpose: LinkPurpose) -> int:
    # A mail is useless once its link has expired, and is tried for a day at most.
    return min(DAY_SECONDS, lifetime_seconds(purpose))
