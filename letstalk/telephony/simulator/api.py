"""What a simulated call said, for the tests of apps on a developer's own machine."""

from __future__ import annotations

from typing import Literal

from flask import Response, jsonify
from pydantic import Field

from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.http.guards import this_machine
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import Query, ResponseModel, with_example
from letstalk.telephony.simulator.phone import SimulatedPhone
from letstalk.telephony.simulator.views import DescribeCalls

EXAMPLE_CALL_ID = "019a2f6e-8c21-7d3a-9f55-2b7c4d5e6f70"


class SimulatedCallPath(Query):
    call_id: str = Field(max_length=36)


class SimulatedCallResponse(ResponseModel):
    """A call to the simulator's phone."""

    model_config = with_example(
        {
            "call_id": EXAMPLE_CALL_ID,
            "state": "ended",
            "text": "Hello. This is Let's Talk. Your code is: 0 4 8 2 1 3. Again: 0 4 8 2 1 3. Goodbye.",
            "code": "048213",
            "locale": "en-US",
        }
    )

    call_id: str
    state: Literal["waiting", "ringing", "answered", "speaking", "ended"]
    text: str | None = Field(description="What was said last; null until something was.")
    code: str | None = Field(description="The code in it; null where only the offer to press 1 was spoken.")
    locale: str | None = Field(description="The language of the text, as BCP 47.")


def make_blueprint(phone: SimulatedPhone, describe: DescribeCalls) -> ApiRoutes:
    blueprint = ApiRoutes("simulated_calls", "Simulator", "For the tests of apps, on a developer's own machine.")

    @blueprint.get(
        "/simulator/calls/<call_id>", summary="What was said in a call", responses={200: SimulatedCallResponse}
    )
    @this_machine
    @documents_errors("not_found", "address_not_allowed", "not_ready")
    def get_simulated_call(path: SimulatedCallPath) -> Response:
        """Exists in development only, answers this machine only, and knows for ten minutes what was said."""
        call_id = canonical_id(path.call_id)
        if call_id is None or (described := describe([call_id]).get(call_id)) is None:
            raise NotFound("There is no such call.")
        call = phone.find_call(call_id)
        speech = None if call is None else call.speech
        not_seen = "ended" if described.is_over else "waiting"
        return jsonify(
            call_id=call_id,
            state=not_seen if call is None else call.state.value,
            text=None if speech is None else speech.text,
            code=None if speech is None else speech.code,
            locale=None if speech is None else speech.language,
        )

    return blueprint
