"""What the audit trail holds, which entries may be asked for, and an entry in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from letstalk.core.actors import ActorKind

REFUSED = "refused"
DROPPED = "refusals_dropped"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One entry. `action` is a dotted word (`token.created`, `refused`); `detail` is JSON, without any secret.

    `owner_id` is the owner of what the entry is about, such as a token or a verification: people to whom that owner is
    granted can see it. An entry without one is for admins only.
    """

    event_id: str
    at: datetime
    action: str
    actor_kind: str | None = None
    actor_owner_id: str | None = None
    actor_token_id: str | None = None
    token_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    actor_account_id: str | None = None
    account_id: str | None = None
    owner_id: str | None = None

    @property
    def detail_text(self) -> str:
        """`detail` as JSON for people."""
        return json.dumps(self.detail, indent=2, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are asked for, as a person or a program writes it. None is all.

    `since` is included, `until` is not. `actor` is the id of an account or a token, a token's prefix, a username or
    e-mail address, or an `ActorKind` without an id, such as `command_line`. `token` is an id or a prefix, `account` an
    id, a username or an address. `request_id` is that of the response which a caller got.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    actor: str | None = None
    token: str | None = None
    account: str | None = None
    owner_id: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class TokenName:
    """How a token is called in a sentence."""

    name: str | None
    prefix: str

    def __str__(self) -> str:
        return f"“{self.name}”" if self.name else f"{self.prefix}…"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the tokens and accounts of a page, by their ids."""

    tokens: Mapping[str, TokenName] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event as somebody may see it. `actor` says in words who did it, and `sentence` all of it."""

    event: AuditEvent
    actor: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    entries: tuple[AuditEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often a token was refused for one reason, an error's stable code, and when it last was (to the minute)."""

    code: str
    count: int
    last_at: datetime


# What was done, by action. {token}, {account} and {phone} (masked) are what the entry is about, {whose} is “their own”
# or “ada's”.
ACTIONS: dict[str, str] = {
    "token.created": "created the token {token}",
    "token.updated": "changed the token {token}",
    "token.rotated": "rotated the token {token}",
    "token.revoked": "revoked the token {token}",
    "account.created": "created {whose} account",
    "account.activated": "activated {whose} account",
    "account.updated": "changed {whose} account",
    "account.deleted": "deleted {whose} account",
    "account.invited_again": "invited {account} again",
    "account.password_changed": "changed {whose} password",
    "identity.linked": "linked a single sign-on identity to {whose} account",
    "identity.unlinked": "unlinked a single sign-on identity from {whose} account",
    "link.made": "made a link for {whose} account",
    "link.used": "used a link for {whose} account",
    "role_policy.set": "set whether a role requires a second factor",
    "recovery_codes.created": "made new recovery codes for {whose} account",
    "recovery_code.used": "signed in with a recovery code",
    "second_factor.reset": "reset the second factor of {whose} account",
    "second_factor.asked": "was called with a code to sign in",
    "session.started": "signed in",
    "session.ended": "ended {whose} session",
    "destination.limit_reached": "reached a limit of calls",
    "test_number.created": "made {phone} a test number",
    "test_number.updated": "changed the test number {phone}",
    "test_number.deleted": "deleted the test number {phone}",
    "phone.shown": "uncovered the phone number of a verification",
    "verification.tried": "tried the token {token} in the dashboard",
    "verification.canceled": "canceled a verification in the dashboard",
    "verification.replayed": "had the code of a verification spoken again from the dashboard",
    "webhook_endpoint.created": "made a webhook endpoint",
    "webhook_endpoint.updated": "changed a webhook endpoint",
    "webhook_endpoint.rotated": "rotated the secret of a webhook endpoint",
    "webhook_endpoint.enabled": "enabled a webhook endpoint",
    "webhook_endpoint.disabled": "disabled a webhook endpoint",
    "webhook_endpoint.deleted": "deleted a webhook endpoint",
    "verification.approved": "approved a verification without its code, as Twilio's API does",
    "verify_service.created": "made a Verify service",
    "verify_service.updated": "changed a Verify service",
    "verify_service.deleted": "deleted a Verify service",
    "verify_rate_limit.created": "made a rate limit of a Verify service",
    "verify_rate_limit.updated": "changed a rate limit of a Verify service",
    "verify_rate_limit.deleted": "deleted a rate limit of a Verify service",
    "connection.created": "made a connection",
    "connection.updated": "changed a connection",
    "connection.rotated": "rotated the secret of a connection",
    "connection.deleted": "deleted a connection",
    REFUSED: "was refused",
    DROPPED: "lost count of refusals",
}

# Why, by the code of the error: those about who sent a request.
REFUSAL_REASONS: dict[str, str] = {
    "invalid_token": "the token is wrong, revoked, expired or suspended",
    "address_not_allowed": "the token can't be used from this address",
    "insufficient_scope": "a scope or a role is missing",
    "missing_authorization": "no token was sent",
    "not_granted": "the owner is not granted",
    "person_required": "a person must sign in",
    "invalid_credentials": "the name or the password is wrong",
    "second_factor_required": "a code by phone is required",
    "sign_in_throttled": "too many attempts to sign in",
    "destination_blocked": "such numbers are never called",
    "message_not_allowed": "a message of one's own is not allowed",
    "csrf_failed": "the form was not from our own page",
    "invalid_signature": "the signature is wrong",
}

_KINDS = {
    ActorKind.OWNER.value: "The built-in owner",
    ActorKind.COMMAND_LINE.value: "The command line",
    ActorKind.LOOPBACK.value: "A request from this machine without credentials",
    ActorKind.SERVICE.value: "Let's Talk",
    ActorKind.CONNECTION.value: "A connected system",
    ActorKind.TOKEN.value: "A token",
    ActorKind.PERSON.value: "A deleted account",
}


def describe_refusal(code: str) -> str:
    """Why a request was refused, in words, by the error's code."""
    return REFUSAL_REASONS.get(code, code.replace("_", " "))


def name_actor(event: AuditEvent, names: Names) -> str:
    """Who did it, in words that can begin a sentence."""
    if event.actor_account_id in names.accounts:
        return names.accounts[event.actor_account_id or ""]
    if event.actor_token_id in names.tokens:
        return f"The token {names.tokens[event.actor_token_id or '']}"
    if event.actor_kind is not None:
        return _KINDS.get(event.actor_kind, "Somebody")
    if event.action == REFUSED:
        known = names.tokens.get(event.token_id or "")
        return "Somebody unknown" if known is None else f"The token {known}"
    return names.accounts.get(event.account_id or "", "Let's Talk")


def describe(event: AuditEvent, names: Names) -> str:
    """The entry as one sentence, such as “ada revoked the token “Web shop” from 203.0.113.7.”"""
    account = names.accounts.get(event.account_id or "", f"account {(event.account_id or 'unknown')[:8]}")
    is_own = event.account_id is not None and (event.actor_account_id or event.account_id) == event.account_id
    words = {
        "token": names.tokens.get(event.token_id or "", "that is not shown here"),
        "account": account,
        "phone": event.detail.get("phone", "that was deleted"),
        "whose": "their own" if is_own and event.actor_kind in (None, ActorKind.PERSON.value) else f"{account}'s",
    }
    fallback = event.action.replace(".", ": ").replace("_", " ").replace("{", "").replace("}", "")
    done = ACTIONS.get(event.action, fallback).format(**words)
    place = f" from {event.address}" if event.address else ""
    return f"{name_actor(event, names)} {done}{_extent_of(event)}{place}{_reason_of(event)}."


def _extent_of(event: AuditEvent) -> str:
    """How often or how much, in words that follow what was done."""
    detail = event.detail
    if event.action == REFUSED and detail.get("count", 1) != 1:
        return f" {detail['count']:,} times in a minute"
    if event.action == DROPPED:
        return f", {detail.get('count', 0):,} of them"
    if event.action in ("token.updated", "account.updated") and detail:
        return f" ({', '.join(sorted(str(name) for name in detail))})"
    if event.action == "destination.limit_reached":
        return f" to {detail.get('destination', 'some numbers')}"
    return ""


def _reason_of(event: AuditEvent) -> str:
    detail = event.detail
    if event.action == REFUSED:
        return f": {describe_refusal(str(detail.get('code', 'not allowed')))}"
    if event.action == "token.revoked" and "revoked_with" in detail:
        return ", with the token from which it came"
    if event.action == "token.revoked" and "revoked_with_account" in detail:
        return ", with the account that created it"
    return ""
