"""Where a telephony provider tells what happens to calls: checked, kept, answered, and only then acted upon."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag

from letstalk.domain.errors import InvalidSignature
from letstalk.web.container import services
from letstalk.web.guards import remote_address, signature_checked
from letstalk.web.limits import request_limits
from letstalk.web.schemas.base import Answer, error_answer

webhooks = APIBlueprint("webhooks", __name__, url_prefix="/api/webhooks", abp_tags=[Tag(name="Webhooks")])


class ReceivedAnswer(Answer):
    received: bool


@webhooks.post(
    "/telnyx",
    summary="Receive a Telnyx event",
    responses={
        200: ReceivedAnswer,
        400: error_answer("invalid_request", description="Signed, but no event."),
        403: error_answer("invalid_signature", description="Forged, stale or unsigned."),
    },
)
@signature_checked
def telnyx() -> Response:
    """Signed by Telnyx with Ed25519 (`telnyx-signature-ed25519`, `telnyx-timestamp`); each event id counts once."""
    try:
        services().events.receive_webhook({name.lower(): value for name, value in request.headers}, request.get_data())
    except InvalidSignature:
        # Only what is not signed counts against its address: Telnyx may send as much as it likes.
        request_limits().check_address(remote_address())
        raise
    return jsonify(received=True)
