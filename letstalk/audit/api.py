"""`/api/audit`: who did what."""

from __future__ import annotations

from letstalk.audit import schemas
from letstalk.audit.search import AuditSearch
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.openapi import ApiRoutes
from letstalk.http.schemas import JsonResponse


def make_blueprint(search: AuditSearch) -> ApiRoutes:
    blueprint = ApiRoutes("audit", "Audit", "Who changed what, and which requests were refused.")

    @blueprint.get(
        "/api/audit",
        summary="List what was done",
        description="Newest first. Without the scope `admin`, the list has only entries about tokens and verifications "
        "of the caller's own `user_id`, or of those granted to a person, and none about a token with a scope that the "
        "calling token lacks. Refusals of one kind to one client within a minute are one entry, whose `detail` has "
        "their `count`.",
        responses={200: schemas.AuditList},
    )
    @require(Scope.TOKENS_READ, browser=True)
    def list_audit(query: schemas.AuditQuery) -> JsonResponse:
        page = search.list_entries(current_actor(), query.as_filter(), limit=query.limit, cursor=query.cursor)
        return schemas.AuditList.of(page).model_dump()

    return blueprint
