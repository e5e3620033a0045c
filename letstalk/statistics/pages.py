"""The Overview: what needs attention, what happens now, and how verifications went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.actors import Actor
from letstalk.core.attention import Attention, AttentionSource
from letstalk.core.clock import Clock
from letstalk.core.errors import NotGranted
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, public, require_signed_in
from letstalk.http.navigation import navigation_for
from letstalk.http.timestamps import exact_time
from letstalk.statistics.models import DAY, Selection
from letstalk.statistics.service import Figured, StatisticsService
from letstalk.statistics.views import Span, in_seconds, percent, show_figures
from letstalk.tokens.models import Token
from letstalk.tokens.service import MAX_PAGE, TokenService

DEFAULT_SPAN = Span.DAY


@dataclass(frozen=True, slots=True)
class Filters:
    """What is shown: of which time, owner and token. The owner is that of the token where there is one."""

    span: Span
    owner_id: str | None
    token: Token | None
    selection: Selection

    def as_query(self) -> dict[str, Any]:
        token_id = None if self.token is None else self.token.token_id
        return {"period": self.span.value, "owner": self.owner_id, "token": token_id}

    @property
    def of_list(self) -> dict[str, str]:
        """The same filters for the list of verifications, where an empty one is left out."""
        token_id = None if self.token is None else self.token.token_id
        named = {"span": self.span.value, "owner": self.owner_id, "token": token_id}
        return {name: value for name, value in named.items() if value}


def make_blueprint(
    statistics: StatisticsService,
    tokens: TokenService,
    list_owners: Callable[[], Sequence[str]],
    attention: Sequence[AttentionSource],
    clock: Clock,
) -> Blueprint:
    """`list_owners` returns the owners that exist, for those who may see all. `attention` is what each feature adds."""
    pages = Blueprint("overview", __name__)

    @pages.get("/")
    @public
    def home() -> ResponseReturnValue:
        return redirect(url_for("overview.show"))

    @pages.get("/dashboard")
    @require_signed_in(Scope.CALLS_READ)
    def show() -> ResponseReturnValue:
        actor = current_actor()
        filters = _read_filters(actor, tokens)
        owners = list_owners() if actor.is_admin else sorted(actor.owner_ids)
        figured = _read(statistics, filters, clock)
        return render_template(
            "statistics/overview.html",
            filters=filters,
            view=show_figures(figured, filters.span),
            spans=[(span.label, _address(filters, span), span is filters.span) for span in Span],
            longer=_address(filters, filters.span.longer) if filters.span.longer else None,
            owners=owners,
            choosable_tokens=_list_tokens(actor, filters, tokens),
            is_new=not statistics.has_any(Selection(actor.visible_owners)),
            offered=_offered_paths(actor),
            start_label=exact_time(figured.start),
            **_live(actor, filters),
        )

    @pages.get("/dashboard/live")
    @require_signed_in(Scope.CALLS_READ)
    def live() -> ResponseReturnValue:
        """The part of the page that a script renews: what needs attention, and this moment."""
        actor = current_actor()
        return render_template("statistics/live.html", **_live(actor, _read_filters(actor, tokens)))

    def _live(actor: Actor, filters: Filters) -> dict[str, Any]:
        now = statistics.read_now(filters.selection)
        return {
            "attention": _list_attention(actor, attention),
            "now": now,
            "today_share": percent(now.today.funnel.approved, now.today.finished),
            "longest_wait": in_seconds(now.longest_wait_seconds),
        }

    return pages


def _list_attention(actor: Actor, sources: Sequence[AttentionSource]) -> list[Attention]:
    """What is urgent first, else in the order of the sources."""
    found = [one for source in sources for one in source(actor)]
    return sorted(found, key=lambda one: not one.is_urgent)


def _read_filters(actor: Actor, tokens: TokenService) -> Filters:
    """Raises NotGranted for an owner and NotFound for a token that the actor may not see."""
    period = request.args.get("period", "")
    span = Span(period) if period in set(Span) else DEFAULT_SPAN
    owner_id = request.args.get("owner", "").strip() or None
    token_id = request.args.get("token", "").strip() or None
    if owner_id is not None and not actor.reaches(owner_id):
        raise NotGranted("Your account was not granted this user_id.")
    token = None if token_id is None else tokens.get_token(actor, token_id)
    if token is not None and owner_id not in (None, token.owner_id):
        token = None  # another owner was chosen: the token of the one before is none of theirs
    if token is not None:
        return Filters(span, token.owner_id, token, Selection(frozenset({token.owner_id}), token.token_id))
    owner_ids = actor.visible_owners if owner_id is None else frozenset({owner_id})
    return Filters(span, owner_id, None, Selection(owner_ids))


def _read(statistics: StatisticsService, filters: Filters, clock: Clock) -> Figured:
    if filters.span is Span.HOUR:
        return statistics.read_last_hour(filters.selection)
    now = clock()
    return statistics.read(filters.selection, filters.span.start(now), now + DAY, filters.span.period)


def _list_tokens(actor: Actor, filters: Filters, tokens: TokenService) -> list[Token]:
    """The newest tokens of the one owner whose figures are shown, to choose from."""
    owner_ids = filters.selection.owner_ids
    if owner_ids is None or len(owner_ids) != 1 or not actor.holds(Scope.TOKENS_READ):
        return []
    (owner_id,) = owner_ids
    found = list(tokens.list_tokens(actor, owner_id=owner_id, include_revoked=True, limit=MAX_PAGE).tokens)
    is_missing = filters.token is not None and filters.token.token_id not in {token.token_id for token in found}
    return [filters.token, *found] if filters.token is not None and is_missing else found


def _address(filters: Filters, span: Span) -> str:
    return url_for("overview.show", **{**filters.as_query(), "period": span.value})


def _offered_paths(actor: Actor) -> frozenset[str]:
    """The pages that this installation has for the actor."""
    return navigation_for(actor).paths
