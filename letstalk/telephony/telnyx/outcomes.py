"""Maps Telnyx's events, hang-up causes and errors to ours. If Telnyx renames one of them, only this file changes.

Sources: the types of the SDK (telnyx 4.189.0), Telnyx's list of API error codes, and its list of SIP response codes
(those that begin with D).
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.provider import CallGone, CallRefused, OutcomeUnknown, ProviderBusy, ProviderError

# The result of a detection is looked up in DETECTIONS. Any other result is "unsure".
DETECTION_EVENTS = frozenset({"call.machine.detection.ended", "call.machine.premium.detection.ended"})

EVENT_TYPES: dict[str, EventType] = {
    "call.initiated": EventType.INITIATED,
    "call.answered": EventType.ANSWERED,
    "call.machine.greeting.ended": EventType.GREETING_ENDED,
    "call.machine.premium.greeting.ended": EventType.GREETING_ENDED,
    "call.speak.started": EventType.SPEECH_STARTED,
    "call.speak.ended": EventType.SPEECH_ENDED,
    "call.gather.ended": EventType.GATHER_ENDED,
    "call.hangup": EventType.HUNG_UP,
}

DETECTIONS: dict[str, EventType] = {
    "human": EventType.HUMAN,
    "human_residence": EventType.HUMAN,
    "human_business": EventType.HUMAN,
    "machine": EventType.MACHINE,
    "fax": EventType.MACHINE,
    "fax_detected": EventType.MACHINE,
}

# The status of a gather or a speech that something else ended.
INTERRUPTED = frozenset({"cancelled", "cancelled_amd", "call_hangup"})

HANGUP_CAUSES: dict[str, HangupCause] = {
    "normal_clearing": HangupCause.NORMAL,
    "user_busy": HangupCause.BUSY,
    "no_answer": HangupCause.NO_ANSWER,
    "timeout": HangupCause.NO_ANSWER,
    "call_rejected": HangupCause.REJECTED,
    "not_found": HangupCause.NOT_FOUND,
    "time_limit": HangupCause.TIME_LIMIT,
    "originator_cancel": HangupCause.CANCELED,
}

# RFC 3261, section 21. Only used if `hangup_cause` is missing or unknown.
SIP_CAUSES: dict[str, HangupCause] = {
    "404": HangupCause.NOT_FOUND,
    "408": HangupCause.NO_ANSWER,
    "480": HangupCause.NO_ANSWER,
    "484": HangupCause.NOT_FOUND,
    "486": HangupCause.BUSY,
    "600": HangupCause.BUSY,
    "603": HangupCause.REJECTED,
    "604": HangupCause.NOT_FOUND,
}

# 90018: the call has ended. 90015: there is no such call.
_GONE_CODES = frozenset({"90018", "90015"})
# The channel limits of the account (D1), its profile (D2), its connection (D3) and its number (D22).
_CHANNEL_LIMIT_CODES = frozenset({"D1", "D2", "D3", "D22"})
# Telnyx puts these codes into `detail` as well: "User channel limit exceeded D1".
_SIP_SIDE_CODE = re.compile(r"\bD[0-9]{1,2}\b")

# What a code can look like: other text in a response is not shown to anyone.
_SHOWN_CODE = re.compile(r"D?[0-9]{1,6}")

_REFUSAL_BY_CODE: dict[str, str] = {
    "10002": "Telnyx says that the phone number is invalid.",
    "10016": "Telnyx says that the phone number is not in international format.",
    "10009": "Telnyx refused the API key: check TELNYX_API_KEY.",
    "10010": "Telnyx refused the call: the API key may not use this connection or number.",
    "20012": "Telnyx refused the call: the account is not active.",
    "20014": "Telnyx refused the call: the account must be verified first.",
    "20100": "Telnyx refused the call: the account has run out of money.",
    "D11": "Telnyx says that the phone number is invalid.",
    "D12": "Telnyx refused the call: the account's service plan does not cover this destination.",
    "D13": "Telnyx refused the call: the outbound voice profile does not allow this country.",
    "D24": "Telnyx refused the call: it costs more per minute than the outbound voice profile allows.",
    "D35": "Telnyx refused the call: TELNYX_FROM_NUMBER is not in international format.",
    "D36": "Telnyx refused the call: TELNYX_FROM_NUMBER does not belong to the account.",
    "D38": "Telnyx refused the call: the connection has no outbound voice profile.",
    "D40": "Telnyx refused the call: it has no route to this destination.",
}

_REFUSAL_BY_STATUS: dict[int, str] = {
    400: "Telnyx could not read the request.",
    401: "Telnyx refused the API key: check TELNYX_API_KEY.",
    402: "Telnyx refused the call: the account has run out of money.",
    403: "Telnyx refused the call: check the account's permissions, its outbound voice profile and its balance.",
    404: "Telnyx did not find the resource: check TELNYX_CONNECTION_ID and TELNYX_BASE_URL.",
    422: "Telnyx refused the request: a value in it is not valid for this account.",
}


def hangup_cause(cause: object, sip_code: object) -> HangupCause:
    """Why the call ended: from Telnyx's own cause, else from the SIP code, else `UNSPECIFIED`."""
    if isinstance(cause, str) and cause in HANGUP_CAUSES:
        return HANGUP_CAUSES[cause]
    return SIP_CAUSES.get(str(sip_code), HangupCause.UNSPECIFIED)


def error_from_response(
    status: int, body: object, *, of_dial: bool, retry_after: str | None, now: datetime
) -> ProviderError:
    """The ProviderError for a response other than 2xx. `body` is the parsed response, of any shape.

    A 404 means an incorrect address or connection for a dial (`of_dial`), and otherwise a call that has ended.
    """
    codes = vendor_codes(body)
    wait_seconds = seconds_to_wait(retry_after, now)
    if not of_dial and (status == 404 or codes & _GONE_CODES):
        return CallGone("The call has already ended.")
    if status == 403 and codes & _CHANNEL_LIMIT_CODES:
        return ProviderBusy("All channels of the Telnyx account are in use.", retry_after_seconds=wait_seconds)
    if status == 429:
        return ProviderBusy("Telnyx is limiting the rate of requests.", retry_after_seconds=wait_seconds)
    if status >= 500:
        return ProviderBusy("Telnyx had an internal error.", not_placed=False, retry_after_seconds=wait_seconds)
    # 408 and 425 mean "not in time". 409 means that the same command is being executed. A repeat will show the outcome.
    if status < 400 or status in (408, 409, 425):
        return OutcomeUnknown("Telnyx did not say whether it executed the command.")
    known = next((sentence for code, sentence in _REFUSAL_BY_CODE.items() if code in codes), None)
    if known is None:
        known = _REFUSAL_BY_STATUS.get(status, "Telnyx refused the request.")
        named = sorted(code for code in codes if _SHOWN_CODE.fullmatch(code))[:3]
        known += f" Telnyx's code: {', '.join(named)}." if named else ""
    return CallRefused(known)


def vendor_codes(body: object) -> set[str]:
    """Every error code in a response, from its `code` fields and its texts. Empty for a body of another shape."""
    entries = body.get("errors") if isinstance(body, dict) else None
    codes: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            codes.add(str(entry.get("code", "")))
            codes.update(_SIP_SIDE_CODE.findall(f"{entry.get('title', '')} {entry.get('detail', '')}"))
    return codes - {""}


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """`Retry-After`, which is a number or a date, as seconds from `now`. None if it is absent or invalid."""
    if not retry_after:
        return None
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", retry_after):
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError):
        return None
