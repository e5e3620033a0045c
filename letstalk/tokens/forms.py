"""The dashboard's token forms: what they offer, what was filled in, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from letstalk.core.errors import InvalidRequest
from letstalk.core.scopes import Scope, expand_scopes
from letstalk.tokens.service import NewToken

DAY = 86400

BUNDLES = (
    ("read", "See verifications and their calls."),
    ("write", "Send, verify, replay and cancel codes."),
    ("admin", "Everything, and all owners' tokens. For your own tools only."),
)
FINE_SCOPES = (
    (Scope.CALLS_READ.value, "See verifications and their calls."),
    (Scope.OTP_SEND.value, "Have a phone called."),
    (Scope.OTP_VERIFY.value, "Check a code."),
    (Scope.OTP_REPLAY.value, "Have a code spoken again."),
    (Scope.CALLS_CANCEL.value, "End a verification and its call."),
    (Scope.TOKENS_READ.value, "See tokens."),
    (Scope.TOKENS_WRITE.value, "Make, change, rotate and revoke tokens."),
)
LIFETIMES = (
    ("", "Never"),
    (str(7 * DAY), "In 7 days"),
    (str(30 * DAY), "In 30 days"),
    (str(90 * DAY), "In 90 days"),
    (str(365 * DAY), "In a year"),
)
GRACES = (
    ("0", "No longer: it is refused at once"),
    ("3600", "1 hour"),
    (str(DAY), "1 day"),
    (str(7 * DAY), "7 days"),
)
DEFAULT_GRACE = "3600"


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The form for a new token as it was filled in, so that a refused one comes back with nothing lost."""

    name: str = ""
    user_id: str = "default_user"
    scopes: tuple[str, ...] = ("read", "write")
    expires_in: str = ""
    allowed_ips: str = ""
    rate_limit: str = ""

    @classmethod
    def from_request(cls) -> TokenForm:
        fields = request.form
        return cls(
            name=fields.get("name", "").strip(),
            user_id=fields.get("user_id", "").strip(),
            scopes=tuple(dict.fromkeys(fields.getlist("scopes"))),
            expires_in=fields.get("expires_in", "").strip(),
            allowed_ips=fields.get("allowed_ips", "").strip(),
            rate_limit=fields.get("rate_limit", "").strip(),
        )

    @property
    def has_fine_scopes(self) -> bool:
        return any(name in dict(FINE_SCOPES) for name in self.scopes)

    def as_new_token(self) -> NewToken:
        """The token that is asked for; what was left empty takes its default.

        Raises InvalidRequest for a lifetime that is no number; the service judges the rest.
        """
        return NewToken(
            user_id=self.user_id or None,
            scopes=self.scopes,
            name=self.name or None,
            expires_in_seconds=read_seconds("expires_in", self.expires_in) if self.expires_in else None,
            allowed_ips=tuple(self.allowed_ips.replace(",", " ").split()) or None,
            rate_limit=self.rate_limit or None,
        )


def offered(choices: tuple[tuple[str, str], ...], held: frozenset[Scope]) -> list[tuple[str, str]]:
    """Those of `choices` that someone who holds these scopes may give."""
    return [(name, meaning) for name, meaning in choices if expand_scopes([name]) <= held]


def read_seconds(field: str, value: str) -> int:
    """Raises InvalidRequest for what is not a whole number of at most nine digits."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest.in_field(field, "Choose one of these.")
    return int(value)
