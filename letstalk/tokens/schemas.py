"""What requests and answers about tokens look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.actors import MAX_OWNER_ID_LENGTH
from letstalk.core.clock import iso_utc
from letstalk.core.ip_addresses import MAX_ALLOWED
from letstalk.core.rates import MAX_TEXT_LENGTH
from letstalk.core.scopes import SCOPE_NAMES
from letstalk.http.schemas import (
    WHOLE,
    ApiModel,
    PageQuery,
    PlainText,
    Query,
    ResponseModel,
    Timestamp,
    Uuid,
    with_example,
)
from letstalk.tokens.models import (
    DEFAULT_GRACE_SECONDS,
    MAX_EXPIRES_IN_SECONDS,
    MAX_GRACE_SECONDS,
    MAX_NAME_LENGTH,
    Token,
)
from letstalk.tokens.service import IssuedToken, TokenPage

TOKEN_ID = "0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11"
CREATED = "2026-11-20T17:00:00.000Z"

UserId = Annotated[PlainText, Field(min_length=1, max_length=MAX_OWNER_ID_LENGTH, pattern=r"\S")]
Name = Annotated[PlainText, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"\S")]
# The names are checked by the domain, whose sentence lists them; here they stand for the description.
ScopeName = Annotated[str, Field(json_schema_extra={"enum": list(SCOPE_NAMES)})]
Scopes = Annotated[list[ScopeName], Field(min_length=1, max_length=len(SCOPE_NAMES))]
AllowedIps = Annotated[list[Annotated[PlainText, Field(max_length=50)]], Field(min_length=1, max_length=MAX_ALLOWED)]
Rate = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
Lifetime = Annotated[int, Field(ge=1, le=MAX_EXPIRES_IN_SECONDS), WHOLE]


class TokenRequest(ApiModel):
    """What the new token is to be. Every field may be left out, and so may the body."""

    model_config = with_example(
        {"user_id": "acme", "name": "checkout", "scopes": ["read", "write"], "expires_in": 7776000}
    )

    user_id: UserId | None = Field(
        None, description="Whose verifications the token sees. Default: `default_user`; the caller's without `admin`."
    )
    scopes: Scopes | None = Field(None, description='What it may do. Default: `["read", "write"]`.')
    name: Name | None = Field(None, description="For people, to tell tokens apart.")
    expires_in: Lifetime | None = Field(None, description="Seconds until it expires. Default: never.")
    allowed_ips: AllowedIps | None = Field(
        None, description="IP addresses and CIDR blocks that it may be used from. Default: anywhere."
    )
    rate_limit: Rate | None = Field(
        None, description="Its own request limit, such as `100 per minute; 5000 per day`. Default: RATE_LIMIT_TOKEN."
    )


class TokenPatch(ApiModel):
    """What to change; what is left out stays. Null clears a name, an expiry, an address list or a rate."""

    model_config = with_example({"name": "checkout, second shop", "expires_in": 2592000})

    name: Name | None = None
    scopes: Scopes = Field(default_factory=list)
    expires_in: Lifetime | None = Field(None, description="Seconds from now; null is never.")
    allowed_ips: AllowedIps | None = Field(None, description="Null is anywhere.")
    rate_limit: Rate | None = Field(None, description="Null is the default.")


class RotationRequest(ApiModel):
    """How long the old token goes on working. May be left out, and so may the body."""

    model_config = with_example({"grace_seconds": 3600})

    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE_SECONDS), WHOLE] = DEFAULT_GRACE_SECONDS


class TokenPath(Query):
    token_id: UUID = Field(description="The token's id.")


class TokenQuery(PageQuery):
    user_id: UserId | SkipJsonSchema[None] = Field(None, description="Only this owner's tokens.")
    include_revoked: bool = Field(False, description="Show the revoked and the expired too.")


_RECORD: dict[str, Any] = {
    "token_id": TOKEN_ID,
    "user_id": "acme",
    "name": "checkout",
    "prefix": "lt_4fGh2kLm9PqR",
    "created_at": CREATED,
    "last_used": "2026-11-20T17:12:09.120Z",
    "expires_at": None,
    "revoked_at": None,
    "scopes": ["read", "write"],
    "requests_total": 42,
}


class IssuedTokenAnswer(ResponseModel):
    """The only answer that holds `token`: keep it now."""

    model_config = with_example(
        {
            "token_id": TOKEN_ID,
            "token": "lt_4fGh2kLm9PqR_…",
            "created_at": CREATED,
            "scopes": ["read", "write"],
            "user_id": "acme",
            "name": "checkout",
            "prefix": "lt_4fGh2kLm9PqR",
            "expires_at": None,
        }
    )

    token_id: Uuid
    token: str
    created_at: Timestamp
    scopes: list[ScopeName]
    user_id: str
    name: str | None
    prefix: str = Field(description="The public beginning of the token, to recognise it by.")
    expires_at: Timestamp | None

    @classmethod
    def of(cls, issued: IssuedToken) -> IssuedTokenAnswer:
        record = issued.record
        return cls(
            token_id=record.token_id,
            token=issued.secret,
            created_at=iso_utc(record.created_at),
            scopes=list(record.scopes),
            user_id=record.user_id,
            name=record.name,
            prefix=record.prefix,
            expires_at=_iso(record.expires_at),
        )


class TokenEntry(ResponseModel):
    """A token as a list shows it."""

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

    @classmethod
    def of(cls, token: Token) -> TokenEntry:
        return cls(**_entry(token))


class TokenAnswer(TokenEntry):
    """All that is known of a token."""

    model_config = with_example(
        {**_RECORD, "allowed_ips": ["203.0.113.0/24"], "rate_limit": "100 per minute", "successor_id": None}
    )

    allowed_ips: list[str] | None = Field(description="Null is anywhere.")
    rate_limit: str | None = Field(description="Null is the installation's default.")
    successor_id: Uuid | None = Field(description="The token that a rotation put in its place.")

    @classmethod
    def of(cls, token: Token) -> TokenAnswer:
        return cls(
            **_entry(token),
            allowed_ips=list(token.allowed_ips) or None,
            rate_limit=token.rate_limit,
            successor_id=token.successor_id,
        )


class TokenList(ResponseModel):
    """A page of tokens, newest first; `next_cursor` is null on the last one."""

    model_config = with_example({"tokens": [_RECORD], "next_cursor": None})

    tokens: list[TokenEntry]
    next_cursor: str | None

    @classmethod
    def of(cls, page: TokenPage) -> TokenList:
        return cls(tokens=[TokenEntry.of(token) for token in page.tokens], next_cursor=page.next_cursor)


class RevocationAnswer(ResponseModel):
    """The token works no more, the second time too."""

    model_config = with_example({"message": "Token revoked successfully"})

    message: Literal["Token revoked successfully"]


def _entry(token: Token) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "user_id": token.user_id,
        "name": token.name,
        "prefix": token.prefix,
        "created_at": iso_utc(token.created_at),
        "last_used": _iso(token.last_used),
        "expires_at": _iso(token.expires_at),
        "revoked_at": _iso(token.revoked_at),
        "scopes": list(token.scopes),
        "requests_total": token.requests_total,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso_utc(moment)
