"""Requests and responses of signing in, registering and invitations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.invitations import Invitation, OpenInvitation
from letstalk.accounts.models import MAX_EMAIL_LENGTH, Account, Role
from letstalk.accounts.schemas import ACCOUNT_ID, Email, Password, RoleName, UserIds, Username
from letstalk.core.clock import iso_utc
from letstalk.http.schemas import ApiModel, PlainText, ResponseModel, Timestamp, Uuid, with_example
from letstalk.verifications.schemas import CODE_PATTERN

Opaque = Annotated[PlainText, Field(min_length=1, max_length=200)]

_SIGNED_IN: dict[str, Any] = {
    "token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZDI1NTE5…",
    "refresh_token": "ltr_5q0Zb…",
    "token_type": "Bearer",
    "expires_in": 900,
    "user_id": ACCOUNT_ID,
    "username": "ada",
    "role": "developer",
}


class LoginRequest(ApiModel):
    """A username or an e-mail address, and the password."""

    model_config = with_example({"username": "ada", "password": "correct horse battery staple"})

    username: Annotated[PlainText, Field(min_length=1, max_length=MAX_EMAIL_LENGTH)]
    password: Password


class SecondFactorRequest(ApiModel):
    """The challenge from `second_factor_required`, and the code that the phone heard."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "code": "042917"})

    challenge: Opaque
    code: str = Field(pattern=CODE_PATTERN)


class RefreshRequest(ApiModel):
    """The refresh token of the last pair."""

    model_config = with_example({"refresh_token": "ltr_5q0Zb…"})

    refresh_token: Opaque


class LogoutRequest(ApiModel):
    """Whether to end every session of the account. The field and the body may be omitted."""

    model_config = with_example({"everywhere": True})

    everywhere: bool = False


class PasswordRequest(ApiModel):
    """The current password and the new one."""

    model_config = with_example(
        {"current_password": "correct horse battery staple", "new_password": "every cloud has its own weather"}
    )

    current_password: Password
    new_password: Password


class SignedInResponse(ResponseModel):
    """Signed in. `token` goes into `Authorization: Bearer`; `refresh_token` gets the next pair, once."""

    model_config = with_example(_SIGNED_IN)

    token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds that `token` works for.")
    user_id: Uuid = Field(description="The account's id.")
    username: str
    role: Role

    @classmethod
    def of(cls, signed_in: SignedIn) -> SignedInResponse:
        account = signed_in.account
        return cls(
            token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            token_type="Bearer",
            expires_in=signed_in.expires_in_seconds,
            user_id=account.account_id,
            username=account.username or "",
            role=account.role,
        )


LINK = "ltl_8c1f0b…"

LinkToken = Annotated[
    PlainText,
    Field(min_length=1, max_length=1000, description="What follows `#token=` in the link, or the whole link."),
]


class RegistrationRequest(ApiModel):
    """A username, an e-mail address and a password."""

    model_config = with_example(
        {"username": "ada", "email": "ada@example.com", "password": "correct horse battery staple"}
    )

    username: Username
    email: Email
    password: Password


class AddressRequest(ApiModel):
    """The e-mail address of an account."""

    model_config = with_example({"email": "ada@example.com"})

    email: Email


class LinkRequest(ApiModel):
    """A link from a mail."""

    model_config = with_example({"token": LINK})

    token: LinkToken


class ResetRequest(ApiModel):
    """A link from a mail, and the new password."""

    model_config = with_example({"token": LINK, "new_password": "every cloud has its own weather"})

    token: LinkToken
    new_password: Password


class RegistrationResponse(ResponseModel):
    """A link is being mailed. The response is the same for every address."""

    model_config = with_example({"message": "Open the link that we mail to you, then sign in."})

    message: Literal["Open the link that we mail to you, then sign in."]


class SentResponse(ResponseModel):
    """The same for every address, whether an account has it or not."""

    model_config = with_example({"message": "If the address has an account that needs it, we mail a link to it."})

    message: Literal["If the address has an account that needs it, we mail a link to it."]


class VerifiedResponse(ResponseModel):
    """The address is proven, and the account can sign in."""

    model_config = with_example({"message": "Your e-mail address is verified. You can sign in."})

    message: Literal["Your e-mail address is verified. You can sign in."]


class PasswordResetResponse(ResponseModel):
    """The new password works. Nobody is signed in by this."""

    model_config = with_example({"message": "Your password is changed. Sign in with the new one."})

    message: Literal["Your password is changed. Sign in with the new one."]


EXPIRES = "2026-11-27T17:00:00.000Z"


class InvitationRequest(ApiModel):
    """Whom to invite, with which role, and which owners are granted."""

    model_config = with_example({"email": "ada@example.com", "role": "developer", "user_ids": ["acme"]})

    email: Email
    role: RoleName
    user_ids: UserIds = Field(default_factory=list)


class InvitationAcceptance(ApiModel):
    """The link, and the username and password that the invited person has chosen."""

    model_config = with_example({"token": LINK, "username": "ada", "password": "correct horse battery staple"})

    token: LinkToken
    username: Username
    password: Password


class InvitationResponse(ResponseModel):
    """The only response that contains `link`. The first person to open it gets the account."""

    model_config = with_example(
        {
            "account_id": ACCOUNT_ID,
            "email": "ada@example.com",
            "role": "developer",
            "user_ids": ["acme"],
            "link": f"https://calls.example.com/accept-invitation#token={LINK}",
            "expires_at": EXPIRES,
            "mailed": True,
        }
    )

    account_id: Uuid
    email: str
    role: Role
    user_ids: list[str]
    link: str = Field(description="It works once. It is only a path if PUBLIC_URL is not set.")
    expires_at: Timestamp
    mailed: bool = Field(description="Whether it is being mailed. If not, send it to the person yourself.")

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationResponse:
        account = invitation.account
        return cls(
            account_id=account.account_id,
            email=account.email,
            role=account.role,
            user_ids=list(account.user_ids),
            link=invitation.link,
            expires_at=iso_utc(invitation.expires_at),
            mailed=invitation.is_mailed,
        )


class OpenInvitationResponse(ResponseModel):
    """What the link invites to."""

    model_config = with_example(
        {"email": "ada@example.com", "role": "developer", "user_ids": ["acme"], "expires_at": EXPIRES}
    )

    email: str
    role: Role
    user_ids: list[str]
    expires_at: Timestamp

    @classmethod
    def of(cls, invitation: OpenInvitation) -> OpenInvitationResponse:
        account: Account = invitation.account
        return cls(
            email=account.email,
            role=account.role,
            user_ids=list(account.user_ids),
            expires_at=iso_utc(invitation.expires_at),
        )
