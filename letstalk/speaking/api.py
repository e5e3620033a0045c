"""`POST /calls/speak`: a call says a code that somebody else made, and will check."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, jsonify, request

from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.idempotency import read_idempotency_key
from letstalk.http.openapi import ApiRoutes, documents_errors, idempotent
from letstalk.speaking.schemas import (
    OutcomeRequest,
    SpeakRequest,
    SpeakResponse,
    SpokenCallPath,
    SpokenCallResponse,
    render_speak_accepted,
    render_spoken_call,
)
from letstalk.speaking.service import SpeakService


def make_blueprint(service: SpeakService) -> ApiRoutes:
    blueprint = ApiRoutes("speaking", "Speak", "Calls that say a code which your own system made.", "/calls")

    @blueprint.post("/speak", summary="Call a phone and say a code of yours", responses={202: SpeakResponse})
    @require(Scope.OTP_SPEAK)
    @idempotent
    @documents_errors(
        "invalid_phone", "destination_blocked", "resend_too_soon", "phone_limit", "destination_limit", "queue_full"
    )
    def speak_code(body: SpeakRequest) -> Response:
        """The same phone and code within 120 s is the same call, and gets the first response again."""
        key = read_idempotency_key(request.path, request.headers.get("Idempotency-Key"), request.get_json())
        accepted = service.speak(current_actor(), body.to_new_code(), key)
        response = jsonify(render_speak_accepted(accepted))
        response.status_code = HTTPStatus.ACCEPTED
        if not accepted.is_first_response:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @blueprint.post(
        "/<uuid:call_id>/outcome",
        summary="Report whether a spoken code was accepted",
        responses={200: SpokenCallResponse},
    )
    @require(Scope.OTP_SPEAK)
    @documents_errors("not_found", "already_approved")
    def report_outcome(path: SpokenCallPath, body: OutcomeRequest) -> Response:
        """An approval ends the call, and is final. The limits learn from it which numbers nobody answers for."""
        return jsonify(
            render_spoken_call(service.report_outcome(current_actor(), str(path.call_id), approved=body.approved))
        )

    return blueprint
