"""Requests and responses about invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from letstalk.accounts import models
from letstalk.accounts.registrations import Invitation, OpenInvitation
from letstalk.accounts.schemas import EXPIRES, LINK, Email, LinkToken, Password, RoleName, UserIds, Username
from letstalk.core.clock import iso_utc
from letstalk.http.schemas import ApiModel, ResponseModel, Timestamp, Uuid, with_example
from letstalk.tokens.schemas import ACCOUNT_ID


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
    role: models.Role
    user_ids: list[str]
    link: str = Field(description="It works once. It is only a path if PUBLIC_URL is not set.")
    expires_at: Timestamp
    mailed: bool = Field(description="Whether it is being mailed. If not, send it to the person yourself.")

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationResponse:
        return cls(
            account_id=invitation.account.account_id,
            link=invitation.link,
            mailed=invitation.is_mailed,
            **_invitation_fields(invitation.account, invitation.expires_at),
        )


class OpenInvitationResponse(ResponseModel):
    """What the link invites to."""

    model_config = with_example(
        {"email": "ada@example.com", "role": "developer", "user_ids": ["acme"], "expires_at": EXPIRES}
    )

    email: str
    role: models.Role
    user_ids: list[str]
    expires_at: Timestamp

    @classmethod
    def of(cls, invitation: OpenInvitation) -> OpenInvitationResponse:
        return cls(**_invitation_fields(invitation.account, invitation.expires_at))


def _invitation_fields(account: models.Account, expires_at: datetime) -> dict[str, Any]:
    return {
        "email": account.email,
        "role": account.role,
        "user_ids": list(account.owner_ids),
        "expires_at": iso_utc(expires_at),
    }
