"""The requests and responses of `/api/tokens`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.actors import MAX_OWNER_ID_LENGTH
from letstalk.core.clock import iso_utc
from letstalk.core.ip_addresses import MAX_ALLOWED
from letstalk.core.rates import MAX_TEXT_LENGTH
from letstalk.core.scopes import SCOPE_NAMES
from letstalk.http import schemas
from letstalk.http.schemas import WHOLE, ApiModel, PlainText, ResponseModel, Timestamp, Uuid, with_example
from letstalk.tokens import models
from letstalk.tokens.models import IssuedToken, Token, TokenPage
from letstalk.tokens.usage import DailyRequests

TOKEN_ID = "0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11"
ACCOUNT_ID = "3d0e9d0a-51a4-4a51-9d54-0c8f3b1f7a21"
CREATED = "2026-11-20T17:00:00.000Z"

UserId = Annotated[PlainText, Field(min_length=1, max_length=MAX_OWNER_ID_LENGTH, pattern=r"\S")]
Name = Annotated[PlainText, Field(min_length=1, max_length=models.MAX_NAME_LENGTH, pattern=r"\S")]
# The service checks the names, because its error lists the valid ones. Here they are only for the description.
ScopeName = Annotated[str, Field(max_length=64, json_schema_extra={"enum": list(SCOPE_NAMES)})]
Scopes = Annotated[list[ScopeName], Field(min_length=1, max_length=len(SCOPE_NAMES))]
AllowedIps = Annotated[list[Annotated[PlainText, Field(max_length=50)]], Field(min_length=1, max_length=MAX_ALLOWED)]
Rate = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
Messages = Literal["on", "templates", "off"]
StandingName = Literal["unused", "expiring", "suspended"]
Lifetime = Annotated[int, Field(ge=1, le=models.MAX_EXPIRES_IN_SECONDS), WHOLE]


class TokenRequest(ApiModel):
    """The new token. Every field is optional, and so is the body."""

    model_config = with_example(
        {"user_id": "acme", "name": "checkout", "scopes": ["read", "write"], "expires_in": 7776000}
    )

    user_id: UserId | None = Field(
        None,
        description="The owner whose verifications the token can see. Default: `default_user`, or without `admin` the "
        "caller's own `user_id`.",
    )
    scopes: Scopes | None = Field(None, description='What the token can do. Default: `["read", "write"]`.')
    name: Name | None = Field(None, description="A name by which people recognise the token.")
    expires_in: Lifetime | None = Field(None, description="Seconds until it expires. Default: never.")
    allowed_ips: AllowedIps | None = Field(
        None, description="IP addresses and CIDR blocks from which the token can be used. Default: any address."
    )
    rate_limit: Rate | None = Field(
        None,
        description="The token's own rate limit, such as `100 per minute; 5000 per day`. Default: RATE_LIMIT_TOKEN.",
    )
    custom_message: Messages | None = Field(
        None,
        description="Whether the token can have its own texts spoken: `on`, `templates` (by `message_template`) or "
        "`off`. Default: what the caller can. CUSTOM_MESSAGE may allow less.",
    )


class TokenPatch(ApiModel):
    """The fields to change. Null removes the name, the expiry, the addresses or the rate limit."""

    model_config = with_example({"name": "checkout, second shop", "expires_in": 2592000})

    name: Name | None = None
    scopes: Scopes = Field(default_factory=list)
    expires_in: Lifetime | None = Field(None, description="Seconds from now. Null is never.")
    allowed_ips: AllowedIps | None = Field(None, description="Null is any address.")
    rate_limit: Rate | None = Field(None, description="Null is the default, RATE_LIMIT_TOKEN.")
    custom_message: Messages | None = Field(None, description="Null is the default, CUSTOM_MESSAGE.")


class RotationRequest(ApiModel):
    """How long the old token still works. The field is optional, and so is the body."""

    model_config = with_example({"grace_seconds": 3600})

    grace_seconds: Annotated[int, Field(ge=0, le=models.MAX_GRACE_SECONDS), WHOLE] = models.DEFAULT_GRACE_SECONDS


class TokenPath(schemas.Query):
    token_id: UUID = Field(description="The token's id.")


class RevocationQuery(schemas.Query):
    cascade: bool = Field(False, description="Also revoke the tokens that came of it.")


class UsageQuery(schemas.Query):
    days: Annotated[int, Field(ge=1, le=366)] = Field(30, description="How many days, today included.")


class TokenQuery(schemas.PageQuery):
    user_id: UserId | SkipJsonSchema[None] = Field(None, description="Only this owner's tokens.")
    created_by: UUID | SkipJsonSchema[None] = Field(None, description="Only tokens that this account has created.")
    include_revoked: bool = Field(False, description="Include revoked and expired tokens.")
    standing: StandingName | SkipJsonSchema[None] = Field(
        None,
        description="Only tokens that work and are `unused` (for 90 days, or never since the day on which they were "
        "created) or `expiring` (within 14 days), or that are `suspended`.",
    )


_ISSUED: dict[str, Any] = {
    "token_id": TOKEN_ID,
    "user_id": "acme",
    "name": "checkout",
    "prefix": "lt_4fGh2kLm9PqR",
    "created_at": CREATED,
    "expires_at": None,
    "scopes": ["read", "write"],
}
_RECORD = {**_ISSUED, "last_used": "2026-11-20T17:12:09.120Z", "revoked_at": None, "requests_total": 42}
_RECORD |= {"created_by": ACCOUNT_ID, "suspended": False}


class IssuedTokenResponse(ResponseModel):
    """The new token. This is the only response with `token`, so store it now."""

    model_config = with_example({**_ISSUED, "token": "lt_4fGh2kLm9PqR_…"})

    token_id: Uuid
    token: str
    created_at: Timestamp
    scopes: list[ScopeName]
    user_id: str
    name: str | None
    prefix: str = Field(description="The public start of the token, by which people recognise it.")
    expires_at: Timestamp | None

    @classmethod
    def of(cls, issued: IssuedToken) -> IssuedTokenResponse:
        return cls(token=issued.secret, **_fields_of(cls, issued.record))


class TokenEntry(ResponseModel):
    """A token in a list."""

    token_id: Uuid
    user_id: str
    name: str | None
    prefix: str
    created_at: Timestamp
    last_used: Timestamp | None
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    scopes: list[ScopeName]
    requests_total: int
    created_by: Uuid | None = Field(
        description="The account whose person, or whose token, created it. Null for who has no account."
    )
    suspended: bool = Field(description="Whether it is refused because that account is disabled.")

    @classmethod
    def of(cls, token: Token) -> Self:
        return cls(**_fields_of(cls, token))


class TokenResponse(TokenEntry):
    """The record of a token."""

    model_config = with_example(
        {
            **_RECORD,
            "allowed_ips": ["203.0.113.0/24"],
            "rate_limit": "100 per minute",
            "custom_message": None,
            "parent_id": None,
            "successor_id": None,
        }
    )

    allowed_ips: list[str] | None = Field(description="Null is any address.")
    rate_limit: str | None = Field(description="Null is the installation's default.")
    custom_message: Messages | None = Field(description="Null is the installation's default.")
    parent_id: Uuid | None = Field(description="The token that created this one.")
    successor_id: Uuid | None = Field(description="The token that replaced this one in a rotation.")


class TokenList(ResponseModel):
    """A page of tokens, newest first. `next_cursor` is null on the last page."""

    model_config = with_example({"tokens": [_RECORD], "next_cursor": None})

    tokens: list[TokenEntry]
    next_cursor: str | None

    @classmethod
    def of(cls, page: TokenPage) -> TokenList:
        return cls(tokens=[TokenEntry.of(token) for token in page.tokens], next_cursor=page.next_cursor)


class RevocationResponse(ResponseModel):
    """The token is revoked. The response to a second request is the same."""

    model_config = with_example({"message": "Token revoked successfully"})

    message: Literal["Token revoked successfully"]


def _fields_of(model: type[ResponseModel], token: Token) -> dict[str, Any]:
    """The values of those fields of `model` that are in the record of `token`. No addresses are null."""
    values: dict[str, Any] = {}
    for name in model.model_fields.keys() - {"token"}:
        value = getattr(token, {"user_id": "owner_id", "suspended": "is_suspended"}.get(name, name))
        if isinstance(value, datetime):
            value = iso_utc(value)
        values[name] = (list(value) or None) if isinstance(value, tuple) else value
    return values


class DayOfUsage(ResponseModel):
    """The requests of one day (UTC)."""

    day: str = Field(json_schema_extra={"format": "date"})
    requests: int = Field(ge=0)


class UsageResponse(ResponseModel):
    """How many requests a token has made, by day. A token that replaced another starts at 0."""

    model_config = with_example(
        {
            "token_id": TOKEN_ID,
            "requests_total": 4711,
            "days": [{"day": "2026-11-19", "requests": 340}, {"day": "2026-11-20", "requests": 12}],
        }
    )

    token_id: Uuid
    requests_total: int = Field(ge=0, description="Since it was created.")
    days: list[DayOfUsage] = Field(description="Oldest first, also those without a request.")

    @classmethod
    def of(cls, token: Token, days: Sequence[DailyRequests]) -> Self:
        counts = [DayOfUsage(day=one.day.isoformat(), requests=one.requests) for one in days]
        return cls(token_id=token.token_id, requests_total=token.requests_total, days=counts)
