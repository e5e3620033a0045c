"""`/api/test-numbers`: phones with a fixed code, to which no call is placed."""

from __future__ import annotations

from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.guards import current_actor, require
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import JsonResponse
from letstalk.test_numbers import schemas
from letstalk.test_numbers.models import NewTestNumber, NumberChanges
from letstalk.test_numbers.service import TestNumberService


def make_blueprint(service: TestNumberService) -> ApiRoutes:
    blueprint = ApiRoutes(
        "test_numbers", "Test numbers", "Phones with a fixed code for tests and store reviews.", "/api/test-numbers"
    )

    @blueprint.post(
        "",
        summary="Create a test number",
        description="`POST /calls/otp` to this phone, with a token of this `user_id`, places no call, and the code is "
        "the one given here. It counts for all limits. What comes of it has `is_test` true. For another `user_id` "
        "the phone is called as ever.",
        responses={201: schemas.TestNumberResponse},
    )
    @require(Scope.TEST_NUMBERS_WRITE)
    @documents_errors("invalid_phone", "not_granted", "already_test_number", "too_many_test_numbers")
    def create_test_number(body: schemas.TestNumberRequest) -> JsonResponse:
        wanted = NewTestNumber(
            phone=body.phone, owner_id=body.user_id, code=body.code, name=body.name, expires_in_seconds=body.expires_in
        )
        created = service.create_test_number(current_actor(), wanted)
        return schemas.TestNumberResponse.of(created).model_dump(), 201

    @blueprint.get(
        "",
        summary="List test numbers",
        description="Newest first, with their codes. Without the scope `admin`, those of the caller's own `user_id`.",
        responses={200: schemas.TestNumberList},
    )
    @require(Scope.TEST_NUMBERS_WRITE)
    def list_test_numbers(query: schemas.TestNumberQuery) -> JsonResponse:
        page = service.list_test_numbers(
            current_actor(), owner_id=query.user_id, limit=query.limit, cursor=query.cursor
        )
        return schemas.TestNumberList.of(page).model_dump()

    @blueprint.get("/<uuid:number_id>", summary="Get a test number", responses={200: schemas.TestNumberResponse})
    @require(Scope.TEST_NUMBERS_WRITE)
    @documents_errors("not_found")
    def get_test_number(path: schemas.TestNumberPath) -> JsonResponse:
        found = service.get_test_number(current_actor(), str(path.number_id))
        return schemas.TestNumberResponse.of(found).model_dump()

    @blueprint.patch(
        "/<uuid:number_id>",
        summary="Change a test number",
        description="With another code or end, verifications that wait for the old code are canceled.",
        responses={200: schemas.TestNumberResponse},
    )
    @require(Scope.TEST_NUMBERS_WRITE)
    @documents_errors("not_found")
    def update_test_number(path: schemas.TestNumberPath, body: schemas.TestNumberPatch) -> JsonResponse:
        given = body.model_fields_set
        changes = NumberChanges(
            code=body.code if "code" in given else UNSET,
            name=body.name if "name" in given else UNSET,
            expires_in_seconds=body.expires_in if "expires_in" in given else UNSET,
        )
        changed = service.update_test_number(current_actor(), str(path.number_id), changes)
        return schemas.TestNumberResponse.of(changed).model_dump()

    @blueprint.delete(
        "/<uuid:number_id>",
        summary="Delete a test number",
        description="Verifications that wait for its code are canceled. The next `POST /calls/otp` calls the phone.",
        responses={200: schemas.TestNumberDeletion},
    )
    @require(Scope.TEST_NUMBERS_WRITE)
    @documents_errors("not_found")
    def delete_test_number(path: schemas.TestNumberPath) -> JsonResponse:
        service.delete_test_number(current_actor(), str(path.number_id))
        return schemas.TestNumberDeletion(message="Test number deleted").model_dump()

    return blueprint
