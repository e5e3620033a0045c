"""The request and the response of `/api/audit`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.audit.models import AuditEntry, AuditFilter, AuditPage
from letstalk.core.actors import MAX_OWNER_ID_LENGTH
from letstalk.core.clock import iso_utc
from letstalk.http.schemas import Moment, PageQuery, PlainText, ResponseModel, Timestamp, Uuid, with_example

MAX_ACTOR_LENGTH = 254  # an e-mail address

UserId = Annotated[PlainText, Field(min_length=1, max_length=MAX_OWNER_ID_LENGTH, pattern=r"\S")]


class AuditQuery(PageQuery):
    from_: Moment | SkipJsonSchema[None] = Field(None, alias="from", description="Only entries from this time on.")
    to: Moment | SkipJsonSchema[None] = Field(None, description="Only entries before this time.")
    action: Annotated[PlainText, Field(min_length=1, max_length=64)] | SkipJsonSchema[None] = Field(
        None, description="What was done, such as `token.revoked` or `refused`."
    )
    actor: Annotated[PlainText, Field(min_length=1, max_length=MAX_ACTOR_LENGTH)] | SkipJsonSchema[None] = Field(
        None,
        description="Who did it: the id of an account or a token, a token's prefix, a username, an e-mail address, or "
        "`owner`, `command_line`, `loopback` or `service`.",
    )
    token_id: UUID | SkipJsonSchema[None] = Field(None, description="Only entries about this token.")
    account_id: UUID | SkipJsonSchema[None] = Field(None, description="Only entries about this account.")
    user_id: UserId | SkipJsonSchema[None] = Field(None, description="Only entries about what this owner has.")
    address: Annotated[PlainText, Field(min_length=1, max_length=100)] | SkipJsonSchema[None] = Field(
        None, description="Only requests from this IP address."
    )
    request_id: UUID | SkipJsonSchema[None] = Field(
        None, description="Only what the request with this `X-Request-Id` has done, or was refused."
    )

    def as_filter(self) -> AuditFilter:
        return AuditFilter(
            since=self.from_,
            until=self.to,
            action=self.action,
            actor=self.actor,
            token=None if self.token_id is None else str(self.token_id),
            account=None if self.account_id is None else str(self.account_id),
            owner_id=self.user_id,
            address=self.address,
            request_id=None if self.request_id is None else str(self.request_id),
        )


_ENTRY: dict[str, Any] = {
    "event_id": "5e1a7c9e-2f0b-4f6e-8f0a-6f3c1d2b4a55",
    "at": "2026-11-20T17:20:00.000Z",
    "action": "token.revoked",
    "sentence": "ada revoked the token “Web shop” from 203.0.113.7.",
    "actor_kind": "person",
    "actor": "ada",
    "actor_account_id": "3d0e9d0a-51a4-4a51-9d54-0c8f3b1f7a21",
    "actor_token_id": None,
    "user_id": "acme",
    "token_id": "0b6f1d7e-3c55-4a1e-9f0c-5a2f4d6b8e11",
    "account_id": None,
    "address": "203.0.113.7",
    "request_id": "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11",
    "detail": {},
}


class AuditEntryResponse(ResponseModel):
    """One entry of the audit trail."""

    model_config = with_example(_ENTRY)

    event_id: Uuid
    at: Timestamp
    action: str = Field(description="What was done, a stable word for programs.")
    sentence: str = Field(description="The entry for people. Its words may change.")
    actor_kind: str | None = Field(
        description="`person`, `token`, `owner` (the dashboard's password), `command_line`, `loopback` or `service`; "
        "null for somebody unknown."
    )
    actor: str = Field(description="Who did it, for people.")
    actor_account_id: Uuid | None
    actor_token_id: Uuid | None = Field(description="Null too for a token of an owner that you can't see.")
    user_id: str | None = Field(description="The owner of what it is about. Without one, only admins see the entry.")
    token_id: Uuid | None
    account_id: Uuid | None
    address: str | None
    request_id: str | None
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditEntryResponse:
        event = entry.event
        same = (
            *("event_id", "action", "actor_kind", "actor_account_id", "actor_token_id", "token_id", "account_id"),
            *("address", "request_id"),
        )
        return cls(
            at=iso_utc(event.at),
            sentence=entry.sentence,
            actor=entry.actor,
            user_id=event.owner_id,
            detail=dict(event.detail),
            **{name: getattr(event, name) for name in same},
        )


class AuditList(ResponseModel):
    """A page of the audit trail, newest first. `next_cursor` is null on the last page."""

    model_config = with_example({"entries": [_ENTRY], "next_cursor": None})

    entries: list[AuditEntryResponse]
    next_cursor: str | None

    @classmethod
    def of(cls, page: AuditPage) -> AuditList:
        return cls(entries=[AuditEntryResponse.of(entry) for entry in page.entries], next_cursor=page.next_cursor)
