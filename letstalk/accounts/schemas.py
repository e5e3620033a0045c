"""Requests and responses about accounts, roles and sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts.models import (
    MAX_EMAIL_LENGTH,
    MAX_GRANTS,
    MAX_USERNAME_LENGTH,
    Account,
    AccountSession,
    AccountState,
    Role,
    SessionKind,
)
from letstalk.accounts.service import AccountPage
from letstalk.core.clock import iso_utc
from letstalk.http.schemas import ApiModel, PageQuery, PlainText, Query, ResponseModel, Timestamp, Uuid, with_example
from letstalk.tokens.schemas import UserId
from letstalk.verifications.schemas import Phone

ACCOUNT_ID = "3d0e9d0a-51a4-4a51-9d54-0c8f3b1f7a21"
SESSION_ID = "91a3c1f6-0a6e-4a0b-8a57-3c9a5d2e4b10"
CREATED = "2026-11-20T17:00:00.000Z"


def _ensure_utf8(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be text") from None
    return text


# Any characters. The rules for length and content apply to new passwords only.
Password = Annotated[str, AfterValidator(_ensure_utf8), Field(min_length=1, max_length=1024)]
Username = Annotated[PlainText, Field(min_length=1, max_length=MAX_USERNAME_LENGTH)]
Email = Annotated[PlainText, Field(min_length=1, max_length=MAX_EMAIL_LENGTH)]
UserIds = Annotated[list[UserId], Field(max_length=MAX_GRANTS)]
RoleName = Annotated[Role, Field(strict=False)]

_ACCOUNT: dict[str, Any] = {
    "account_id": ACCOUNT_ID,
    "username": "ada",
    "email": "ada@example.com",
    "role": "developer",
    "state": "active",
    "phone": "+256700123456",
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
    role: Role | SkipJsonSchema[None] = Field(None, description="Only people with this role.")
    state: AccountState | SkipJsonSchema[None] = Field(None, description="Only accounts in this state.")
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
    role: RoleName = Field(default_factory=lambda: Role.VIEWER)
    user_ids: UserIds = Field(default_factory=list, description="The granted owners, all of them.")
    disabled: bool = Field(default_factory=bool, description="True ends every session of the account.")
    phone: Phone | None = Field(None, description="Null removes it, and the second factor with it.")
    second_factor: bool = Field(
        default_factory=bool, description="Whether signing in requires a code by phone. It requires a phone."
    )
    current_password: Password = Field(
        default_factory=str,
        description="Required to change one's own `phone` or `second_factor` if the account has a password.",
    )


class AccountResponse(ResponseModel):
    """An account."""

    model_config = with_example(_ACCOUNT)

    account_id: Uuid
    username: str | None = Field(description="Null for a person who was invited and has not accepted yet.")
    email: str
    role: Role
    state: AccountState
    phone: str | None
    second_factor: bool
    user_ids: list[str] = Field(description="The granted owners. An admin needs none.")
    created_at: Timestamp
    last_signed_in_at: Timestamp | None

    @classmethod
    def of(cls, account: Account) -> AccountResponse:
        return cls(**account_fields(account))


class AccountList(ResponseModel):
    """A page of people, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"accounts": [_ACCOUNT], "next_cursor": None})

    accounts: list[AccountResponse]
    next_cursor: str | None

    @classmethod
    def of(cls, page: AccountPage) -> AccountList:
        return cls(accounts=[AccountResponse.of(account) for account in page.accounts], next_cursor=page.next_cursor)


class DeletionResponse(ResponseModel):
    """The account is gone, with its sessions and grants."""

    model_config = with_example({"message": "Account deleted"})

    message: str


class RolePath(Query):
    # Checked after the body, by the service. The names are listed for the description only.
    role: PlainText = Field(description="The role.", json_schema_extra={"enum": list(Role)})


class RolePatch(ApiModel):
    """What signing in requires of everyone with the role."""

    model_config = with_example({"requires_second_factor": True})

    requires_second_factor: bool


class RoleResponse(ResponseModel):
    """A role, and what signing in requires of everyone with it."""

    model_config = with_example({"role": "admin", "requires_second_factor": True})

    role: Role
    requires_second_factor: bool


class RoleList(ResponseModel):
    """All roles."""

    model_config = with_example({"roles": [{"role": "admin", "requires_second_factor": True}]})

    roles: list[RoleResponse]

    @classmethod
    def of(cls, policies: dict[Role, bool]) -> RoleList:
        return cls(roles=[RoleResponse(role=role, requires_second_factor=needs) for role, needs in policies.items()])


class SessionPath(Query):
    session_id: UUID = Field(description="The session's id.")


class SessionResponse(ResponseModel):
    """A session: its start and end, its address and its program."""

    model_config = with_example(_SESSION)

    session_id: Uuid
    kind: SessionKind
    method: str = Field(description="How the person signed in: `password`, `sso`, `jwt`, `invitation`…")
    created_at: Timestamp
    last_seen_at: Timestamp = Field(description="Accurate to five minutes.")
    expires_at: Timestamp
    address: str
    user_agent: str
    current: bool = Field(description="Whether it is the session of this request.")

    @classmethod
    def of(cls, session: AccountSession, current_id: str | None) -> SessionResponse:
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
    """One's own live sessions, newest first."""

    model_config = with_example({"sessions": [_SESSION]})

    sessions: list[SessionResponse]

    @classmethod
    def of(cls, sessions: list[AccountSession], current_id: str | None) -> SessionList:
        return cls(sessions=[SessionResponse.of(session, current_id) for session in sessions])


class SessionsEnded(ResponseModel):
    """How many sessions this request ended."""

    model_config = with_example({"sessions_ended": 1})

    sessions_ended: int


class MeResponse(AccountResponse):
    """Who is asking: the account, its role and grants, and the session."""

    model_config = with_example({"user_id": ACCOUNT_ID, **_ACCOUNT, "session": _SESSION})

    user_id: Uuid = Field(description="The same as `account_id`, named as in the response to a sign-in.")
    session: SessionResponse


def account_fields(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "username": account.username,
        "email": account.email,
        "role": account.role,
        "state": account.state,
        "phone": account.phone,
        "second_factor": account.second_factor,
        "user_ids": list(account.user_ids),
        "created_at": iso_utc(account.created_at),
        "last_signed_in_at": _iso(account.last_signed_in_at),
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else iso_utc(time)
