"""The forms for a new token and for changing one: what was filled in, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import request

from letstalk.core.actors import CustomMessage
from letstalk.core.clock import utc_now
from letstalk.core.errors import InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.core.scopes import Scope, expand_scopes
from letstalk.core.unset import UNSET, Unset
from letstalk.tokens import models
from letstalk.tokens.models import NewToken, Token, TokenChanges

DAY_SECONDS = 86400

BUNDLES = (
    ("read", "See verifications and their calls."),
    ("write", "Send, verify, replay and cancel codes."),
    ("admin", "Everything, for the tokens of all owners. Only for your own tools."),
)
SINGLE_SCOPES = (
    (Scope.CALLS_READ.value, "See verifications and their calls."),
    (Scope.OTP_SEND.value, "Call a phone with a code."),
    (Scope.OTP_VERIFY.value, "Check a code."),
    (Scope.OTP_REPLAY.value, "Call again with the same code."),
    (Scope.OTP_SPEAK.value, "Call a phone with a code of your own."),
    (Scope.CALLS_CANCEL.value, "End a verification and its call."),
    (Scope.TOKENS_READ.value, "See tokens."),
    (Scope.TOKENS_WRITE.value, "Create, change, rotate and revoke tokens."),
    (Scope.TEST_NUMBERS_WRITE.value, "See and manage test numbers, with their codes."),
)
LIFETIMES = (
    ("", "Never"),
    (str(7 * DAY_SECONDS), "In 7 days"),
    (str(30 * DAY_SECONDS), "In 30 days"),
    (str(90 * DAY_SECONDS), "In 90 days"),
    (str(365 * DAY_SECONDS), "In a year"),
)
KEEP, AT = "keep", "at"  # an expiry that stays as it is, and one at an exact time
AT_A_TIME = (AT, "At an exact time")
MESSAGES = (
    ("", "What this installation allows"),
    ("on", "Any text"),
    ("templates", "Only the texts of the operator"),
    ("off", "Only the default text"),
)
TEXT_FIELDS = (
    "name",
    "user_id",
    "expires_in",
    "expires_at",
    "allowed_ips",
    "rate_limit",
    "custom_message",
    "new_owner",
)
# In the order of the page: the first wrong one has the focus.
FIELDS = ("name", "user_id", "scopes", "expires_in", "expires_at", "allowed_ips", "rate_limit", "custom_message")


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The form for a token, as it was filled in: a rejected form is shown again with its values.

    `expires_in` is a number of seconds, "" for never, KEEP, or AT for `expires_at` (UTC). `new_owner` is the owner that
    the person has confirmed to be new.
    """

    name: str = ""
    user_id: str = "default_user"
    scopes: tuple[str, ...] = ("read", "write")
    expires_in: str = ""
    allowed_ips: str = ""
    rate_limit: str = ""
    custom_message: str = ""
    expires_at: str = ""
    new_owner: str = ""

    @classmethod
    def from_request(cls) -> TokenForm:
        texts = {name: request.form.get(name, "").strip() for name in TEXT_FIELDS}
        return cls(scopes=tuple(dict.fromkeys(request.form.getlist("scopes"))), **texts)

    @property
    def has_single_scopes(self) -> bool:
        return any(name in dict(SINGLE_SCOPES) for name in self.scopes)

    @property
    def has_limits(self) -> bool:
        return bool(self.allowed_ips or self.rate_limit or self.custom_message)

    @classmethod
    def of(cls, token: Token) -> TokenForm:
        """The form to change `token`, with what it has now."""
        return cls(
            name=token.name or "",
            user_id=token.owner_id,
            scopes=token.scopes,
            expires_in=KEEP,
            expires_at="" if token.expires_at is None else f"{token.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M}",
            allowed_ips="\n".join(token.allowed_ips),
            rate_limit=token.rate_limit or "",
            custom_message=token.custom_message or "",
        )

    def as_new_token(self, wrong: FieldErrors) -> NewToken:
        """What the form asks for. What can't be read goes into `wrong`, and so does what the rules do not allow."""
        messages, seconds = None, None
        with wrong.collected():
            seconds = self._lifetime()
        with wrong.collected():
            messages = _read_custom_message(self.custom_message)
        wanted = NewToken(
            owner_id=self.user_id or None,
            scopes=self.scopes,
            name=self.name or None,
            expires_in_seconds=seconds,
            allowed_ips=self._addresses(),
            rate_limit=self.rate_limit or None,
            custom_message=messages,
        )
        with wrong.collected():
            models.check_new(wanted, utc_now())
        return wanted

    def as_changes(self, token: Token, wrong: FieldErrors) -> TokenChanges:
        """The fields that differ from what `token` has. What is wrong with them goes into `wrong`."""
        messages = token.custom_message
        expires: int | Unset | None = UNSET
        with wrong.collected():
            expires = UNSET if self.expires_in == KEEP else self._lifetime()
        with wrong.collected():
            messages = _read_custom_message(self.custom_message)
        before = TokenForm.of(token)
        changes = TokenChanges(
            name=(self.name or None) if self.name != before.name else UNSET,
            scopes=self.scopes if set(self.scopes) != set(before.scopes) else UNSET,
            expires_in_seconds=expires,
            allowed_ips=self._addresses() if self._addresses() != (token.allowed_ips or None) else UNSET,
            rate_limit=(self.rate_limit or None) if self.rate_limit != before.rate_limit else UNSET,
            custom_message=messages if messages != token.custom_message else UNSET,
        )
        with wrong.collected():
            models.apply_changes(token, changes, utc_now())
        return changes

    def _addresses(self) -> tuple[str, ...] | None:
        return tuple(self.allowed_ips.replace(",", " ").split()) or None

    def _lifetime(self) -> int | None:
        """Seconds from now. None is never. Raises InvalidRequest for what is no option, and for a time that is past."""
        if self.expires_in != AT:
            return read_seconds("expires_in", self.expires_in) if self.expires_in else None
        try:
            moment = datetime.fromisoformat(self.expires_at)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
            seconds = int((moment - utc_now()).total_seconds())
        except (ValueError, OverflowError):
            raise InvalidRequest.in_field("expires_at", "Give a day and a time, such as 2026-11-20T17:00.") from None
        if not 1 <= seconds <= models.MAX_EXPIRES_IN_SECONDS:
            raise InvalidRequest.in_field("expires_at", "Give a time from now on, at most 10 years away.")
        return seconds


def offered(choices: tuple[tuple[str, str], ...], held: frozenset[Scope]) -> list[tuple[str, str]]:
    """The `choices` that a person with the scopes `held` may give."""
    return [(name, meaning) for name, meaning in choices if expand_scopes([name]) <= held]


def _read_custom_message(value: str) -> CustomMessage | None:
    """Raises InvalidRequest unless `value` is one of the options. An empty one is the default."""
    if value not in ("", *CustomMessage):
        raise InvalidRequest.in_field("custom_message", "Choose one of the options.")
    return CustomMessage(value) if value else None


def read_seconds(field: str, value: str) -> int:
    """Raises InvalidRequest unless `value` is a whole number of at most nine digits."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest.in_field(field, "Choose one of the options.")
    return int(value)
