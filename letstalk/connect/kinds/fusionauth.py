"""FusionAuth: its Generic Messenger, which has messages of the type Voice since 1.65.0 (documentation of 2026)."""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/phoneNumber",), code=("/code",), message_type="/type")

GUIDE = (
    Step("In FusionAuth, open Settings, then Messengers, and add a Generic Messenger. Its URL:", "LETSTALK_URL"),
    Step(
        "Under Security, set HTTP Basic authentication: the user name letstalk, and this password. Give it 5,000 ms to "
        "connect and to read.",
        "LETSTALK_SECRET",
    ),
    Step(
        "FusionAuth sends national numbers as they were entered. Set the country of this connection, unless all your "
        "users' numbers are international."
    ),
    Step(
        "Choose the messenger in the tenant: for multi-factor by voice (1.65.0 or newer), or for SMS. For SMS, also "
        "allow the type SMS for this connection: it places a call for Voice only unless you do."
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "code": code,
        "phoneNumber": phone,
        "message": f"Your verification code is {code}",
        "textMessage": f"Two Factor Code: {code}",
        "type": "Voice",
        "userId": "00000000-0000-0001-0000-000000000001",
    }


KIND = Kind(
    name="fusionauth",
    title="FusionAuth",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="FusionAuth's own words for a message that could not be sent. Our answer is in its event log.",
    message_types=("Voice", "SMS"),
)
