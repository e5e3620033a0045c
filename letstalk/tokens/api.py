"""`/api/tokens`: making and managing API tokens."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.core.scopes import Scope
from letstalk.http.container import services
from letstalk.http.guards import current_actor, require, require_any_token
from letstalk.http.openapi import refuses
from letstalk.http.schemas import JsonResponse
from letstalk.tokens.schemas import (
    IssuedTokenAnswer,
    RevocationAnswer,
    RotationRequest,
    TokenAnswer,
    TokenList,
    TokenPatch,
    TokenPath,
    TokenQuery,
    TokenRequest,
)
from letstalk.tokens.service import UNSET, NewToken, TokenChanges

tokens = APIBlueprint("tokens", __name__, abp_tags=[Tag(name="Tokens", description="Who may use this API.")])


@tokens.post(
    "/api/tokens",
    summary="Make a token",
    description="The answer is the only place that ever shows the token. Without `admin`, nothing wider than the "
    "caller itself can be given: what is left out of `expires_in` or `allowed_ips` means never and anywhere.",
    responses={201: IssuedTokenAnswer},
)
@require(Scope.TOKENS_WRITE, trusted=True)
def create_token(body: TokenRequest) -> JsonResponse:
    wanted = NewToken(
        user_id=body.user_id,
        scopes=None if body.scopes is None else tuple(body.scopes),
        name=body.name,
        expires_in_seconds=body.expires_in,
        allowed_ips=None if body.allowed_ips is None else tuple(body.allowed_ips),
        rate_limit=body.rate_limit,
    )
    issued = services().tokens.create_token(current_actor(), wanted)
    return IssuedTokenAnswer.of(issued).model_dump(), 201


@tokens.get(
    "/api/tokens",
    summary="List tokens",
    description="Newest first, live ones only unless `include_revoked`. Without `admin`: tokens of the caller's own "
    "`user_id` whose scopes lie within the caller's.",
    responses={200: TokenList},
)
@require(Scope.TOKENS_READ, trusted=True)
def list_tokens(query: TokenQuery) -> JsonResponse:
    page = services().tokens.list_tokens(
        current_actor(),
        user_id=query.user_id,
        include_revoked=query.include_revoked,
        limit=query.limit,
        cursor=query.cursor,
    )
    return TokenList.of(page).model_dump()


@tokens.get("/api/tokens/current", summary="The calling token", responses={200: TokenAnswer})
@require_any_token
@refuses("not_found")
def get_current_token() -> JsonResponse:
    return TokenAnswer.of(services().tokens.get_current_token(current_actor())).model_dump()


@tokens.get("/api/tokens/<uuid:token_id>", summary="One token", responses={200: TokenAnswer})
@require(Scope.TOKENS_READ, trusted=True)
@refuses("not_found")
def get_token(path: TokenPath) -> JsonResponse:
    return TokenAnswer.of(services().tokens.get_token(current_actor(), str(path.token_id))).model_dump()


@tokens.patch(
    "/api/tokens/<uuid:token_id>",
    summary="Change a token",
    description="Without `admin`, nothing may get wider than the caller itself. A rotated token's grace can't be "
    "made longer, and a revoked or expired token can't be changed.",
    responses={200: TokenAnswer},
)
@require(Scope.TOKENS_WRITE, trusted=True)
@refuses("not_found", "token_inactive", "already_rotated")
def update_token(path: TokenPath, body: TokenPatch) -> JsonResponse:
    given = body.model_fields_set
    changes = TokenChanges(
        name=body.name if "name" in given else UNSET,
        scopes=tuple(body.scopes) if "scopes" in given else UNSET,
        expires_in_seconds=body.expires_in if "expires_in" in given else UNSET,
        allowed_ips=(tuple(body.allowed_ips) if body.allowed_ips else None) if "allowed_ips" in given else UNSET,
        rate_limit=body.rate_limit if "rate_limit" in given else UNSET,
    )
    return TokenAnswer.of(services().tokens.update_token(current_actor(), str(path.token_id), changes)).model_dump()


@tokens.post(
    "/api/tokens/<uuid:token_id>/rotate",
    summary="Replace a token",
    description="A new token with its own id and the same scopes, addresses, rate, owner and expiry. The old one works "
    "until the grace ends; revoking the new one ends the grace too.",
    responses={201: IssuedTokenAnswer},
)
@require(Scope.TOKENS_WRITE, trusted=True)
@refuses("not_found", "token_inactive", "already_rotated")
def rotate_token(path: TokenPath, body: RotationRequest) -> JsonResponse:
    issued = services().tokens.rotate_token(current_actor(), str(path.token_id), body.grace_seconds)
    return IssuedTokenAnswer.of(issued).model_dump(), 201


@tokens.delete(
    "/api/tokens/<uuid:token_id>",
    summary="Revoke a token",
    description="It holds on every instance within a second. The token stays on record; a second call answers alike.",
    responses={200: RevocationAnswer},
)
@require(Scope.TOKENS_WRITE, trusted=True)
@refuses("not_found")
def revoke_token(path: TokenPath) -> JsonResponse:
    services().tokens.revoke_token(current_actor(), str(path.token_id))
    return RevocationAnswer(message="Token revoked successfully").model_dump()
