"""`POST /connect/<kind>/<key>`: where connected systems hand over their codes. Answers are in the kind's own form."""

from __future__ import annotations

from flask import Blueprint, Response, request

from letstalk.connect.models import TOO_MANY
from letstalk.connect.receiving import HookRequest, HookService
from letstalk.core.errors import TooManyRequests
from letstalk.http.errors import record_refusal
from letstalk.http.guards import remote_address, signature_checked
from letstalk.http.rate_limits import request_limits
from letstalk.observability.metrics import hook_requests_total


class _RequestCounter:
    """Counts the present request: by its address, or by the connection that it is known to come from."""

    def count_stranger(self) -> None:
        request_limits().check_address(request.environ)

    def count_connection(self, connection_id: str) -> None:
        try:
            request_limits().check_token(request.environ, connection_id, None)
        except TooManyRequests as error:  # the user of the other system may read it, and knows of no token
            raise TooManyRequests(TOO_MANY, retry_after_seconds=error.retry_after_seconds) from None


def make_blueprint(hooks: HookService) -> Blueprint:
    blueprint = Blueprint("connect_hooks", __name__)
    counter = _RequestCounter()

    @blueprint.post("/connect/<kind>/<address_key>")
    @signature_checked
    def receive(kind: str, address_key: str) -> Response:
        headers = {name.lower(): value for name, value in request.headers}
        received = HookRequest(headers, request.get_data(), remote_address())
        answer = hooks.receive(kind, address_key, received, counter)
        # Not among the refusals of our API: an alert there means that somebody forges events of calls.
        hook_requests_total.labels(kind, answer.delivery.outcome.value).inc()
        if answer.error is not None:
            record_refusal(answer.error)
        response = Response(answer.reply.body, answer.reply.status, content_type=answer.reply.content_type)
        response.headers["Cache-Control"] = "no-store"
        if answer.reply.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(answer.reply.retry_after_seconds)
        return response

    return blueprint
