"""The dashboard: API tokens, made, watched, rotated and revoked by hand."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.clock import iso_utc, utc_now
from letstalk.core.errors import Forbidden, InsufficientScope, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.http.forms import form_response, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, public, require_signed_in
from letstalk.http.timestamps import day_and_time, in_words, time_ago
from letstalk.tokens import forms as forms
from letstalk.tokens.delegation import may_manage
from letstalk.tokens.models import Token
from letstalk.tokens.service import IssuedToken, TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.tokens.views import CHART_DAYS, TokenView, make_example, searched_text, show_token

TOKENS_PER_PAGE = 25


def make_blueprint(service: TokenService, usage: UsageCounter) -> Blueprint:
    blueprint = Blueprint("dashboard", __name__)
    for text_filter in (iso_utc, day_and_time, in_words, time_ago):
        blueprint.add_app_template_filter(text_filter)

    def _view(token_id: str) -> TokenView:
        """Raises NotFound."""
        token = service.get_token(current_actor(), token_id)
        return _chart(token, large=True)

    def _changeable_view(token_id: str) -> TokenView:
        """Raises NotFound, InsufficientScope."""
        view = _view(token_id)
        if not view.is_manageable:
            raise InsufficientScope("This token may do more than you may give.")
        return view

    def _chart(token: Token, *, large: bool) -> TokenView:
        actor = current_actor()
        requests_by_day = usage.daily_requests(token.token_id, CHART_DAYS)
        is_manageable = actor.holds(Scope.TOKENS_WRITE) and may_manage(actor, token)
        return show_token(token, requests_by_day, utc_now(), large=large, is_manageable=is_manageable)

    def _rotation_form(token_id: str, error: LetsTalkError | None = None) -> Response:
        return form_response(
            "tokens/rotate.html",
            error,
            fields=("grace_seconds",),
            view=_changeable_view(token_id),
            submission=new_submission(),
            graces=forms.GRACES,
            grace_seconds=request.form.get("grace_seconds", forms.DEFAULT_GRACE),
        )

    @blueprint.get("/")
    @public
    def home() -> ResponseReturnValue:
        return redirect(url_for("dashboard.index"))

    @blueprint.get("/api/tokens/dashboard")
    @require_signed_in(Scope.TOKENS_READ)
    def index() -> ResponseReturnValue:
        """The tokens, newest first, a page at a time."""
        search = searched_text(request.args.get("q", ""))
        include_revoked = request.args.get("revoked") == "1"
        cursor = request.args.get("cursor") or None
        actor = current_actor()
        page = service.list_tokens(
            actor,
            include_revoked=include_revoked,
            search=search or None,
            limit=TOKENS_PER_PAGE,
            cursor=cursor,
        )
        kept: dict[str, Any] = {"q": search or None, "revoked": "1" if include_revoked else None}
        return render_template(
            "tokens/tokens.html",
            views=[_chart(token, large=False) for token in page.tokens],
            search=search,
            include_revoked=include_revoked,
            cursor=cursor,
            owners=None if actor.is_admin else sorted(actor.user_ids),
            may_create=actor.holds(Scope.TOKENS_WRITE) and (actor.is_admin or bool(actor.user_ids)),
            first_page=url_for("dashboard.index", **kept),
            next_page=url_for("dashboard.index", cursor=page.next_cursor, **kept) if page.next_cursor else None,
        )

    @blueprint.get("/dashboard/tokens/new")
    @require_signed_in(Scope.TOKENS_WRITE)
    def new() -> ResponseReturnValue:
        return _creation_form(forms.TokenForm())

    @blueprint.post("/dashboard/tokens")
    @require_signed_in(Scope.TOKENS_WRITE)
    def create() -> ResponseReturnValue:
        """The new token, this once; or the form as it was filled in, with what is wrong."""
        if was_sent_before():
            return _send_to_list()
        form = forms.TokenForm.from_request()
        try:
            issued = service.create_token(current_actor(), form.as_new_token())
        except (InvalidRequest, Forbidden) as error:
            return _creation_form(form, error)
        return _show_once("Token created", issued)

    @blueprint.get("/dashboard/tokens/<token_id>")
    @require_signed_in(Scope.TOKENS_READ)
    def show(token_id: str) -> ResponseReturnValue:
        return render_template("tokens/token.html", view=_view(token_id))

    @blueprint.get("/dashboard/tokens/<token_id>/rotate")
    @require_signed_in(Scope.TOKENS_WRITE)
    def rotate_form(token_id: str) -> ResponseReturnValue:
        return _rotation_form(token_id)

    @blueprint.post("/dashboard/tokens/<token_id>/rotate")
    @require_signed_in(Scope.TOKENS_WRITE)
    def rotate(token_id: str) -> ResponseReturnValue:
        """The token that takes the old one's place, this once."""
        if was_sent_before():
            return _send_to_list()
        try:
            grace_seconds = forms.read_seconds("grace_seconds", request.form.get("grace_seconds", forms.DEFAULT_GRACE))
            issued = service.rotate_token(current_actor(), token_id, grace_seconds)
        except InvalidRequest as error:
            return _rotation_form(token_id, error)
        return _show_once("Token rotated", issued, grace_seconds)

    @blueprint.get("/dashboard/tokens/<token_id>/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke_form(token_id: str) -> ResponseReturnValue:
        return render_template("tokens/revoke.html", view=_changeable_view(token_id))

    @blueprint.post("/dashboard/tokens/<token_id>/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke(token_id: str) -> ResponseReturnValue:
        title = _changeable_view(token_id).title
        service.revoke_token(current_actor(), token_id)
        flash(f"{title} is revoked.")
        return redirect(url_for("dashboard.index"))

    return blueprint


def _creation_form(form: forms.TokenForm, error: LetsTalkError | None = None) -> Response:
    actor = current_actor()
    return form_response(
        "tokens/new.html",
        error,
        fields=("name", "user_id", "scopes", "expires_in", "allowed_ips", "rate_limit"),
        form=form,
        submission=new_submission(),
        owners=None if actor.is_admin else sorted(actor.user_ids),
        bundles=forms.offered(forms.BUNDLES, actor.scopes),
        fine_scopes=forms.offered(forms.FINE_SCOPES, actor.scopes),
        lifetimes=forms.LIFETIMES,
    )


def _show_once(title: str, issued: IssuedToken, grace_seconds: int | None = None) -> str:
    keep_submission()
    return render_template(
        "tokens/created.html",
        title=title,
        token=issued.record,
        secret=issued.secret,
        example=make_example(issued.record, issued.secret, request.host_url.rstrip("/")),
        grace_seconds=grace_seconds,
    )


def _send_to_list() -> ResponseReturnValue:
    flash("That form was sent already, and its token was shown once. Rotate the token if you have not kept it.")
    return redirect(url_for("dashboard.index"))
