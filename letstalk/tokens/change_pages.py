"""The dashboard's pages that change tokens which are there: one by a form, or several revoked at once."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.clock import utc_now
from letstalk.core.errors import Conflict, Forbidden, InsufficientScope, InvalidRequest, LetsTalkError, NotFound
from letstalk.core.field_errors import FieldErrors
from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.forms import form_response
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.rate_limits import request_limits
from letstalk.http.timestamps import day_and_time
from letstalk.tokens.delegation import creator_of, may_manage
from letstalk.tokens.forms import (
    AT_A_TIME,
    BUNDLES,
    FIELDS,
    KEEP,
    LIFETIMES,
    MESSAGES,
    SINGLE_SCOPES,
    TokenForm,
    offered,
)
from letstalk.tokens.models import Token, TokenChanges
from letstalk.tokens.service import MAX_PAGE, TokenService


def make_blueprint(service: TokenService) -> Blueprint:
    blueprint = Blueprint("token_changes", __name__)

    @blueprint.get("/dashboard/tokens/<token_id>/edit")
    @require_signed_in(Scope.TOKENS_WRITE)
    def edit_form(token_id: str) -> ResponseReturnValue:
        token = _changeable(service, token_id)
        return _edit_form(token, TokenForm.of(token))

    @blueprint.post("/dashboard/tokens/<token_id>/edit")
    @require_signed_in(Scope.TOKENS_WRITE)
    def edit(token_id: str) -> ResponseReturnValue:
        """Back to the token with what has changed, or the form with its errors."""
        token = _changeable(service, token_id)
        form = TokenForm.from_request()
        try:
            wrong = FieldErrors()
            changes = form.as_changes(token, wrong)
            wrong.raise_found()
            if changes.rate_limit is not UNSET:  # a new limit begins a new count
                count_creation()
            if changes != TokenChanges():
                service.update_token(current_actor(), token_id, changes)
        except (InvalidRequest, Forbidden, Conflict) as error:
            return _edit_form(token, form, error)
        flash("The token is changed." if changes != TokenChanges() else "Nothing was changed.")
        return redirect(url_for("dashboard.show", token_id=token_id))

    @blueprint.get("/dashboard/tokens/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke_form() -> ResponseReturnValue:
        """What would be revoked, and what would not."""
        token_ids = list(dict.fromkeys(request.args.getlist("token_id")))[:MAX_PAGE]
        if not token_ids:
            flash("Select the tokens to revoke first.")
            return redirect(url_for("dashboard.index"))
        now = utc_now()
        found = [(token_id, _find(service, token_id)) for token_id in token_ids]
        rows = [(token_id, token, _obstacle(token, now)) for token_id, token in found]
        revocable = [token for _, token, obstacle in rows if token is not None and obstacle is None]
        actor = current_actor()
        came_of = {one.token_id for token in revocable for one in service.list_descendants(actor, token.token_id)}
        return render_template(
            "tokens/revoke_several.html",
            revocable=revocable,
            children=len(came_of - {token.token_id for token in revocable}),
            left=[row for row in rows if row[2] is not None],
        )

    @blueprint.post("/dashboard/tokens/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke() -> ResponseReturnValue:
        """What was revoked, and what was not."""
        cascade = request.form.get("cascade") == "1"
        results = service.revoke_tokens(current_actor(), request.form.getlist("token_id"), cascade=cascade)
        return render_template(
            "tokens/revoked_several.html",
            revoked=[result for result in results if result.is_revoked],
            left=[result for result in results if not result.is_revoked],
        )

    return blueprint


def count_creation() -> None:
    """Count one token that the caller creates, or whose limit it changes. Raises TooManyRequests."""
    request_limits().check_token_creation(request.environ, creator_of(current_actor()))


def _find(service: TokenService, token_id: str) -> Token | None:
    try:
        return service.get_token(current_actor(), token_id)
    except NotFound:
        return None


def _obstacle(token: Token | None, now: datetime) -> str | None:
    """Why the token can't be revoked; None if it can."""
    if token is None:
        return "It does not exist."
    if token.revoked_at is not None:
        return "It is revoked already."
    if not token.is_live(now):
        return "It has expired."
    return None if may_manage(current_actor(), token) else "It has scopes that you can't give."


def _changeable(service: TokenService, token_id: str) -> Token:
    """Raises NotFound, InsufficientScope, or Conflict for a token that is revoked or expired."""
    token = service.get_token(current_actor(), token_id)
    if not may_manage(current_actor(), token):
        raise InsufficientScope("This token has scopes that you can't give.")
    if not token.is_live(utc_now()):
        raise Conflict("The token is revoked or expired. It can't be changed.", code="token_inactive")
    return token


def _edit_form(token: Token, form: TokenForm, error: LetsTalkError | None = None) -> Response:
    actor = current_actor()
    now_is = "Never" if token.expires_at is None else day_and_time(token.expires_at)
    return form_response(
        "tokens/edit.html",
        error,
        fields=FIELDS,
        token=token,
        title=token.name or "Unnamed token",
        form=form,
        bundles=offered(BUNDLES, actor.scopes),
        single_scopes=offered(SINGLE_SCOPES, actor.scopes),
        lifetimes=((KEEP, f"As it is: {now_is}"), *LIFETIMES, AT_A_TIME),
        messages=MESSAGES,
    )
