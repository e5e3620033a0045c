"""The errors that a caller can get, as one tree. No error knows HTTP: `http/errors.py` maps each branch to a status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Detail:
    """What is wrong with one field of a request."""

    field: str
    message: str


class LetsTalkError(Exception):
    """The root. `message` is a sentence for people, `code` a stable name for programs."""

    code = "internal_error"
    token_id: str | None = None  # the token that it is about, and its owner: for the audit trail, never in a response
    owner_id: str | None = None
    hint: str | None = None  # what to do next, where a program cannot know
    # The sign-in that waits: for a code, or where its call was refused for a recovery code.
    challenge: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: tuple[Detail, ...] = (),
        retry_after_seconds: int | None = None,
        attempts_remaining: int | None = None,
        required_scopes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = details
        self.retry_after_seconds = retry_after_seconds
        self.attempts_remaining = attempts_remaining
        self.required_scopes = required_scopes


class InvalidRequest(LetsTalkError):
    code = "invalid_request"

    @classmethod
    def in_field(cls, field: str, message: str) -> Self:
        """The error for one field, with `message` both as its sentence and in its details."""
        return cls(message, details=(Detail(field, message),))


class InvalidPhone(InvalidRequest):
    code = "invalid_phone"


class InvalidCode(InvalidRequest):
    code = "invalid_code"  # a wrong guess: well-formed, but not the code


class InvalidLink(InvalidRequest):
    """One text for unknown, used and expired links: a response must not tell which."""

    code = "invalid_link"

    def __init__(self) -> None:
        super().__init__("This link is not valid or has expired.")


class SingleSignOnFailed(InvalidRequest):
    """One text for a callback that is forged, repeated, late, in another browser, or has a wrong code or ID token."""

    code = "sso_failed"

    def __init__(self) -> None:
        super().__init__("Signing in did not work: it was canceled, took too long, or continued in another browser.")


class SingleSignOnCanceled(InvalidRequest):
    """The person, or a rule of the provider, said no there. Nothing is wrong with the callback."""

    code = "sso_canceled"
    hint = "Start again at GET /api/auth/sso/start, or sign in with a password."

    def __init__(self) -> None:
        super().__init__("Signing in did not work: it was canceled at the service that you sign in with.")


class WeakPassword(InvalidRequest):
    code = "weak_password"  # a new password that breaks the rules


class NotAuthenticated(LetsTalkError):
    """The caller is not known."""


class MissingAuthorization(NotAuthenticated):
    """`hint` says how to get a token, for who expects that none is needed."""

    code = "missing_authorization"

    def __init__(self, hint: str | None = None) -> None:
        super().__init__("Missing or invalid authorization header")
        self.hint = hint


class InvalidToken(NotAuthenticated):
    """One text for malformed, unknown, wrong, revoked and expired tokens: a response must not tell which."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("Invalid or revoked token")


class InvalidCredentials(NotAuthenticated):
    """One text for unknown names, wrong passwords and accounts that may not sign in."""

    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("The name or the password is wrong.")


class SecondFactorRequired(NotAuthenticated):
    """`challenge` names the sign-in that waits for the code. `masked_phone` is the phone that is called."""

    code = "second_factor_required"
    challenge: str

    def __init__(self, challenge: str, masked_phone: str) -> None:
        super().__init__("We are calling your phone. Enter the code that you hear.")
        self.challenge = challenge
        self.masked_phone = masked_phone


class Forbidden(LetsTalkError):
    code = "forbidden"  # the caller is known, and is not allowed


class InsufficientScope(Forbidden):
    code = "insufficient_scope"


class NotGranted(Forbidden):
    code = "not_granted"  # an owner that was not granted to the person


class SingleSignOnRefused(Forbidden):
    code = "sso_refused"

    def __init__(self) -> None:
        super().__init__("You have no account here, or it is disabled. Ask an admin to invite you.")


class PhoneRequired(Forbidden):
    """The sign-in named by `challenge` can go on once a phone is proven: `masked_phone`, which was entered for the
    account, or if that is None one that the person enters now.
    """

    code = "phone_required"
    challenge: str

    def __init__(self, challenge: str, masked_phone: str | None) -> None:
        sentence = "your account has no phone yet. Enter yours, and have it called."
        if masked_phone is not None:
            sentence = "the phone of your account is not proven yet. Have it called."
        super().__init__(f"Your role requires a code by phone, but {sentence}")
        self.challenge = challenge
        self.masked_phone = masked_phone


class AddressNotAllowed(Forbidden):
    code = "address_not_allowed"


class DestinationBlocked(Forbidden):
    code = "destination_blocked"


class WrongPassword(Forbidden):
    """A person who is signed in mistyped their present password. No 401: their session is as good as before."""

    code = "wrong_password"

    def __init__(self) -> None:
        sentence = "That is not your password."
        super().__init__(sentence, details=(Detail("current_password", sentence),))


class InvalidSignature(Forbidden):
    code = "invalid_signature"  # a webhook without its sender's signature


class CsrfFailed(Forbidden):
    code = "csrf_failed"


class NotFound(LetsTalkError):
    code = "not_found"


class NoPendingVerification(NotFound):
    code = "no_pending_verification"


class Conflict(LetsTalkError):
    code = "conflict"  # the request does not fit the current state


class Gone(LetsTalkError):
    code = "gone"  # the verification is over


class IdempotencyKeyReused(LetsTalkError):
    code = "idempotency_key_reused"


class TooManyRequests(LetsTalkError):
    code = "rate_limited"


class Unavailable(LetsTalkError):
    code = "not_ready"
