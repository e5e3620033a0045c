"""The dashboard's pages about API tokens: listing, creating, rotating and revoking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.actors import CustomMessage
from letstalk.core.clock import utc_now
from letstalk.core.errors import Forbidden, InsufficientScope, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope, expand_scopes
from letstalk.http.forms import form_response, keep_submission, new_submission, was_sent_before
from letstalk.http.guards import current_actor, public, require_signed_in
from letstalk.http.rate_limits import request_limits
from letstalk.tokens.delegation import creator_of, may_manage
from letstalk.tokens.models import IssuedToken, NewToken, Token, public_part
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter
from letstalk.tokens.views import CHART_DAYS, TokenView, make_example, show_token

TOKENS_PER_PAGE = 25
DAY_SECONDS = 86400

BUNDLES = (
    ("read", "See verifications and their calls."),
    ("write", "Send, verify, replay and cancel codes."),
    ("admin", "Everything, for the tokens of all owners. Only for your own tools."),
)
SINGLE_SCOPES = (
    (Scope.CALLS_READ.value, "See verifications and their calls."),
    (Scope.OTP_SEND.value, "Call a phone with a code."),
    (Scope.OTP_VERIFY.value, "Check a code."),
    (Scope.OTP_REPLAY.value, "Call again with the same code."),
    (Scope.CALLS_CANCEL.value, "End a verification and its call."),
    (Scope.TOKENS_READ.value, "See tokens."),
    (Scope.TOKENS_WRITE.value, "Create, change, rotate and revoke tokens."),
    (Scope.TEST_NUMBERS_WRITE.value, "See and manage test numbers, with their codes."),
)
LIFETIMES = (
    ("", "Never"),
    (str(7 * DAY_SECONDS), "In 7 days"),
    (str(30 * DAY_SECONDS), "In 30 days"),
    (str(90 * DAY_SECONDS), "In 90 days"),
    (str(365 * DAY_SECONDS), "In a year"),
)
GRACE_PERIODS = (
    ("0", "Not at all: it is refused immediately"),
    ("3600", "1 hour"),
    (str(DAY_SECONDS), "1 day"),
    (str(7 * DAY_SECONDS), "7 days"),
)
DEFAULT_GRACE_PERIOD = "3600"
TEXT_FIELDS = ("name", "user_id", "expires_in", "allowed_ips", "rate_limit", "custom_message")


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The form for a new token, as it was filled in: a rejected form is shown again with its values."""

    name: str = ""
    user_id: str = "default_user"
    scopes: tuple[str, ...] = ("read", "write")
    expires_in: str = ""
    allowed_ips: str = ""
    rate_limit: str = ""
    custom_message: str = ""

    @classmethod
    def from_request(cls) -> TokenForm:
        texts = {name: request.form.get(name, "").strip() for name in TEXT_FIELDS}
        return cls(scopes=tuple(dict.fromkeys(request.form.getlist("scopes"))), **texts)

    @property
    def has_single_scopes(self) -> bool:
        return any(name in dict(SINGLE_SCOPES) for name in self.scopes)

    def as_new_token(self) -> NewToken:
        """Raises InvalidRequest for a lifetime that is not a number. The service checks the other fields."""
        return NewToken(
            owner_id=self.user_id or None,
            scopes=self.scopes,
            name=self.name or None,
            expires_in_seconds=_read_seconds("expires_in", self.expires_in) if self.expires_in else None,
            allowed_ips=tuple(self.allowed_ips.replace(",", " ").split()) or None,
            rate_limit=self.rate_limit or None,
            custom_message=_read_custom_message(self.custom_message),
        )


def make_blueprint(
    service: TokenService, usage: UsageCounter, list_reached: Callable[[frozenset[str] | None], Sequence[object]]
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

    @blueprint.get("/")
    @public
    def home() -> ResponseReturnValue:
        return redirect(url_for("dashboard.index"))

    @blueprint.get("/api/tokens/dashboard")
    @require_signed_in(Scope.TOKENS_READ)
    def index() -> ResponseReturnValue:
        # The rest of a pasted token is its secret, which must not reach a page or a query.
        search = public_part(request.args.get("q", "").strip()[:100])
        include_revoked = request.args.get("revoked") == "1"
        cursor = request.args.get("cursor") or None
        actor = current_actor()
        page = service.list_tokens(
            actor, include_revoked=include_revoked, search=search or None, limit=TOKENS_PER_PAGE, cursor=cursor
        )
        kept: dict[str, Any] = {"q": search or None, "revoked": "1" if include_revoked else None}
        return render_template(
            "tokens/tokens.html",
            views=[_make_view(token, large=False) for token in page.tokens],
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
        return _creation_form(TokenForm())

    @blueprint.post("/dashboard/tokens")
    @require_signed_in(Scope.TOKENS_WRITE)
    def create() -> ResponseReturnValue:
        """The new token, which is shown only now, or the form with its errors."""
        if was_sent_before():
            return _send_to_list()
        form = TokenForm.from_request()
        _count_creation()
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
        """The token that replaces the old one, which is shown only now."""
        if was_sent_before():
            return _send_to_list()
        _count_creation()
        try:
            grace_seconds = _read_seconds("grace_seconds", request.form.get("grace_seconds", DEFAULT_GRACE_PERIOD))
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


def _count_creation() -> None:
    request_limits().check_token_creation(request.environ, creator_of(current_actor()))


def _creation_form(form: TokenForm, error: LetsTalkError | None = None) -> Response:
    actor = current_actor()
    return form_response(
        "tokens/new.html",
        error,
        fields=(*TEXT_FIELDS, "scopes"),
        form=form,
        submission=new_submission(),
        owners=None if actor.is_admin else sorted(actor.owner_ids),
        bundles=_offered(BUNDLES, actor.scopes),
        single_scopes=_offered(SINGLE_SCOPES, actor.scopes),
        lifetimes=LIFETIMES,
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


def _offered(choices: tuple[tuple[str, str], ...], held: frozenset[Scope]) -> list[tuple[str, str]]:
    """The `choices` that a person with the scopes `held` may give."""
    return [(name, meaning) for name, meaning in choices if expand_scopes([name]) <= held]


def _read_custom_message(value: str) -> CustomMessage | None:
    """Raises InvalidRequest unless `value` is one of the options. An empty one is the default."""
    if value not in ("", *CustomMessage):
        raise InvalidRequest.in_field("custom_message", "Choose one of the options.")
    return CustomMessage(value) if value else None


def _read_seconds(field: str, value: str) -> int:
    """Raises InvalidRequest unless `value` is a whole number of at most nine digits."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest.in_field(field, "Choose one of the options.")
    return int(value)
