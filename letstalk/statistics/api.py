"""`/api/stats`: figures of an owner's verifications."""

from __future__ import annotations

from letstalk.core.clock import Clock
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.openapi import ApiRoutes
from letstalk.http.schemas import JsonResponse
from letstalk.statistics.breakdowns import By, choose_window
from letstalk.statistics.models import Selection
from letstalk.statistics.schemas import (
    RealtimeResponse,
    StatisticsQuery,
    StatisticsResponse,
    render_now,
    render_statistics,
)
from letstalk.statistics.service import StatisticsService


def make_blueprint(statistics: StatisticsService, clock: Clock) -> ApiRoutes:
    blueprint = ApiRoutes("stats", "Statistics", "How your verifications went.", "/api/stats")

    @blueprint.get("/realtime", summary="This moment and today", responses={200: RealtimeResponse})
    @require(Scope.CALLS_READ)
    def get_realtime_statistics() -> JsonResponse:
        """Your live and waiting calls, and the figures of this day (UTC). The newest are at most 3 seconds old."""
        return render_now(statistics.read_now(_own()))

    @blueprint.get("", summary="Figures over time", responses={200: StatisticsResponse})
    @require(Scope.CALLS_READ)
    def get_statistics(query: StatisticsQuery) -> JsonResponse:
        """How far your verifications came, and why not further. The figures outlive the verifications themselves."""
        window = choose_window(query.start, query.end, query.by, clock())
        figured = statistics.read(_own(), window.start, window.end, window.period, is_by_token=query.by is By.TOKEN)
        return render_statistics(figured, query.by)

    return blueprint


def _own() -> Selection:
    return Selection(frozenset({current_actor().owner_id}))
