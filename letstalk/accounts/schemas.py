"""Requests and responses about accounts, roles, sessions, signing in, registration and invitations."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts import models
from letstalk.accounts.account_sessions import SessionPage, SignedIn
from letstalk.accounts.passwords import MAX_PASSWORD_BYTES
from letstalk.core.clock import iso_utc
from letstalk.core.scopes import Scope
from letstalk.http.schemas import ApiModel, PageQuery, PlainText, Query, ResponseModel, Timestamp, Uuid, with_example
from letstalk.tokens.schemas import ACCOUNT_ID, UserId
from letstalk.verifications.schemas import Phone

SESSION_ID = "91a3c1f6-0a6e-4a0b-8a57-3c9a5d2e4b10"
CREATED = "2026-11-20T17:00:00.000Z"
EXPIRES = "2026-11-27T17:00:00.000Z"
LINK = "ltl_8c1f0b…"


def _ensure_utf8(text: str) -> str:
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be text") from None
    if len(encoded) > MAX_PASSWORD_BYTES:
        raise ValueError(f"must have at most {MAX_PASSWORD_BYTES} bytes")
    return text


# Any characters. The rules for length and content apply to new passwords only.
Password = Annotated[str, AfterValidator(_ensure_utf8), Field(min_length=1, max_length=MAX_PASSWORD_BYTES)]
Username = Annotated[PlainText, Field(min_length=1, max_length=models.MAX_USERNAME_LENGTH)]
Email = Annotated[PlainText, Field(min_length=1, max_length=models.MAX_EMAIL_LENGTH)]
UserIds = Annotated[list[UserId], Field(max_length=models.MAX_GRANTS)]
RoleName = Annotated[models.Role, Field(strict=False)]
Opaque = Annotated[PlainText, Field(min_length=1, max_length=200)]
LinkToken = Annotated[
    str, Field(min_length=1, max_length=4000, description="What follows `#token=` in the link, or the whole link.")
]

_ACCOUNT: dict[str, Any] = {
    "account_id": ACCOUNT_ID,
    "username": "ada",
    "email": "ada@example.com",
    "email_verified": True,
    "role": "developer",
    "state": "active",
    "phone": "+12025550142",
    "pending_phone": None,
    "second_factor": True,
    "user_ids": ["acme"],
    "created_at": CREATED,
    "last_signed_in_at": "2026-11-20T17:12:09.120Z",
}
_SESSION: dict[str, Any] = {
    "session_id": SESSION_ID,
    "kind": "api",
    "method": "password",
    "created_at": "2026-11-20T17:12:09.120Z",
    "last_seen_at": "2026-11-20T17:12:09.120Z",
    "expires_at": "2026-11-27T17:12:09.120Z",
    "address": "203.0.113.7",
    "user_agent": "curl/8.5.0",
    "current": True,
}


class AccountPath(Query):
    account_id: UUID = Field(description="The account's id.")


class AccountQuery(PageQuery):
    role: models.Role | SkipJsonSchema[None] = Field(None, description="Only people with this role.")
    state: models.AccountState | SkipJsonSchema[None] = Field(None, description="Only accounts in this state.")
    search: PlainText | SkipJsonSchema[None] = Field(
        None,
        min_length=1,
        max_length=200,
        description="Only people with this text in the username or the e-mail address.",
    )


class AccountPatch(ApiModel):
    """The changes; what is omitted stays. `email`, `role`, `user_ids` and `disabled` are for admins."""

    model_config = with_example({"role": "developer", "user_ids": ["acme"]})

    # The defaults are never used: `model_fields_set` tells what was given. A factory keeps them out of the description.
    username: Username = Field(default_factory=str)
    email: Email = Field(default_factory=str)
    role: RoleName = Field(default_factory=lambda: models.Role.VIEWER)
    user_ids: UserIds = Field(default_factory=list, description="The granted owners, all of them.")
    disabled: bool = Field(
        default_factory=bool, description="True ends every session of the account, and suspends its tokens."
    )
    revoke_tokens: bool = Field(
        default_factory=bool, description="With `disabled: true`: revoke the tokens that the account has created."
    )
    phone: Phone | None = Field(
        None,
        description="It becomes `pending_phone` until its person proves it: POST /api/auth/phone. Null removes both, "
        "and the second factor with them.",
    )
    second_factor: bool = Field(
        default_factory=bool, description="Whether signing in requires a code by phone. It requires a proven phone."
    )
    current_password: Password = Field(
        default_factory=str,
        description="Required to change one's own `phone` or `second_factor` if the account has a password.",
    )

    def to_changes(self) -> models.AccountChanges:
        given = self.model_dump(exclude_unset=True, exclude={"current_password", "revoke_tokens"})
        return models.AccountChanges(**{"owner_ids" if name == "user_ids" else name: given[name] for name in given})


class AccountResponse(ResponseModel):
    """An account."""

    model_config = with_example(_ACCOUNT)

    account_id: Uuid
    username: str | None = Field(description="Null for a person who was invited and has not accepted yet.")
    email: str
    email_verified: bool = Field(description="Whether the address is proven, or was given by an admin.")
    role: models.Role
    state: models.AccountState
    phone: str | None = Field(description="Proven by a code that was read to it.")
    pending_phone: str | None = Field(description="Not proven yet: no sign-in calls it.")
    second_factor: bool
    user_ids: list[str] = Field(description="The granted owners. An admin needs none.")
    created_at: Timestamp
    last_signed_in_at: Timestamp | None

    @classmethod
    def of(cls, account: models.Account) -> AccountResponse:
        return cls(**account_fields(account))


class AccountList(ResponseModel):
    """A page of people, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"accounts": [_ACCOUNT], "next_cursor": None})

    accounts: list[AccountResponse]
    next_cursor: str | None

    @classmethod
    def of(cls, page: models.AccountPage) -> AccountList:
        return cls(accounts=[AccountResponse.of(account) for account in page.accounts], next_cursor=page.next_cursor)


