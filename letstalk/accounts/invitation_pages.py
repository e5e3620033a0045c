"""The dashboard's pages to invite somebody by, for admins."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.accounts import forms as forms
from letstalk.accounts.models import Role
from letstalk.core.errors import Conflict, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.http.container import people
from letstalk.http.forms import answer_form, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.links import link_base

invitation_pages = Blueprint("invitation_pages", __name__)


@invitation_pages.get("/dashboard/people/invite")
@require_signed_in(Scope.ADMIN)
def form() -> ResponseReturnValue:
    """Empty, or filled in for somebody who was invited before."""
    again = request.args.get("account_id", type=UUID)
    if again is None:
        return _form(forms.PersonForm(role=Role.DEVELOPER.value))
    return _form(forms.PersonForm.of(people().accounts.get_account(current_actor(), str(again))))


@invitation_pages.post("/dashboard/people/invite")
@require_signed_in(Scope.ADMIN)
def invite() -> ResponseReturnValue:
    """The link, this once; or the form as it was filled in, with what is wrong."""
    if was_sent_before():
        flash("That form was sent already, and its link was shown once. Invite them again if you have not kept it.")
        return redirect(url_for("people.index"))
    filled_in = forms.PersonForm.from_request()
    try:
        invitation = people().invitations.invite(current_actor(), filled_in.as_invitation(), link_base())
    except (InvalidRequest, Conflict) as error:
        return _form(filled_in, error)
    keep_submission()
    # Where we don't know our own address, the one that the admin has reached us under is theirs to pass on.
    base = request.host_url.rstrip("/") if invitation.link.startswith("/") else ""
    return render_template("accounts/invited.html", invitation=invitation, link=base + invitation.link)


def _form(filled_in: forms.PersonForm, error: LetsTalkError | None = None) -> Response:
    return answer_form(
        "accounts/invite.html",
        error,
        fields=("email", "role", "user_ids"),
        form=filled_in,
        roles=forms.ROLES,
        sends_mail=people().mails.is_set_up,
        submission=new_submission(),
    )
