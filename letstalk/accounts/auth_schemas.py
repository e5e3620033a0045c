"""What requests and answers of signing in look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.models import MAX_EMAIL_LENGTH, Role
from letstalk.accounts.schemas import ACCOUNT_ID, Password
from letstalk.http.schemas import ApiModel, PlainText, ResponseModel, Uuid, with_example
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
    """What a refused sign-in named, and the code that the phone heard."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "code": "042917"})

    challenge: Opaque
    code: str = Field(pattern=CODE_PATTERN)


class RefreshRequest(ApiModel):
    """The refresh token of the last pair."""

    model_config = with_example({"refresh_token": "ltr_5q0Zb…"})

    refresh_token: Opaque


class LogoutRequest(ApiModel):
    """Whether to end every session of the account. May be left out, and so may the body."""

    model_config = with_example({"everywhere": True})

    everywhere: bool = False


class PasswordRequest(ApiModel):
    """The password as it is, and as it is to be."""

    model_config = with_example(
        {"current_password": "correct horse battery staple", "new_password": "every cloud has its own weather"}
    )

    current_password: Password
    new_password: Password


class SignedInAnswer(ResponseModel):
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
    def of(cls, signed_in: SignedIn) -> SignedInAnswer:
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
