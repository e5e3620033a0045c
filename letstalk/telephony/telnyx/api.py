"""Where a telephony provider tells what happens to calls: checked, kept, answered, and only then acted upon."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag

from letstalk.core.errors import InvalidSignature
from letstalk.http.container import services
from letstalk.http.guards import signature_checked
from letstalk.http.openapi import refuses
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import ResponseModel, with_example

EXAMPLE_EVENT = {
    "data": {
        "record_type": "event",
        "event_type": "call.answered",
        "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        "occurred_at": "2026-11-20T10:00:07.000000Z",
        "payload": {"call_control_id": "v3:cB2s…", "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"},
    }
}

TAG = Tag(name="Webhooks", description="Where a telephony provider tells what happens to calls.")

webhooks = APIBlueprint("webhooks", __name__, url_prefix="/api/webhooks", abp_tags=[TAG])

EVENT_BODY: dict[str, Any] = {
    "description": "Telnyx's event, signed as these very bytes.",
    "required": True,
    "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE_EVENT}},
}


class ReceivedAnswer(ResponseModel):
    """Kept, and acted upon soon. Also for an event that came before."""

    model_config = with_example({"received": True})

    received: Literal[True]


@webhooks.post(
    "/telnyx",
    summary="Receive a Telnyx event",
    responses={200: ReceivedAnswer},
    openapi_extensions={"requestBody": EVENT_BODY},
)
@signature_checked
@refuses("invalid_request", "invalid_signature", "too_large")
def receive_telnyx_event() -> Response:
    """Signed by Telnyx with Ed25519 (`telnyx-signature-ed25519`, `telnyx-timestamp`); each event id counts once."""
    try:
        services().events.receive_webhook({name.lower(): value for name, value in request.headers}, request.get_data())
    except InvalidSignature:
        # Only what is not signed counts against its address: Telnyx may send as much as it likes.
        request_limits().check_address(request.environ)
        raise
    return jsonify(received=True)
