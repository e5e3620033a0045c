"""`/api/accounts`: people, and what signing in asks of them."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_api import current_device
from letstalk.accounts.models import check_role
from letstalk.accounts.schemas import (
    AccountAnswer,
    AccountList,
    AccountPatch,
    AccountPath,
    AccountQuery,
    DeletionAnswer,
    RoleAnswer,
    RoleList,
    RolePatch,
    RolePath,
)
from letstalk.accounts.service import AccountChanges
from letstalk.core.scopes import Scope
from letstalk.http.container import people
from letstalk.http.guards import current_actor, require, require_anyone_known
from letstalk.http.openapi import refuses
from letstalk.http.schemas import JsonResponse
from letstalk.tokens.changes import UNSET

accounts = APIBlueprint("accounts", __name__, abp_tags=[Tag(name="People", description="Who may sign in, as what.")])


@accounts.get("/api/accounts", summary="List people", responses={200: AccountList})
@require(Scope.ADMIN, browser=True)
def list_accounts(query: AccountQuery) -> JsonResponse:
    """Newest first."""
    page = people().accounts.list_accounts(
        current_actor(),
        role=query.role,
        state=query.state,
        search=query.search,
        limit=query.limit,
        cursor=query.cursor,
    )
    return AccountList.of(page).model_dump()


@accounts.get("/api/accounts/<uuid:account_id>", summary="One account", responses={200: AccountAnswer})
@require_anyone_known
@refuses("not_found")
def get_account(path: AccountPath) -> JsonResponse:
    """An admin sees everyone, a person themselves."""
    return AccountAnswer.of(people().accounts.get_account(current_actor(), str(path.account_id))).model_dump()


@accounts.patch("/api/accounts/<uuid:account_id>", summary="Change an account", responses={200: AccountAnswer})
@require_anyone_known
@refuses(
    "not_found",
    "insufficient_scope",
    "invalid_phone",
    "invalid_credentials",
    "sign_in_throttled",
    "email_not_verified",
    "username_taken",
    "email_taken",
    "last_admin",
)
def update_account(path: AccountPath, body: AccountPatch) -> JsonResponse:
    """An admin changes anyone, a person their own name, phone and second factor. A new role needs new access tokens."""
    actor, account_id = current_actor(), str(path.account_id)
    changes = _changes(body)
    is_confirmed = False
    if body.current_password and actor.account_id == account_id:
        people().sign_ins.confirm_password(actor, body.current_password, current_device())
        is_confirmed = True
    changed = people().accounts.update_account(actor, account_id, changes, is_confirmed=is_confirmed)
    return AccountAnswer.of(changed).model_dump()


@accounts.delete("/api/accounts/<uuid:account_id>", summary="Delete an account", responses={200: DeletionAnswer})
@require(Scope.ADMIN, browser=True)
@refuses("not_found", "last_admin")
def delete_account(path: AccountPath) -> JsonResponse:
    """With its sessions and grants. Tokens and verifications belong to owners, and stay."""
    people().accounts.delete_account(current_actor(), str(path.account_id))
    return DeletionAnswer(message="Account deleted").model_dump()


@accounts.get("/api/accounts/roles", summary="The roles", responses={200: RoleList})
@require(Scope.ADMIN, browser=True)
def list_roles() -> JsonResponse:
    """And whether signing in asks everyone who has them for a second factor."""
    return RoleList.of(people().second_factors.list_policies()).model_dump()


@accounts.patch("/api/accounts/roles/<role>", summary="What a role asks for", responses={200: RoleAnswer})
@require(Scope.ADMIN, browser=True)
def update_role(path: RolePath, body: RolePatch) -> JsonResponse:
    """From the next sign-in on. Who has the role and no phone is refused with `phone_required`."""
    role, required = check_role(path.role), body.requires_second_factor
    people().second_factors.set_policy(current_actor(), role, requires_second_factor=required)
    return RoleAnswer(role=role, requires_second_factor=required).model_dump()


def _changes(body: AccountPatch) -> AccountChanges:
    given = body.model_fields_set
    return AccountChanges(
        username=body.username if "username" in given else UNSET,
        email=body.email if "email" in given else UNSET,
        role=body.role if "role" in given else UNSET,
        user_ids=tuple(body.user_ids) if "user_ids" in given else UNSET,
        phone=body.phone if "phone" in given else UNSET,
        second_factor=body.second_factor if "second_factor" in given else UNSET,
        disabled=body.disabled if "disabled" in given else UNSET,
    )