class DeletionQuery(Query):
    revoke_tokens: bool = Field(False, description="Also revoke the tokens that the account has created.")


class DeletionResponse(ResponseModel):
    """The account is gone, with its sessions and grants."""

    model_config = with_example({"message": "Account deleted"})

    message: str


class RolePath(Query):
    # Checked after the body, by the service. The names are listed for the description only.
    role: PlainText = Field(max_length=64, description="The role.", json_schema_extra={"enum": list(models.Role)})


class RolePatch(ApiModel):
    """What signing in requires of everyone with the role."""

    model_config = with_example({"requires_second_factor": True})

    requires_second_factor: bool


class RoleResponse(ResponseModel):
    """A role, and what signing in requires of everyone with it."""

    model_config = with_example({"role": "admin", "requires_second_factor": True, "people_without_phone": 2})

    role: models.Role
    requires_second_factor: bool
    people_without_phone: int = Field(
        description="Active people with the role who have no proven phone. Where a code is required they prove one at "
        "their next sign-in."
    )


class RoleList(ResponseModel):
    """All roles."""

    model_config = with_example(
        {"roles": [{"role": "admin", "requires_second_factor": True, "people_without_phone": 2}]}
    )

    roles: list[RoleResponse]


class SessionPath(Query):
    session_id: UUID = Field(description="The session's id.")


class SessionResponse(ResponseModel):
    """A session: its start and end, its address and its program."""

    model_config = with_example(_SESSION)

    session_id: Uuid
    kind: models.SessionKind
    method: str = Field(description="How the person signed in: `password`, `sso`, `jwt`, `invitation`…")
    created_at: Timestamp
    last_seen_at: Timestamp = Field(description="Accurate to five minutes.")
    expires_at: Timestamp
    address: str
    user_agent: str
    current: bool = Field(description="Whether it is the session of this request.")

    @classmethod
    def of(cls, session: models.AccountSession, current_id: str | None) -> SessionResponse:
        return cls(
            session_id=session.session_id,
            kind=session.kind,
            method=session.method,
            created_at=iso_utc(session.created_at),
            last_seen_at=iso_utc(session.last_seen_at),
            expires_at=iso_utc(session.expires_at),
            address=session.address,
            user_agent=session.user_agent,
            current=session.session_id == current_id,
        )


