"""The dashboard: API tokens, made, watched, rotated and revoked by hand."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from letstalk.domain.errors import InvalidRequest
from letstalk.domain.times import iso_utc, utc_now
from letstalk.domain.tokens import Token
from letstalk.services.tokens import IssuedToken
from letstalk.web import token_forms as forms
from letstalk.web.container import services
from letstalk.web.guards import current_actor, public, signed_in
from letstalk.web.moments import day_and_time, in_words, time_ago
from letstalk.web.token_views import CHART_DAYS, TokenView, make_example, searched_text, show_token

TOKENS_PER_PAGE = 25

dashboard = Blueprint("dashboard", __name__)
for text_filter in (iso_utc, day_and_time, in_words, time_ago):
    dashboard.add_app_template_filter(text_filter)


@dashboard.get("/")
@public
def home() -> ResponseReturnValue:
    return redirect(url_for("dashboard.index"))


@dashboard.get("/api/tokens/dashboard")
@signed_in
def index() -> ResponseReturnValue:
    """The tokens, newest first, a page at a time."""
    search = searched_text(request.args.get("q", ""))
    include_revoked = request.args.get("revoked") == "1"
    cursor = request.args.get("cursor") or None
    page = services().tokens.list_tokens(
        current_actor(),
        include_revoked=include_revoked,
        search=search or None,
        limit=TOKENS_PER_PAGE,
        cursor=cursor,
    )
    kept: dict[str, Any] = {"q": search or None, "revoked": "1" if include_revoked else None}
    return render_template(
        "dashboard/tokens.html",
        views=[_chart(token, large=False) for token in page.tokens],
        search=search,
        include_revoked=include_revoked,
        cursor=cursor,
        first_page=url_for("dashboard.index", **kept),
        next_page=url_for("dashboard.index", cursor=page.next_cursor, **kept) if page.next_cursor else None,
    )


@dashboard.get("/dashboard/tokens/new")
@signed_in
def new() -> ResponseReturnValue:
    return _creation_form(forms.TokenForm())


@dashboard.post("/dashboard/tokens")
@signed_in
def create() -> ResponseReturnValue:
    """The new token, this once; or the form as it was filled in, with what is wrong."""
    if _was_sent_before():
        return _send_to_list()
    form = forms.TokenForm.from_request()
    try:
        issued = services().tokens.create_token(current_actor(), form.as_new_token())
    except InvalidRequest as error:
        return _creation_form(form, error), 400
    return _show_once("Token created", issued)


@dashboard.get("/dashboard/tokens/<token_id>")
@signed_in
def show(token_id: str) -> ResponseReturnValue:
    return render_template("dashboard/token.html", view=_view(token_id))


@dashboard.get("/dashboard/tokens/<token_id>/rotate")
@signed_in
def rotate_form(token_id: str) -> ResponseReturnValue:
    return _rotation_form(token_id)


@dashboard.post("/dashboard/tokens/<token_id>/rotate")
@signed_in
def rotate(token_id: str) -> ResponseReturnValue:
    """The token that takes the old one's place, this once."""
    if _was_sent_before():
        return _send_to_list()
    try:
        grace_seconds = forms.read_seconds("grace_seconds", request.form.get("grace_seconds", forms.DEFAULT_GRACE))
        issued = services().tokens.rotate_token(current_actor(), token_id, grace_seconds)
    except InvalidRequest as error:
        return _rotation_form(token_id, error), 400
    return _show_once("Token rotated", issued, grace_seconds)


@dashboard.get("/dashboard/tokens/<token_id>/revoke")
@signed_in
def revoke_form(token_id: str) -> ResponseReturnValue:
    return render_template("dashboard/revoke.html", view=_view(token_id))


@dashboard.post("/dashboard/tokens/<token_id>/revoke")
@signed_in
def revoke(token_id: str) -> ResponseReturnValue:
    title = _view(token_id).title
    services().tokens.revoke_token(current_actor(), token_id)
    flash(f"{title} is revoked.")
    return redirect(url_for("dashboard.index"))


def _view(token_id: str) -> TokenView:
    """Raises NotFound."""
    token = services().tokens.get_token(current_actor(), token_id)
    return _chart(token, large=True)


def _chart(token: Token, *, large: bool) -> TokenView:
    return show_token(token, services().usage.daily_requests(token.token_id, CHART_DAYS), utc_now(), large=large)


def _creation_form(form: forms.TokenForm, error: InvalidRequest | None = None) -> str:
    fields = ("name", "user_id", "scopes", "expires_in", "allowed_ips", "rate_limit")
    beside, problem = forms.errors_by_field(error, fields)
    return render_template(
        "dashboard/new.html",
        form=form,
        errors=beside,
        problem=problem,
        submission=_new_submission(),
        bundles=forms.BUNDLES,
        fine_scopes=forms.FINE_SCOPES,
        lifetimes=forms.LIFETIMES,
    )


def _rotation_form(token_id: str, error: InvalidRequest | None = None) -> str:
    beside, problem = forms.errors_by_field(error, ("grace_seconds",))
    return render_template(
        "dashboard/rotate.html",
        view=_view(token_id),
        errors=beside,
        problem=problem,
        submission=_new_submission(),
        graces=forms.GRACES,
        grace_seconds=request.form.get("grace_seconds", forms.DEFAULT_GRACE),
    )


def _show_once(title: str, issued: IssuedToken, grace_seconds: int | None = None) -> str:
    session["last_submission"] = request.form.get("submission", "")[:40]
    return render_template(
        "dashboard/created.html",
        title=title,
        token=issued.record,
        secret=issued.secret,
        example=make_example(issued.record, issued.secret, request.host_url.rstrip("/")),
        grace_seconds=grace_seconds,
    )


def _new_submission() -> str:
    return secrets.token_urlsafe(12)


def _was_sent_before() -> bool:
    """Whether this very form has made its token already: the page with the token was reloaded."""
    submission = request.form.get("submission")
    return bool(submission) and submission == session.get("last_submission")


def _send_to_list() -> ResponseReturnValue:
    flash("That form was sent already, and its token was shown once. Rotate the token if you have not kept it.")
    return redirect(url_for("dashboard.index"))
