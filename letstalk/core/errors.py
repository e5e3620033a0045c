"""Everything that can go wrong for a caller, as one tree.

LetsTalkError
├── InvalidRequest            the request itself is wrong
│   ├── InvalidPhone
│   ├── InvalidCode           a wrong guess: well-formed, but not the code
│   ├── InvalidLink           a one-time link that is unknown, used or expired
│   ├── SingleSignOnFailed    what came back from the provider is not what we asked for
│   └── WeakPassword          a new password that the rules don't take
├── NotAuthenticated          who is asking is not known
│   ├── MissingAuthorization
│   ├── InvalidToken
│   ├── InvalidCredentials    name and password don't belong together
│   └── SecondFactorRequired  they do, and a call has yet to be answered
├── Forbidden                 who is asking is known, and may not
│   ├── InsufficientScope
│   ├── NotGranted            a user_id that was not granted to the person
│   ├── SingleSignOnRefused   the provider knows who it is, and there is no account for them
│   ├── PhoneRequired         a second factor is asked for, and there is no phone to call
│   ├── AddressNotAllowed
│   ├── DestinationBlocked
│   ├── InvalidSignature      a webhook that its sender has not signed
│   └── CsrfFailed
├── NotFound
│   └── NoPendingVerification
├── Conflict                  what is asked does not fit the state that things are in
├── Gone                      the verification is over
├── IdempotencyKeyReused
├── TooManyRequests           ask again, later
└── Unavailable               the service cannot take it now

No error knows HTTP: `web/errors.py` maps each branch to a status.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing that is wrong with one field of a request."""

    field: str
    message: str


class LetsTalkError(Exception):
    """The root. `message` is a sentence for people; `code` is stable and for programs."""

    code = "internal_error"
    token_id: str | None = None  # the token that it is about: for the audit trail, never for an answer

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
    def in_field(cls, field: str, message: str) -> InvalidRequest:
        """The error that says what is wrong with `field`, both as its sentence and in its details."""
        return cls(message, details=(Detail(field, message),))


class InvalidPhone(InvalidRequest):
    code = "invalid_phone"


class InvalidCode(InvalidRequest):
    code = "invalid_code"


class InvalidLink(InvalidRequest):
    """One text for unknown, used and expired links: an answer must not tell which."""

    code = "invalid_link"

    def __init__(self) -> None:
        super().__init__("This link is not valid, or not any more.")


class SingleSignOnFailed(InvalidRequest):
    """One text for a callback that is forged, replayed, too late, in another browser, or whose code or ID token does
    not hold.
    """

    code = "sso_failed"

    def __init__(self) -> None:
        super().__init__("Signing in did not work: it was canceled, took too long, or went on in another browser.")


class WeakPassword(InvalidRequest):
    code = "weak_password"

    @classmethod
    def in_field(cls, field: str, message: str) -> WeakPassword:
        return cls(message, details=(Detail(field, message),))


class NotAuthenticated(LetsTalkError):
    pass


class MissingAuthorization(NotAuthenticated):
    code = "missing_authorization"

    def __init__(self) -> None:
        super().__init__("Missing or invalid authorization header")


class InvalidToken(NotAuthenticated):
    """One text for malformed, unknown, wrong, revoked and expired tokens: an answer must not tell which."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("Invalid or revoked token")


class InvalidCredentials(NotAuthenticated):
    """One text for unknown names, wrong passwords and accounts that may not sign in."""

    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("The name or the password is wrong.")


class SecondFactorRequired(NotAuthenticated):
    """`challenge` names the sign-in that waits for the code; `masked_phone` is the phone that is being called."""

    code = "second_factor_required"

    def __init__(self, challenge: str, masked_phone: str) -> None:
        super().__init__("We are calling your phone. Give the code that you hear.")
        self.challenge = challenge
        self.masked_phone = masked_phone


class Forbidden(LetsTalkError):
    code = "forbidden"


class InsufficientScope(Forbidden):
    code = "insufficient_scope"


class NotGranted(Forbidden):
    code = "not_granted"


class SingleSignOnRefused(Forbidden):
    code = "sso_refused"

    def __init__(self) -> None:
        super().__init__("You have no account here, or it is disabled. Ask an admin to invite you.")


class PhoneRequired(Forbidden):
    code = "phone_required"

    def __init__(self) -> None:
        super().__init__("Your role asks for a code by phone, and your account has no phone. Ask an admin to add it.")


class AddressNotAllowed(Forbidden):
    code = "address_not_allowed"


class DestinationBlocked(Forbidden):
    code = "destination_blocked"


class InvalidSignature(Forbidden):
    code = "invalid_signature"


class CsrfFailed(Forbidden):
    code = "csrf_failed"


class NotFound(LetsTalkError):
    code = "not_found"


class NoPendingVerification(NotFound):
    code = "no_pending_verification"


class Conflict(LetsTalkError):
    code = "conflict"


class Gone(LetsTalkError):
    code = "gone"


class IdempotencyKeyReused(LetsTalkError):
    code = "idempotency_key_reused"


class TooManyRequests(LetsTalkError):
    code = "rate_limited"


class Unavailable(LetsTalkError):
    code = "not_ready"
