"""The dashboard's pages about API tokens: listing, creating, rotating and revoking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.audit.models import AuditFilter, describe_refusal
from letstalk.audit.search import AuditSearch
from letstalk.core.actors import check_owner_id, usual_owner
from letstalk.core.clock import utc_now
from letstalk.core.errors import Forbidden, InsufficientScope, InvalidRequest, LetsTalkError
from letstalk.core.field_errors import FieldErrors
from letstalk.core.scopes import Scope
from letstalk.http.forms import form_response, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.tokens.change_pages import count_creation
from letstalk.tokens.delegation import may_manage
from letstalk.tokens.forms import (
    AT_A_TIME,
    BUNDLES,
    FIELDS,
    LIFETIMES,
    MESSAGES,
    SINGLE_SCOPES,
    TokenForm,
    offered,
    read_seconds,
)
from letstalk.tokens.models import IssuedToken, Standing, Token, public_part
from letstalk.tokens.owners import OwnerDirectory
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.tokens.views import CHART_DAYS, TokenView, make_example, show_endpoints, show_token

TOKENS_PER_PAGE = 25
DAY_SECONDS = 86400

GRACE_PERIODS = (
    ("0", "Not at all: it is refused immediately"),
    ("3600", "1 hour"),
    (str(DAY_SECONDS), "1 day"),
    (str(7 * DAY_SECONDS), "7 days"),
)
DEFAULT_GRACE_PERIOD = "3600"
STANDINGS = (
    ("", "All"),
    (Standing.UNUSED.value, "Unused"),
    (Standing.EXPIRING.value, "Expiring soon"),
    (Standing.SUSPENDED.value, "Suspended"),
)
ENTRIES_SHOWN = 10


def make_blueprint(
    service: TokenService,
    usage: UsageCounter,
    list_reached: Callable[[frozenset[str] | None], Sequence[object]],
    *,
    owners: OwnerDirectory,
    audit: AuditSearch,
) -> Blueprint:
    """`list_reached` returns the limits of calls that these owners (None: all) have reached: see the template."""
    blueprint = Blueprint("dashboard", __name__)

    def _view(token_id: str) -> TokenView:
        return _make_view(service.get_token(current_actor(), token_id), large=True)

    def _changeable_view(token_id: str) -> TokenView:
        view = _view(token_id)
        if not view.is_manageable:
            raise InsufficientScope("This token has scopes that you can't give.")
        return view

    def _make_view(token: Token, *, large: bool) -> TokenView:
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
            grace_periods=GRACE_PERIODS,
            grace_seconds=request.form.get("grace_seconds", DEFAULT_GRACE_PERIOD),
        )

    def _known_owners() -> list[str]:
        actor = current_actor()
        return owners.list_owners() if actor.is_admin else sorted(actor.owner_ids)

    @blueprint.get("/api/tokens/dashboard")
    @require_signed_in(Scope.TOKENS_READ)
    def index() -> ResponseReturnValue:
        # The rest of a pasted token is its secret, which must not reach a page or a query.
        search = public_part(request.args.get("q", "").strip()[:100])
        include_revoked = request.args.get("revoked") == "1"
        cursor = request.args.get("cursor") or None
        standing = _standing(request.args.get("standing"))
        actor = current_actor()
        page = service.list_tokens(
            actor,
            include_revoked=include_revoked,
            search=search or None,
            standing=standing,
            limit=TOKENS_PER_PAGE,
            cursor=cursor,
        )
        kept: dict[str, Any] = {"q": search or None, "revoked": "1" if include_revoked else None, "standing": standing}
        views = [_make_view(token, large=False) for token in page.tokens]
        return render_template(
            "tokens/tokens.html",
            views=views,
            can_revoke_any=any(view.can_revoke for view in views),
            standing=standing,
            standings=STANDINGS,
            reached=list_reached(actor.visible_owners),
            search=search,
            include_revoked=include_revoked,
            cursor=cursor,
            owners=None if actor.is_admin else sorted(actor.owner_ids),
            may_create=actor.holds(Scope.TOKENS_WRITE) and (actor.is_admin or bool(actor.owner_ids)),
            first_page=url_for("dashboard.index", **kept),
            next_page=url_for("dashboard.index", cursor=page.next_cursor, **kept) if page.next_cursor else None,
        )

    @blueprint.get("/dashboard/tokens/new")
    @require_signed_in(Scope.TOKENS_WRITE)
    def new() -> ResponseReturnValue:
        known_owners = _known_owners()
        return _creation_form(TokenForm(user_id=usual_owner(known_owners)), known_owners)

    @blueprint.post("/dashboard/tokens")
    @require_signed_in(Scope.TOKENS_WRITE)
    def create() -> ResponseReturnValue:
        """The new token, which is shown only now, or the form with its errors."""
        if was_sent_before():
            return _send_to_list()
        form = TokenForm.from_request()
        count_creation()
        new_owner = None
        try:
            wrong = FieldErrors()
            wanted = form.as_new_token(wrong)
            if current_actor().is_admin and form.user_id not in ("", form.new_owner):
                with wrong.collected():
                    new_owner = None if owners.is_known(check_owner_id(form.user_id)) else form.user_id
            if new_owner is not None:
                wrong.add("user_id", f"“{new_owner}” is a new owner. Check how it is written, or confirm it here.")
            wrong.raise_found()
            issued = service.create_token(current_actor(), wanted)
        except (InvalidRequest, Forbidden) as error:
            return _creation_form(form, _known_owners(), error, new_owner=new_owner)
        return _show_once("Token created", issued)

    @blueprint.get("/dashboard/tokens/<token_id>")
    @require_signed_in(Scope.TOKENS_READ)
    def show(token_id: str) -> ResponseReturnValue:
        view = _view(token_id)  # the check that this person may see the token
        return render_template(
            "tokens/token.html",
            view=view,
            endpoints=show_endpoints(usage.requests_by_endpoint(token_id, CHART_DAYS), view.chart.total),
            refusals=audit.count_refusals(token_id),
            describe_refusal=describe_refusal,
            entries=audit.list_entries(current_actor(), AuditFilter(token=token_id), limit=ENTRIES_SHOWN).entries,
        )

    @blueprint.get("/dashboard/tokens/<token_id>/rotate")
    @require_signed_in(Scope.TOKENS_WRITE)
    def rotate_form(token_id: str) -> ResponseReturnValue:
        return _rotation_form(token_id)

    @blueprint.post("/dashboard/tokens/<token_id>/rotate")
    @require_signed_in(Scope.TOKENS_WRITE)
    def rotate(token_id: str) -> ResponseReturnValue:
        """The token that replaces the old one, which is shown only now."""
        if was_sent_before():
            return _send_to_list()
        count_creation()
        try:
            grace_seconds = read_seconds("grace_seconds", request.form.get("grace_seconds", DEFAULT_GRACE_PERIOD))
            issued = service.rotate_token(current_actor(), token_id, grace_seconds)
        except InvalidRequest as error:
            return _rotation_form(token_id, error)
        return _show_once("Token rotated", issued, grace_seconds)

    @blueprint.get("/dashboard/tokens/<token_id>/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke_form(token_id: str) -> ResponseReturnValue:
        view = _changeable_view(token_id)
        children = len(service.list_descendants(current_actor(), token_id))
        return render_template("tokens/revoke.html", view=view, children=children)

    @blueprint.post("/dashboard/tokens/<token_id>/revoke")
    @require_signed_in(Scope.TOKENS_WRITE)
    def revoke(token_id: str) -> ResponseReturnValue:
        title = _changeable_view(token_id).title
        service.revoke_token(current_actor(), token_id, cascade=request.form.get("cascade") == "1")
        flash(f"{title} is revoked.")
        return redirect(url_for("dashboard.index"))

    return blueprint


def _creation_form(
    form: TokenForm, known_owners: list[str], error: LetsTalkError | None = None, *, new_owner: str | None = None
) -> Response:
    """The form. `new_owner` asks whether this owner shall be created."""
    actor = current_actor()
    return form_response(
        "tokens/new.html",
        error,
        fields=FIELDS,
        form=form,
        submission=new_submission(),
        is_admin=actor.is_admin,
        owners=known_owners,
        new_owner=new_owner,
        bundles=offered(BUNDLES, actor.scopes),
        single_scopes=offered(SINGLE_SCOPES, actor.scopes),
        lifetimes=(*LIFETIMES, AT_A_TIME),
        messages=MESSAGES,
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
    flash("That form was sent already, and its token was shown. If you did not store the token, rotate it.")
    return redirect(url_for("dashboard.index"))


def _standing(text: str | None) -> Standing | None:
    """The filter of the list. Another text is none, as in an old link."""
    return Standing(text) if text in set(Standing) else None