class SessionList(ResponseModel):
    """A page of one's own live sessions, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"sessions": [_SESSION], "next_cursor": None})

    sessions: list[SessionResponse]
    next_cursor: str | None

    @classmethod
    def of(cls, page: SessionPage, current_id: str | None) -> SessionList:
        listed = [SessionResponse.of(session, current_id) for session in page.sessions]
        return cls(sessions=listed, next_cursor=page.next_cursor)


class SessionsEnded(ResponseModel):
    """How many sessions this request ended."""

    model_config = with_example({"sessions_ended": 1})

    sessions_ended: int


class MeResponse(AccountResponse):
    """Who is asking: the account, its role and grants, and the session."""

    model_config = with_example(
        {"user_id": "acme", **_ACCOUNT, "scopes": ["calls:read", "otp:send"], "session": _SESSION}
    )

    user_id: str | None = Field(
        description="The owner that requests without `X-User-Id` act for. Null if several or none are granted."
    )
    scopes: list[Scope] = Field(description="What the role may do.")
    session: SessionResponse


def account_fields(account: models.Account) -> dict[str, Any]:
    return {**models.describe_account(account), "phone": account.phone, "pending_phone": account.pending_phone}


class LoginRequest(ApiModel):
    """A username or an e-mail address, and the password."""

    model_config = with_example({"username": "ada", "password": "correct horse battery staple"}) | ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["username"]}, {"required": ["email"]}]}
    )

    username: Annotated[PlainText, Field(min_length=1, max_length=models.MAX_EMAIL_LENGTH)] | SkipJsonSchema[None] = (
        Field(None, description="The username, or the e-mail address.")
    )
    email: Email | SkipJsonSchema[None] = Field(None, description="The e-mail address, instead of `username`.")
    password: Password

    @property
    def name(self) -> str:
        return self.username or self.email or ""

    @model_validator(mode="after")
    def _exactly_one(self) -> LoginRequest:
        if (self.username is None) == (self.email is None):
            raise ValueError("Give exactly one of username and email.")
        return self

    @field_validator("email")
    @classmethod
    def _is_address(cls, email: str | None) -> str | None:
        if email is not None and "@" not in email:
            raise ValueError("must be an e-mail address")
        return email


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

    model_config = with_example(
        {
            "token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZDI1NTE5…",
            "refresh_token": "ltr_5q0Zb…",
            "token_type": "Bearer",
            "expires_in": 900,
            "user_id": ACCOUNT_ID,
            "username": "ada",
            "role": "developer",
        }
    )

    token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds that `token` works for.")
    user_id: Uuid = Field(description="The account's id.")
    username: str
    role: models.Role

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


class RegistrationRequest(ApiModel):
    """A username and an e-mail address."""

    model_config = with_example({"username": "ada", "email": "ada@example.com"})

    username: Username
    email: Email
    password: Password | SkipJsonSchema[None] = Field(
        None,
        json_schema_extra={"deprecated": True},
        description="Checked by the rules and not kept: the person chooses the password with the link in the mail.",
    )


class AddressRequest(ApiModel):
    """The e-mail address of an account."""

    model_config = with_example({"email": "ada@example.com"})

    email: Email


class LinkRequest(ApiModel):
    """A link from a mail."""

    model_config = with_example({"token": LINK})

    token: LinkToken


class VerificationRequest(ApiModel):
    """A link from a mail, and the password of the new account."""

    model_config = with_example({"token": LINK, "password": "correct horse battery staple"})

    token: LinkToken
    password: Password


class ResetRequest(ApiModel):
    """A link from a mail, and the new password."""

    model_config = with_example({"token": LINK, "new_password": "every cloud has its own weather"})

    token: LinkToken
    new_password: Password


class RegistrationResponse(ResponseModel):
    """A link is being mailed. The response is the same for every address."""

    model_config = with_example({"message": "Open the link that we mail to you, and choose your password."})

    message: Literal["Open the link that we mail to you, and choose your password."]


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
