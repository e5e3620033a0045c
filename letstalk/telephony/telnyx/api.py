"""The route for Telnyx's webhooks."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response, jsonify, request

from letstalk.core.errors import InvalidSignature
from letstalk.http.guards import signature_checked
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import ResponseModel, with_example
from letstalk.telephony.events import ReceiveWebhook, WebhookRequest
from letstalk.telephony.telnyx.provider import WEBHOOK_PATH

EXAMPLE_EVENT = {
    "data": {
        "record_type": "event",
        "event_type": "call.answered",
        "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        "occurred_at": "2026-11-20T10:00:07.000000Z",
        "payload": {"call_control_id": "v3:cB2s…", "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"},
    }
}

EVENT_BODY: dict[str, Any] = {
    "description": "An event in Telnyx's format. The signature is over exactly these bytes.",
    "required": True,
    "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE_EVENT}},
}


class ReceivedResponse(ResponseModel):
    """The event is stored and will be processed soon. The response to a repeated event is the same."""

    model_config = with_example({"received": True})

    received: Literal[True]


def make_blueprint(receive: ReceiveWebhook) -> ApiRoutes:
    """The route, which hands each request to `receive`."""
    blueprint = ApiRoutes("telnyx_webhooks", "Webhooks", "Where a telephony provider reports what happens to calls.")

    @blueprint.post(
        WEBHOOK_PATH,
        summary="Receive a Telnyx event",
        responses={200: ReceivedResponse},
        openapi_extensions={"requestBody": EVENT_BODY},
    )
    @signature_checked
    @documents_errors("invalid_request", "invalid_signature", "too_large")
    def receive_telnyx_event() -> Response:
        """Telnyx signs with Ed25519 (`telnyx-signature-ed25519`, `telnyx-timestamp`). Each event id counts once."""
        headers = {name.lower(): value for name, value in request.headers}
        try:
            receive(WebhookRequest(request.method, request.url, headers, request.get_data()))
        except InvalidSignature:
            # Only unsigned requests count against their address: Telnyx may send as many events as it needs to.
            request_limits().check_address(request.environ)
            raise
        return jsonify(received=True)

    return blueprint
