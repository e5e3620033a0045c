"""What our mails say.

Nothing that a stranger typed stands in them: who registers with somebody else's address must not be able to write to
that person in our name.
"""

from __future__ import annotations

from letstalk.mail.links import LinkPurpose, lifetime_seconds
from letstalk.mail.models import DAY_SECONDS, Mail

_PASTE = "Should the page ask for a link, paste this one into it."


def verification_letter(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"Confirm your e-mail address for {brand_name}",
        _text(
            f"Someone, hopefully you, made an account at {brand_name} with this e-mail address.",
            "To confirm that it is yours, open this link within 24 hours:",
            link,
            _PASTE,
            "If it was not you, do nothing: without the link the account stays closed and is deleted after a week.",
        ),
        ttl_seconds=_worth(LinkPurpose.VERIFY_EMAIL),
    )


def reset_letter(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"Choose a new password for {brand_name}",
        _text(
            f"Someone, hopefully you, asked for a new password at {brand_name}.",
            "To choose one, open this link within 30 minutes. It works once, and signs you out everywhere:",
            link,
            _PASTE,
            "If it was not you, do nothing: your password stays as it is.",
        ),
        ttl_seconds=_worth(LinkPurpose.RESET_PASSWORD),
    )


def known_address_letter(to: str, brand_name: str, link: str) -> Mail:
    """To someone with an account, with whose address somebody has registered once more."""
    return Mail(
        to,
        f"You have an account at {brand_name} already",
        _text(
            f"Someone, hopefully you, registered at {brand_name} with this e-mail address. It has an account already.",
            "If you have lost its password, choose a new one with this link within 30 minutes. It works once:",
            link,
            _PASTE,
            "If it was not you, do nothing: nothing has changed.",
        ),
        ttl_seconds=_worth(LinkPurpose.RESET_PASSWORD),
    )


def invitation_letter(to: str, brand_name: str, link: str) -> Mail:
    return Mail(
        to,
        f"You are invited to {brand_name}",
        _text(
            f"An administrator of {brand_name} invites you.",
            "To choose your name and your password, open this link within 7 days. It works once:",
            link,
            _PASTE,
            "If you expect no invitation, do nothing.",
        ),
        ttl_seconds=_worth(LinkPurpose.INVITATION),
    )


def _text(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs) + "\n"


def _worth(purpose: LinkPurpose) -> int:
    # A mail is not worth sending once its link is dead, nor tried for longer than a day.
    return min(DAY_SECONDS, lifetime_seconds(purpose))
