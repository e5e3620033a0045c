"""The objects that events for apps carry: a verification or a call, as it was when the event was recorded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from letstalk.calls import repository as calls
from letstalk.calls.models import Call, CallStatus
from letstalk.core.clock import Clock, iso_utc, iso_utc_or_none
from letstalk.core.ids import new_id
from letstalk.events.models import AppEvent, AppEventType
from letstalk.events.publishing import content_of
from letstalk.observability.redaction import mask_phone
from letstalk.speaking.repository import find_by_call as find_spoken_code
from letstalk.verifications.event_schemas import VerificationOfEvent, data_of, example_of
from letstalk.verifications.models import MAX_ATTEMPTS, MAX_REPLAYS, Verification, VerificationStatus
from letstalk.verifications.repository import find_verification
from letstalk.verifications.schemas import EXAMPLE_CALL_ID, EXAMPLE_ID, render_summary
from letstalk.verifications.service import VerificationService

# What a call was when it was told of. A call that is over is shown as it ended.
_STATUSES = {
    AppEventType.CALL_RINGING: CallStatus.RINGING,
    AppEventType.CALL_ANSWERED: CallStatus.ANSWERED,
    AppEventType.CALL_MACHINE: CallStatus.ANSWERED,
    AppEventType.CALL_HEARD: CallStatus.SPEAKING,
}


def render_event(connection: Connection, event: AppEvent, *, shows_phone: bool) -> dict[str, Any] | None:
    """What `event` is about, as the API returns it, with the app's `reference`. None where that was deleted."""
    if event.detail:
        return dict(event.detail)
    if event.call_id is not None and event.type.startswith("call."):
        return _render_call(connection, event, shows_phone)
    verification = _find(connection, event.owner_id, event.subject_id)
    return None if verification is None else _render_verification(verification, event, shows_phone)


def make_example(clock: Clock, type_: AppEventType, owner_id: str) -> dict[str, Any]:
    """An event of that type that looks like a real one. Its ids belong to nothing."""
    now = clock()
    event = AppEvent(new_id(now), owner_id, type_, now, EXAMPLE_ID, EXAMPLE_CALL_ID, 1, {})
    example = example_of(type_)
    own: dict[str, Any] = {}
    if type_.startswith("call."):
        status = _STATUSES.get(type_)
        own = {} if status is None else {"status": status.value, "reason": None, "ended_at": None}
    elif type_ is AppEventType.VERIFICATION_CREATED:
        own = {"status": VerificationStatus.PENDING.value, "approved_at": None}
    elif data_of(type_) is VerificationOfEvent:
        status_name = type_.removeprefix("verification.")
        own = {"status": status_name} | ({} if type_ is AppEventType.VERIFICATION_APPROVED else {"approved_at": None})
    else:
        own = {"user_id": owner_id} if "user_id" in example else {}
    return content_of(event, example | own)


def _find(connection: Connection, owner_id: str, verification_id: str | None) -> Verification | None:
    return None if verification_id is None else find_verification(connection, owner_id, verification_id)


def _render_verification(verification: Verification, event: AppEvent, shows_phone: bool) -> dict[str, Any]:
    is_new = event.type is AppEventType.VERIFICATION_CREATED
    status = VerificationStatus.PENDING if is_new else verification.status
    shown = render_summary(verification, status, VerificationService.spoken_locale(verification))
    if is_new:
        shown |= {"approved_at": None, "attempts_remaining": MAX_ATTEMPTS, "replays_remaining": MAX_REPLAYS}
    return shown if shows_phone else shown | {"phone": mask_phone(verification.e164)}


def _reference_of(connection: Connection, owner_id: str, call: Call) -> str | None:
    """That of the call of a code that another system made."""
    spoken = find_spoken_code(connection, owner_id, call.call_id)
    return None if spoken is None else spoken.reference


def _render_call(connection: Connection, event: AppEvent, shows_phone: bool) -> dict[str, Any] | None:
    call: Call | None = None if event.call_id is None else calls.find_call(connection, event.call_id)
    if call is None:
        return None
    verification = _find(connection, event.owner_id, call.subject_id)
    status = _STATUSES.get(event.type)
    return {
        "call_id": call.call_id,
        "verification_id": None if verification is None else verification.verification_id,
        "phone": call.e164 if shows_phone else mask_phone(call.e164),
        "status": (call.status if status is None else status).value,
        "reason": call.reason if status is None else None,
        "created_at": iso_utc(call.created_at),
        "ended_at": iso_utc_or_none(call.ended_at) if status is None else None,
        "reference": _reference_of(connection, event.owner_id, call)
        if verification is None
        else verification.reference,
    }
