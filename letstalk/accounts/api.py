"""`/api/accounts`: accounts and roles."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.authentication import current_device
from letstalk.accounts.models import AccountChanges, check_role
from letstalk.accounts.schemas import (
    AccountList,
    AccountPatch,
    AccountPath,
    AccountQuery,
    AccountResponse,
    DeletionResponse,
    RoleList,
    RolePatch,
    RolePath,
    RoleResponse,
)
from letstalk.accounts.services import Accounts
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require, require_anyone_known
from letstalk.http.openapi import documents_errors
from letstalk.http.schemas import JsonResponse


def make_blueprint(accounts: Accounts) -> APIBlueprint:
    tag = Tag(name="People", description="Who may sign in, and with which role.")
    api = APIBlueprint("accounts", __name__, abp_tags=[tag])

    @api.get("/api/accounts", summary="List people", responses={200: AccountList})
    @require(Scope.ADMIN, browser=True)
    def list_accounts(query: AccountQuery) -> JsonResponse:
        """Newest first."""
        page = accounts.service.list_accounts(
            current_actor(),
            role=query.role,
            state=query.state,
            search=query.search,
            limit=query.limit,
            cursor=query.cursor,
        )
        return AccountList.of(page).model_dump()

    @api.get("/api/accounts/<uuid:account_id>", summary="One account", responses={200: AccountResponse})
    @require_anyone_known
    @documents_errors("not_found")
    def get_account(path: AccountPath) -> JsonResponse:
        """An admin sees every account, a person their own."""
        return AccountResponse.of(accounts.service.get_account(current_actor(), str(path.account_id))).model_dump()

    @api.patch("/api/accounts/<uuid:account_id>", summary="Change an account", responses={200: AccountResponse})
    @require_anyone_known
    @documents_errors(
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
        """An admin changes any account; a person their own name, phone and second factor. A new role ends tokens."""
        actor, account_id = current_actor(), str(path.account_id)
        is_confirmed = False
        if body.current_password and actor.account_id == account_id:
            accounts.sign_ins.confirm_password(actor, body.current_password, current_device())
            is_confirmed = True
        changes = AccountChanges(**body.model_dump(exclude_unset=True, exclude={"current_password"}))
        changed = accounts.service.update_account(actor, account_id, changes, is_confirmed=is_confirmed)
        return AccountResponse.of(changed).model_dump()

    @api.delete("/api/accounts/<uuid:account_id>", summary="Delete an account", responses={200: DeletionResponse})
    @require(Scope.ADMIN, browser=True)
    @documents_errors("not_found", "last_admin")
    def delete_account(path: AccountPath) -> JsonResponse:
        """With its sessions and grants. Tokens and verifications belong to owners, and stay."""
        accounts.service.delete_account(current_actor(), str(path.account_id))
        return DeletionResponse(message="Account deleted").model_dump()

    @api.get("/api/accounts/roles", summary="The roles", responses={200: RoleList})
    @require(Scope.ADMIN, browser=True)
    def list_roles() -> JsonResponse:
        """Each with whether signing in requires a second factor of everyone who has it."""
        return RoleList.of(accounts.second_factors.list_policies()).model_dump()

    @api.patch("/api/accounts/roles/<role>", summary="What a role requires", responses={200: RoleResponse})
    @require(Scope.ADMIN, browser=True)
    def update_role(path: RolePath, body: RolePatch) -> JsonResponse:
        """Applies from the next sign-in. A person with the role and without a phone then gets `phone_required`."""
        role, required = check_role(path.role), body.requires_second_factor
        accounts.second_factors.set_policy(current_actor(), role, requires_second_factor=required)
        return RoleResponse(role=role, requires_second_factor=required).model_dump()

    return api
