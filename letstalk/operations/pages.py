"""The dashboard's page about the installation: every check, and what to do about what is wrong."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from letstalk.core.scopes import Scope
from letstalk.http.guards import require_signed_in
from letstalk.operations.checks import CheckState
from letstalk.operations.inspection import FRESH_SECONDS, InspectionService

# However often the button is pressed, other services are asked no more often than this.
REPEATABLE_AFTER_SECONDS = 5.0
RELOAD_SECONDS = 2
STATE_WORDS = {
    CheckState.OK: "ok",
    CheckState.WARNING: "warning",
    CheckState.FAILING: "failing",
    CheckState.OFF: "not used",
    CheckState.PENDING: "checking",
}


def make_blueprint(inspections: InspectionService) -> Blueprint:
    pages = Blueprint("health_pages", __name__)

    @pages.get("/dashboard/health", endpoint="show")
    @require_signed_in(Scope.ADMIN)
    def show() -> ResponseReturnValue:
        """With results of the last minute, or new ones (`?again=1`). What takes longer than a second is shown when it
        is there: the page reloads itself until then.
        """
        wants_new = request.args.get("again") == "1"
        found = inspections.inspect(max_age_seconds=REPEATABLE_AFTER_SECONDS if wants_new else FRESH_SECONDS)
        page: Response = make_response(
            render_template(
                "operations/health.html",
                inspection=found,
                words=STATE_WORDS,
                problems=[result for result in found.results if result.state is CheckState.FAILING],
                warnings=[result for result in found.results if result.state is CheckState.WARNING],
            )
        )
        if not found.is_complete:
            page.headers["Refresh"] = f"{RELOAD_SECONDS}; url={request.path}"
        return page

    return pages
