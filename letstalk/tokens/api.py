"""`/api/tokens`: creating and managing API tokens."""

from __future__ import annotations

from flask import request

from letstalk.core.actors import CustomMessage
from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.guards import current_actor, require, require_any_token
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse
from letstalk.tokens import schemas
from letstalk.tokens.delegation import creator_of
from letstalk.tokens.models import NewToken, Standing, TokenChanges
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter


def make_blueprint(service: TokenService, usage: UsageCounter) -> ApiRoutes:
    blueprint = ApiRoutes("tokens", "Tokens", "The tokens that programs use to call this API.")

    @blueprint.post(
        "/api/tokens",
        summary="Create a token",
        description="The token is shown only in this response. Without the scope `admin`, a caller can't give a "
        "token more than it has itself. Without `expires_in` the token never expires. Without `allowed_ips` it can be "
        "used from any address.",
        responses={201: schemas.IssuedTokenResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    def create_token(body: schemas.TokenRequest) -> JsonResponse:
        wanted = NewToken(
            owner_id=body.user_id,
            scopes=None if body.scopes is None else tuple(body.scopes),
            name=body.name,
            expires_in_seconds=body.expires_in,
            allowed_ips=None if body.allowed_ips is None else tuple(body.allowed_ips),
            rate_limit=body.rate_limit,
            custom_message=_messages(body.custom_message),
        )
        _count_creation()
        issued = service.create_token(current_actor(), wanted)
        return schemas.IssuedTokenResponse.of(issued).model_dump(), 201

    @blueprint.get(
        "/api/tokens",
        summary="List tokens",
        description="Newest first. Revoked and expired tokens are left out unless `include_revoked` is true. "
        "Without the scope `admin`, the list has only tokens of the caller's own `user_id`, and none with a scope "
        "that the caller lacks.",
        responses={200: schemas.TokenList},
    )
    @require(Scope.TOKENS_READ, trusted=True)
    def list_tokens(query: schemas.TokenQuery) -> JsonResponse:
        page = service.list_tokens(
            current_actor(),
            owner_id=query.user_id,
            include_revoked=query.include_revoked,
            created_by=None if query.created_by is None else str(query.created_by),
            standing=None if query.standing is None else Standing(query.standing),
            limit=query.limit,
            cursor=query.cursor,
        )
        return schemas.TokenList.of(page).model_dump()

    @blueprint.get("/api/tokens/current", summary="Get the calling token", responses={200: schemas.TokenResponse})
    @require_any_token
    @documents_errors("not_found")
    def get_current_token() -> JsonResponse:
        return schemas.TokenResponse.of(service.get_current_token(current_actor())).model_dump()

    @blueprint.get("/api/tokens/<uuid:token_id>", summary="Get a token", responses={200: schemas.TokenResponse})
    @require(Scope.TOKENS_READ, trusted=True)
    @documents_errors("not_found")
    def get_token(path: schemas.TokenPath) -> JsonResponse:
        return schemas.TokenResponse.of(service.get_token(current_actor(), str(path.token_id))).model_dump()

    @blueprint.get(
        "/api/tokens/<uuid:token_id>/usage",
        summary="Requests of a token by day",
        responses={200: schemas.UsageResponse},
    )
    @require(Scope.TOKENS_READ, trusted=True)
    @documents_errors("not_found")
    def get_token_usage(path: schemas.TokenPath, query: schemas.UsageQuery) -> JsonResponse:
        """Accepted and refused requests alike, on each of the last days (UTC), today last."""
        token = service.get_token(current_actor(), str(path.token_id))
        return schemas.UsageResponse.of(token, usage.daily_requests(token.token_id, query.days)).model_dump()

    @blueprint.patch(
        "/api/tokens/<uuid:token_id>",
        summary="Change a token",
        description="Without the scope `admin`, a token can't be given more than the caller has. The grace period of a "
        "rotated token can't be made longer, and a revoked or expired token can't be changed.",
        responses={200: schemas.TokenResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found", "token_inactive", "already_rotated")
    def update_token(path: schemas.TokenPath, body: schemas.TokenPatch) -> JsonResponse:
        given = body.model_fields_set
        changes = TokenChanges(
            name=body.name if "name" in given else UNSET,
            scopes=tuple(body.scopes) if "scopes" in given else UNSET,
            expires_in_seconds=body.expires_in if "expires_in" in given else UNSET,
            allowed_ips=(tuple(body.allowed_ips) if body.allowed_ips else None) if "allowed_ips" in given else UNSET,
            rate_limit=body.rate_limit if "rate_limit" in given else UNSET,
            custom_message=_messages(body.custom_message) if "custom_message" in given else UNSET,
        )
        if "rate_limit" in given:  # a new limit begins a new count
            _count_creation()
        return schemas.TokenResponse.of(service.update_token(current_actor(), str(path.token_id), changes)).model_dump()

    @blueprint.post(
        "/api/tokens/<uuid:token_id>/rotate",
        summary="Rotate a token",
        description="Creates a new token with its own id and the same scopes, addresses, rate limit, owner and expiry. "
        "The old token works until the grace period ends. Revoking the new token ends the grace period too.",
        responses={201: schemas.IssuedTokenResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found", "token_inactive", "already_rotated")
    def rotate_token(path: schemas.TokenPath, body: schemas.RotationRequest) -> JsonResponse:
        _count_creation()
        issued = service.rotate_token(current_actor(), str(path.token_id), body.grace_seconds)
        return schemas.IssuedTokenResponse.of(issued).model_dump(), 201

    @blueprint.delete(
        "/api/tokens/<uuid:token_id>",
        summary="Revoke a token",
        description="Every instance refuses the token within a second. Its record is kept. A second request gets the "
        "same response. With `cascade=true` the tokens that it has created, those that these have created, and what "
        "replaced any of them are revoked as well.",
        responses={200: schemas.RevocationResponse},
    )
    @require(Scope.TOKENS_WRITE, trusted=True)
    @documents_errors("not_found")
    def revoke_token(path: schemas.TokenPath, query: schemas.RevocationQuery) -> JsonResponse:
        service.revoke_token(current_actor(), str(path.token_id), cascade=query.cascade)
        return schemas.RevocationResponse(message="Token revoked successfully").model_dump()

    return blueprint


def _count_creation() -> None:
    request_limits().check_token_creation(request.environ, creator_of(current_actor()))


def _messages(value: str | None) -> CustomMessage | None:
    return None if value is None else CustomMessage(value)
