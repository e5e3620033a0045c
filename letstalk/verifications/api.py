"""`/calls`: sending a code by a call, checking it, and looking at verifications."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Response, jsonify, request

from letstalk.core.actors import Actor
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.core.errors import NotFound
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.idempotency import IdempotencyKey, read_idempotency_key
from letstalk.http.openapi import ApiRoutes, documents_errors, idempotent
from letstalk.observability.request_log import add_to_request_line
from letstalk.speaking.schemas import render_spoken_call
from letstalk.verifications.models import CallAccepted, CallHistory, VerificationHistory, VerificationStatus
from letstalk.verifications.schemas import (
    CallPath,
    ListQuery,
    ReplayRequest,
    SendRequest,
    SendResponse,
    VerificationListResponse,
    VerificationOrCall,
    VerificationResponse,
    VerifyRequest,
    VerifyResponse,
    render_accepted,
    render_approval,
    render_summary,
)

if TYPE_CHECKING:
    from letstalk.speaking.service import SpeakService
    from letstalk.verifications.sends import SendService
    from letstalk.verifications.service import VerificationService

IS_REPLAYED = ("Idempotent-Replayed", "true")


def make_blueprint(sends: SendService, verifications: VerificationService, speaking: SpeakService) -> ApiRoutes:
    blueprint = ApiRoutes("calls", "Calls", "Calling phones, checking what was heard, seeing what happened.", "/calls")

    @blueprint.post("/otp", summary="Call a phone and read it a code", responses={202: SendResponse})
    @require(Scope.OTP_SEND)
    @idempotent
    @documents_errors(
        "invalid_phone",
        "destination_blocked",
        "message_not_allowed",
        "resend_too_soon",
        "phone_limit",
        "destination_limit",
        "too_many_sessions",
        "too_many_failures",
        "queue_full",
    )
    def send_otp(body: SendRequest) -> Response:
        """The phone rings, a voice reads the code. A newer code takes the place of one that the same session awaits."""
        return _respond(send(sends, current_actor(), body, _idempotency_key()))

    @blueprint.post("/verify", summary="Check a code", responses={200: VerifyResponse})
    @require(Scope.OTP_VERIFY)
    @documents_errors("invalid_code", "invalid_phone", "no_pending_verification", *OVER, "too_many_failures")
    def verify_code(body: VerifyRequest) -> Response:
        """A code is accepted once. Five wrong codes end the verification. Ten in an hour block phone and session."""
        return _respond(check(verifications, current_actor(), body))

    @blueprint.post("/replay", summary="Have the same code spoken again", responses={202: SendResponse})
    @require(Scope.OTP_REPLAY)
    @idempotent
    @documents_errors(
        "invalid_phone",
        "no_pending_verification",
        "replays_exhausted",
        *OVER,
        "replay_too_soon",
        "phone_limit",
        "destination_limit",
        "too_many_failures",
        "queue_full",
    )
    def replay_otp(body: ReplayRequest) -> Response:
        """In the call that is still on the line, else in a new one. The code and its expiry stay the same."""
        return _respond(replay(sends, verifications, current_actor(), body, _idempotency_key()))

    def render_history(history: VerificationHistory) -> Response:
        spoken_locale = verifications.spoken_locale(history.verification)
        summary = render_summary(history.verification, history.status, spoken_locale)
        return jsonify({**summary, "calls": [_render_call(item) for item in history.calls]})

    @blueprint.get("", summary="List verifications", responses={200: VerificationListResponse})
    @require(Scope.CALLS_READ)
    @documents_errors("invalid_phone")
    def list_verifications(query: ListQuery) -> Response:
        """Newest first, your own `user_id`'s only."""
        page = verifications.list_verifications(
            current_actor(), limit=query.limit, cursor=query.cursor, **query.to_filter()
        )
        summaries = [
            render_summary(verification, status, verifications.spoken_locale(verification))
            for verification, status in page.verifications
        ]
        return jsonify(verifications=summaries, next_cursor=page.next_cursor)

    @blueprint.get(
        "/<uuid:verification_id>",
        summary="Get a verification and its calls, or a call that spoke a code of yours",
        responses={200: VerificationOrCall},
    )
    @require(Scope.CALLS_READ)
    @documents_errors("not_found")
    def get_verification(path: CallPath) -> Response:
        """By the id of a verification or of any call. With what happened in each call, and why it ended."""
        actor, any_id = current_actor(), str(path.verification_id)
        try:
            return render_history(verifications.get_verification(actor, any_id))
        except NotFound as error:
            try:
                return jsonify(render_spoken_call(speaking.get_call(actor, any_id)))
            except NotFound:
                raise error from None

    @blueprint.post(
        "/<uuid:verification_id>/cancel", summary="Cancel a verification", responses={200: VerificationResponse}
    )
    @require(Scope.CALLS_CANCEL)
    @documents_errors("not_found", "not_pending")
    def cancel_verification(path: CallPath) -> Response:
        """Its code is dead at once; a waiting call is dropped, a live one hung up."""
        return render_history(verifications.cancel_verification(current_actor(), str(path.verification_id)))

    return blueprint


