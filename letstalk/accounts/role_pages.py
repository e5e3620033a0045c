"""The dashboard's page about roles, for admins: what each may do, and whether signing in asks for a code by phone."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.forms import ROLES
from letstalk.core.scopes import Scope
from letstalk.http.container import people
from letstalk.http.guards import current_actor, require_signed_in

role_pages = Blueprint("role_pages", __name__)


@role_pages.get("/dashboard/people/roles")
@require_signed_in(Scope.ADMIN)
def show() -> ResponseReturnValue:
    policies = people().second_factors.list_policies()
    required = {role.value for role, is_required in policies.items() if is_required}
    return render_template("accounts/roles.html", roles=ROLES, required=required)


@role_pages.post("/dashboard/people/roles")
@require_signed_in(Scope.ADMIN)
def change() -> ResponseReturnValue:
    """Set what was changed, and nothing else: each change is an event of the audit trail."""
    service, wanted = people().second_factors, set(request.form.getlist("required"))
    for role, is_required in service.list_policies().items():
        if is_required is not (role.value in wanted):
            service.set_policy(current_actor(), role, requires_second_factor=not is_required)
    flash("What signing in asks for is changed.")
    return redirect(url_for("role_pages.show"))
