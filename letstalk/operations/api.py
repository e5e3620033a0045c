"""Probes and metrics."""

from __future__ import annotations

from typing import Literal

from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from letstalk.core.errors import Unavailable
from letstalk.http.guards import metrics_reader, unlimited
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import ResponseModel, with_example
from letstalk.operations.health import PARTS, HealthService


def make_blueprint(health: HealthService) -> ApiRoutes:
    blueprint = ApiRoutes("health", "Operations", "For operators.")

    @blueprint.get("/health", summary="Is the process alive?", responses={200: HealthResponse})
    @unlimited
    def get_health() -> Response:
        """Checks only the process itself."""
        return jsonify(status="ok")

    @blueprint.get("/api/health", doc_ui=False)
    @unlimited
    def get_health_below_api() -> Response:
        """The same, where many look for it first."""
        return get_health()

    @blueprint.get("/health/ready", summary="Can it do its work?", responses={200: ReadyResponse})
    @unlimited
    @documents_errors("not_ready")
    def get_readiness() -> Response:
        """Checks the database, the migrations, the worker and the queue. A 503 gives the reason."""
        result = health.check()
        if not result.is_ready:
            raise Unavailable(result.first_problem, code="not_ready", retry_after_seconds=5)
        return jsonify(status="ready", checks=result.checks)

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


class HealthResponse(ResponseModel):
    """The process is alive."""

    model_config = with_example({"status": "ok"})

    status: Literal["ok"]


class ReadyResponse(ResponseModel):
    """Everything that the service needs works."""

    model_config = with_example({"status": "ready", "checks": dict.fromkeys(PARTS, "ok")})

    status: Literal["ready"]
    checks: dict[str, Literal["ok"]]
