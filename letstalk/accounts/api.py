"""`/api/accounts`: accounts and roles."""

from __future__ import annotations

from letstalk.accounts import schemas
from letstalk.accounts.models import Role, check_role
from letstalk.accounts.second_factor_api import confirms_password
from letstalk.accounts.services import Accounts
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require, require_anyone_known
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import JsonResponse


def make_blueprint(accounts: Accounts) -> ApiRoutes:
    api = ApiRoutes("accounts", "People", "Who may sign in, and with which role.")

    def describe_role(role: Role, requires_second_factor: bool) -> schemas.RoleResponse:
        without_phone = accounts.second_factors.list_without_phone(current_actor(), role)
        return schemas.RoleResponse(
            role=role, requires_second_factor=requires_second_factor, people_without_phone=len(without_phone)
        )

    @api.get("/api/accounts", summary="List people", responses={200: schemas.AccountList})
    @require(Scope.ADMIN, browser=True)
    def list_accounts(query: schemas.AccountQuery) -> JsonResponse:
        """Newest first."""
        page = accounts.service.list_accounts(current_actor(), **query.model_dump())
        return schemas.AccountList.of(page).model_dump()

    @api.get("/api/accounts/<uuid:account_id>", summary="One account", responses={200: schemas.AccountResponse})
    @require_anyone_known
    @documents_errors("not_found")
    def get_account(path: schemas.AccountPath) -> JsonResponse:
        """An admin sees every account, a person their own."""
        return schemas.AccountResponse.of(
            accounts.service.get_account(current_actor(), str(path.account_id))
        ).model_dump()

    @api.patch("/api/accounts/<uuid:account_id>", summary="Change an account", responses={200: schemas.AccountResponse})
    @require_anyone_known
    @documents_errors(
        "not_found",
        "insufficient_scope",
        "invalid_phone",
        "wrong_password",
        "sign_in_throttled",
        "email_not_verified",
        "fresh_sign_in_required",
        "username_taken",
        "email_taken",
        "last_admin",
    )
    def update_account(path: schemas.AccountPath, body: schemas.AccountPatch) -> JsonResponse:
        """An admin changes any account; a person their own name, phone and second factor. A new role ends tokens."""
        actor, account_id = current_actor(), str(path.account_id)
        is_confirmed = actor.account_id == account_id and confirms_password(accounts, actor, body.current_password)
        changed = accounts.service.update_account(
            actor, account_id, body.to_changes(), is_confirmed=is_confirmed, revoke_tokens=body.revoke_tokens
        )
        return schemas.AccountResponse.of(changed).model_dump()

    @api.delete(
        "/api/accounts/<uuid:account_id>", summary="Delete an account", responses={200: schemas.DeletionResponse}
    )
    @require(Scope.ADMIN, browser=True)
    @documents_errors("not_found", "last_admin")
    def delete_account(path: schemas.AccountPath, query: schemas.DeletionQuery) -> JsonResponse:
        """With its sessions and grants. Its tokens stay, unless it is disabled; `GET /api/tokens` lists them."""
        accounts.service.delete_account(current_actor(), str(path.account_id), revoke_tokens=query.revoke_tokens)
        return schemas.DeletionResponse(message="Account deleted").model_dump()

    @api.get("/api/accounts/roles", summary="The roles", responses={200: schemas.RoleList})
    @require(Scope.ADMIN, browser=True)
    def list_roles() -> JsonResponse:
        """Each with whether signing in requires a second factor of everyone who has it."""
        policies = accounts.second_factors.list_policies()
        return schemas.RoleList(
            roles=[describe_role(role, requires) for role, requires in policies.items()]
        ).model_dump()

    @api.patch("/api/accounts/roles/<role>", summary="What a role requires", responses={200: schemas.RoleResponse})
    @require(Scope.ADMIN, browser=True)
    def update_role(path: schemas.RolePath, body: schemas.RolePatch) -> JsonResponse:
        """Applies from the next sign-in. Who has no proven phone proves one then, and nobody is locked out."""
        role, required = check_role(path.role), body.requires_second_factor
        accounts.second_factors.set_policy(current_actor(), role, requires_second_factor=required)
        return describe_role(role, required).model_dump()

    return api
