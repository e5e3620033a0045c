"""Probes and metrics."""

from __future__ import annotations

from typing import Literal

from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.core.clock import iso_utc
from letstalk.core.errors import Unavailable
from letstalk.core.scopes import Scope
from letstalk.http.guards import metrics_reader, require, unlimited
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import PATTERN_MESSAGES, JsonResponse, Query, ResponseModel, Timestamp, with_example
from letstalk.operations.checks import READY_PARTS, CheckState
from letstalk.operations.health import HealthService
from letstalk.operations.inspection import InspectionService, TrunkStatus
from letstalk.operations.public_address import MARKER_PATTERN, PublicAddress


def make_blueprint(health: HealthService, inspections: InspectionService, address: PublicAddress) -> ApiRoutes:
    blueprint = ApiRoutes("health", "Operations", "For operators.")

    @blueprint.get("/health", summary="Is the process alive?", responses={200: HealthResponse})
    @unlimited
    def get_health(query: HealthQuery) -> Response:
        """Checks only the process itself."""
        if query.marker is None:
            return jsonify(status="ok")
        return jsonify(status="ok", proof=address.prove(query.marker))

    @blueprint.get("/api/health", doc_ui=False)
    @unlimited
    def get_health_below_api() -> Response:
        """The same, where many look for it first."""
        return jsonify(status="ok")

    @blueprint.get("/health/ready", summary="Can it do its work?", responses={200: ReadyResponse})
    @unlimited
    @documents_errors("not_ready")
    def get_readiness() -> Response:
        """Checks the database, the migrations, the worker and the queue. A 503 gives the reason."""
        result = health.check()
        if not result.is_ready:
            raise Unavailable(result.first_problem, code="not_ready", retry_after_seconds=5)
        return jsonify(status="ready", checks=dict.fromkeys(READY_PARTS, "ok"))

    @blueprint.get("/api/sip/status", summary="The way to the phones", responses={200: TrunkResponse})
    @require(Scope.ADMIN, browser=True)
    def get_trunk_status() -> JsonResponse:
        """Channels and live calls, and what the provider says about credentials and connection, asked once a minute."""
        return TrunkResponse.of(inspections.find_trunk_status()).model_dump()

    @blueprint.get(
        "/metrics",
        summary="Prometheus metrics",
        responses={200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    @metrics_reader
    def get_metrics() -> Response:
        """From loopback, or with an `admin` token. It contains no phone, token or code."""
        return Response(health.metrics_page(), content_type=CONTENT_TYPE_LATEST)

    return blueprint


PATTERN_MESSAGES[MARKER_PATTERN] = "must be 16 to 64 of A-Z, a-z, 0-9, _ and -"


class HealthQuery(Query):
    # Probes may add what they like.
    model_config = ConfigDict(extra="ignore")

    marker: str | SkipJsonSchema[None] = Field(
        None, max_length=64, pattern=MARKER_PATTERN, description="Random text. The response then has `proof`."
    )


class HealthResponse(ResponseModel):
    """The process is alive."""

    model_config = with_example({"status": "ok"})

    status: Literal["ok"]
    proof: str | SkipJsonSchema[None] = Field(
        None, description="Only with `marker`: what this installation makes of it, and no other can."
    )


class ReadyResponse(ResponseModel):
    """Everything that the service needs works."""

    model_config = with_example({"status": "ready", "checks": dict.fromkeys(READY_PARTS, "ok")})

    status: Literal["ready"]
    checks: dict[str, Literal["ok"]]


class FindingResponse(ResponseModel):
    """What the provider said about one thing, in sentences for an operator."""

    state: CheckState = Field(description="`pending`: the provider has not answered yet. `off`: it needs none.")
    finding: str
    remedy: str | None = Field(description="What to do. Null if nothing is wrong.")


class TrunkResponse(ResponseModel):
    """The way to the phones, over all instances."""

    model_config = with_example(
        {
            "provider": "telnyx",
            "simulated": False,
            "channels": 10,
            "live_calls": 3,
            "waiting_calls": 0,
            "credentials": {"state": "ok", "finding": "Telnyx accepts the API key.", "remedy": None},
            "connection": {
                "state": "ok",
                "finding": "The call control application exists and is switched on.",
                "remedy": None,
            },
            "checked_at": "2026-11-20T17:00:00.000Z",
        }
    )

    provider: str
    simulated: bool = Field(description="Whether calls go to the simulator: no phone rings.")
    channels: int = Field(description="Calls that may be live at the same time: MAX_CONCURRENT_CALLS.")
    live_calls: int
    waiting_calls: int = Field(description="Calls that wait for a channel.")
    credentials: FindingResponse
    connection: FindingResponse
    checked_at: Timestamp = Field(description="When the provider was last asked.")

    @classmethod
    def of(cls, status: TrunkStatus) -> TrunkResponse:
        credentials, connection = (
            FindingResponse(state=result.state, finding=result.measure, remedy=result.remedy or None)
            for result in (status.credentials, status.connection)
        )
        return cls(
            provider=status.provider,
            simulated=status.is_simulated,
            channels=status.calls.channels,
            live_calls=status.calls.live,
            waiting_calls=status.calls.waiting,
            credentials=credentials,
            connection=connection,
            checked_at=iso_utc(status.checked_at),
        )
