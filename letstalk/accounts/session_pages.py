"""The dashboard's page about one's own sessions: on which device, from where, since when; and how to end each."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts.devices import name_device
from letstalk.http.container import people
from letstalk.http.guards import current_actor, signed_in_person

session_pages = Blueprint("session_pages", __name__)
session_pages.add_app_template_filter(name_device)

METHODS = {
    "password": "Password",
    "sso": "Single sign-on",
    "jwt": "Signed token",
    "invitation": "Invitation",
}


@session_pages.get("/dashboard/sessions")
@signed_in_person
def index() -> ResponseReturnValue:
    """The live ones, the newest first."""
    actor = current_actor()
    sessions = people().sessions.list_sessions(actor.account_id or "")
    return render_template(
        "accounts/profile/sessions.html", sessions=sessions, current_id=actor.session_id, methods=METHODS
    )


@session_pages.post("/dashboard/sessions/<uuid:session_id>/end")
@signed_in_person
def end(session_id: object) -> ResponseReturnValue:
    """Its cookie, or its tokens, are dead at once. Of the session that asks, that is signing out."""
    people().sessions.end_session(current_actor(), str(session_id))
    flash("The session is ended.")
    return redirect(url_for("session_pages.index"))


@session_pages.post("/dashboard/sessions/end-others")
@signed_in_person
def end_others() -> ResponseReturnValue:
    actor = current_actor()
    ended = people().sessions.end_all_sessions(actor.account_id or "", actor, reason="ended", keep=actor.session_id)
    flash(f"Other sessions that are ended: {ended}.")
    return redirect(url_for("session_pages.index"))
