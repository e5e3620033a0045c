"""What requests and answers of invitations look like."""

from __future__ import annotations

from pydantic import Field

from letstalk.accounts.invitations import Invitation, OpenInvitation
from letstalk.accounts.models import Account, Role
from letstalk.accounts.registration_schemas import LINK, LinkToken
from letstalk.accounts.schemas import ACCOUNT_ID, Email, Password, RoleName, UserIds, Username
from letstalk.core.clock import iso_utc
from letstalk.http.schemas import ApiModel, Moment, ResponseModel, Uuid, with_example

EXPIRES = "2026-11-27T17:00:00.000Z"


class InvitationRequest(ApiModel):
    """Whom to invite, as what, with the owners that are granted to them."""

    model_config = with_example({"email": "ada@example.com", "role": "developer", "user_ids": ["acme"]})

    email: Email
    role: RoleName
    user_ids: UserIds = Field(default_factory=list)


class InvitationAcceptance(ApiModel):
    """The link, and the name and password that the invited person has chosen."""

    model_config = with_example({"token": LINK, "username": "ada", "password": "correct horse battery staple"})

    token: LinkToken
    username: Username
    password: Password


class InvitationAnswer(ResponseModel):
    """The only answer that holds `link`: whoever has it can take the account."""

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
    link: str = Field(description="To be opened once. A path alone where the service does not know its PUBLIC_URL.")
    expires_at: Moment
    mailed: bool = Field(description="Whether it is on its way by mail; if not, hand it over yourself.")

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationAnswer:
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


class OpenInvitationAnswer(ResponseModel):
    """What the link invites to."""

    model_config = with_example(
        {"email": "ada@example.com", "role": "developer", "user_ids": ["acme"], "expires_at": EXPIRES}
    )

    email: str
    role: Role
    user_ids: list[str]
    expires_at: Moment

    @classmethod
    def of(cls, invitation: OpenInvitation) -> OpenInvitationAnswer:
        account: Account = invitation.account
        return cls(
            email=account.email,
            role=account.role,
            user_ids=list(account.user_ids),
            expires_at=iso_utc(invitation.expires_at),
        )