class Reply(NamedTuple):
    """A response that is not yet a Flask response."""

    status: HTTPStatus
    content: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


OVER = (
    "code_expired",
    "code_used",
    "attempts_exceeded",
    "verification_canceled",
    "verification_superseded",
    "verification_failed",
)


def send(service: SendService, actor: Actor, body: SendRequest, idempotency: IdempotencyKey | None) -> Reply:
    """The response to `POST /calls/otp`. Raises what `SendService.start` raises."""
    accepted = service.start(actor, body.to_new_verification(), idempotency)
    if accepted.is_test:
        return _accepted(accepted, f"{accepted.phone} is a test number: no call was placed.")
    return _accepted(accepted, f"{accepted.phone} is being called.")


def check(service: VerificationService, actor: Actor, body: VerifyRequest) -> Reply:
    """The response to `POST /calls/verify`. Raises what `VerificationService.check_code` raises."""
    ref = service.make_ref(actor, phone=body.phone, verification_id=body.verification_id, session=body.session)
    approval = service.check_code(actor, ref, body.code)
    # A line of its own would cost a tenth of the check.
    add_to_request_line(verification_id=approval.pending.verification_id, ended_as=VerificationStatus.APPROVED.value)
    return Reply(HTTPStatus.OK, render_approval(approval))


def replay(
    sends: SendService,
    verifications: VerificationService,
    actor: Actor,
    body: ReplayRequest,
    idempotency: IdempotencyKey | None,
) -> Reply:
    """The response to `POST /calls/replay`. Raises what `SendService.replay` raises."""
    ref = verifications.make_ref(actor, phone=body.phone, verification_id=body.verification_id, session=body.session)
    accepted = sends.replay(actor, ref, idempotency)
    return _accepted(accepted, f"{accepted.phone} will hear the code again.")


def _idempotency_key() -> IdempotencyKey | None:
    return read_idempotency_key(request.path, request.headers.get("Idempotency-Key"), request.get_json())


def _accepted(accepted: CallAccepted, message: str) -> Reply:
    content = render_accepted(accepted, message)
    return Reply(HTTPStatus.ACCEPTED, content, () if accepted.is_first_response else (IS_REPLAYED,))


def _respond(reply: Reply) -> Response:
    response = jsonify(reply.content)
    response.status_code = reply.status
    response.headers.extend(reply.headers)
    return response


def _render_call(item: CallHistory) -> dict[str, Any]:
    call = item.call
    return {
        "call_id": call.call_id,
        "status": call.status.value,
        "reason": call.reason,
        "created_at": iso_utc(call.created_at),
        "ended_at": iso_utc_or_none(call.ended_at),
        "events": [{"at": iso_utc(at), "type": type_} for at, type_ in item.events],
    }
