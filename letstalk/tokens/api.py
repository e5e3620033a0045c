"""`/api/tokens`: creating and managing API tokens."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.guards import current_actor, require, require_any_token
from letstalk.http.openapi import documents_errors
from letstalk.http.schemas import JsonResponse
from letstalk.tokens.models import NewToken, TokenChanges
from letstalk.tokens.schemas import (
    IssuedTokenResponse,
    RevocationResponse,
    RotationRequest,
    TokenList,
    TokenPatch,
    TokenPath,
    TokenQuery,
    TokenRequest,
    TokenResponse,
)
from letstalk.tokens.service import TokenService


def make_blueprint(service: TokenService) -> APIBlueprint:
    blueprint = APIBlueprint(
        "tokens", __name__, abp_tags=[Tag(name="Tokens", description="The tokens that programs use to call this API.")]
    )

    @blueprint.post(
        "/api/tokens",
        summary="Create a token",
        description="The token is shown only in this response. Without the scope `admin`, a caller can't give a "
        "token more than it has itself. Without `expires_in` the token never expires. Without `allowed_ips` it can be "
        "used from any address.",
        responses={201: IssuedTokenResponse},
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
        issued = service.create_token(current_actor(), wanted)
        return IssuedTokenResponse.of(issued).model_dump(), 201

    @blueprint.get(
        "/api/tokens",
        summary="List tokens",
        description="Newest first. Revoked and expired tokens are left out unless `include_revoked` is true. "
        "Without the scope `admin`, the list has only tokens of the caller's own `user_id`, and none with a scope "
        "that the caller lacks.",
        responses={200: TokenList},
    )
    @require(Scope.TOKENS_READ, trusted=True)
    def list_tokens(query: TokenQuery) -> JsonResponse:
        page = service.list_tokens(
            current_actor(),
            user_id=query.user_id,
            include_revoked=query.include_revoked,
            limit=query.limit,
            cursor=query.cursor,
        )
        return TokenList.of(page).model_dump()

    @blueprint.get("/api/tokens/current", summary="Get the calling token", responses={200: TokenResponse})
    @require_any_token
    @documents_errors("not_found")
    def get_current_token() -> JsonResponse:
        return TokenResponse.of(service.get_current_token(current_actor())).model_dump()

    @blueprint.get("/api/tokens/<uuid:token_id>", summary="Get a token", responses={200: TokenResponse})
    @require(Scope.TOKENS_READ, trusted=True)
    @documents_errors("not_found")
    def get_token(path: TokenPath) -> JsonResponse:
        return TokenResponse.of(service.get_token(current_actor(), str(path.token_id))).model_dump()

    @blueprint.patch(
        "/api/tokens/<uuid:token_id>",
        summary="Change a token",
        description="Without the scope `admin`, a token can't be given more than the caller has. The grace period of a "
        "rotated token can't be made longer, and a revoked or expired token can't be changed.",
        responses={200: TokenResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found", "token_inactive", "already_rotated")
    def update_token(path: TokenPath, body: TokenPatch) -> JsonResponse:
        given = body.model_fields_set
        changes = TokenChanges(
            name=body.name if "name" in given else UNSET,
            scopes=tuple(body.scopes) if "scopes" in given else UNSET,
            expires_in_seconds=body.expires_in if "expires_in" in given else UNSET,
            allowed_ips=(tuple(body.allowed_ips) if body.allowed_ips else None) if "allowed_ips" in given else UNSET,
            rate_limit=body.rate_limit if "rate_limit" in given else UNSET,
        )
        return TokenResponse.of(service.update_token(current_actor(), str(path.token_id), changes)).model_dump()

    @blueprint.post(
        "/api/tokens/<uuid:token_id>/rotate",
        summary="Rotate a token",
        description="Creates a new token with its own id and the same scopes, addresses, rate limit, owner and expiry. "
        "The old token works until the grace period ends. Revoking the new token ends the grace period too.",
        responses={201: IssuedTokenResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found", "token_inactive", "already_rotated")
    def rotate_token(path: TokenPath, body: RotationRequest) -> JsonResponse:
        issued = service.rotate_token(current_actor(), str(path.token_id), body.grace_seconds)
        return IssuedTokenResponse.of(issued).model_dump(), 201

    @blueprint.delete(
        "/api/tokens/<uuid:token_id>",
        summary="Revoke a token",
        description="Every instance refuses the token within a second. Its record is kept. A second request gets the "
        "same response.",
        responses={200: RevocationResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found")
    def revoke_token(path: TokenPath) -> JsonResponse:
        service.revoke_token(current_actor(), str(path.token_id))
        return RevocationResponse(message="Token revoked successfully").model_dump()

    return blueprint
