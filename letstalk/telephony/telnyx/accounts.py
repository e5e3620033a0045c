"""What Telnyx's description of a call control application says about the account.

Source: `GET /call_control_applications/{id}` and its type in the SDK (telnyx 4.189.0).
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from letstalk.telephony.provider import AccountReport, Finding, OutcomeUnknown

KEY_IS_GOOD = Finding(True, "Telnyx accepts the API key.")
KEY_IS_REFUSED = Finding(
    False, "Telnyx refuses the API key.", "Create a key in the Telnyx portal (API Keys), and set TELNYX_API_KEY to it."
)
UNKNOWN_CONNECTION = Finding(
    False,
    "Telnyx knows no call control application with the id in TELNYX_CONNECTION_ID.",
    "Set TELNYX_CONNECTION_ID to the id of a call control application (Telnyx portal, Voice, Programmable Voice). "
    "The id of a SIP connection does not work.",
)
IS_SWITCHED_OFF = Finding(
    False, "The call control application is switched off.", "Switch it on in the Telnyx portal (Voice)."
)
NO_PROFILE = Finding(
    False,
    "The call control application has no outbound voice profile, so Telnyx refuses every call.",
    "Choose an outbound voice profile for it in the Telnyx portal (Voice, Outbound).",
)
CONNECTION_IS_GOOD = Finding(True, "The call control application exists and is switched on.")


def read_application(data: object, date: str | None) -> AccountReport:
    """The report for a 200. `data` is the SDK's object, which it does not validate. Raises OutcomeUnknown if it cannot
    be read.
    """
    if not isinstance(getattr(data, "id", None), str):
        raise OutcomeUnknown("Telnyx sent a response that cannot be read.")
    connection = CONNECTION_IS_GOOD
    if getattr(data, "active", None) is False:
        connection = IS_SWITCHED_OFF
    elif not getattr(getattr(data, "outbound", None), "outbound_voice_profile_id", None):
        connection = NO_PROFILE
    return AccountReport(KEY_IS_GOOD, connection, read_date(date))


def read_refusal(status: int, date: str | None) -> AccountReport | None:
    """The report for a response other than 2xx; None for one that says nothing about the account."""
    if status in (401, 403):
        return AccountReport(KEY_IS_REFUSED, None, read_date(date))
    if status in (400, 404, 422):
        return AccountReport(KEY_IS_GOOD, UNKNOWN_CONNECTION, read_date(date))
    return None


def read_date(header: str | None) -> datetime | None:
    """The time in a Date header; None if it is absent or invalid."""
    try:
        moment = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
