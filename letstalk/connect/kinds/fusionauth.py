"""FusionAuth: its Generic Messenger, which has messages of the type Voice since 1.65.0 (documentation of 2026)."""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="fusionauth",
    title="FusionAuth",
    scheme=SharedSecret(),
    fields=Fields(phone=("/phoneNumber",), code=("/code",), message_type="/type"),
    user_sees="FusionAuth's own words for a message that could not be sent. Our answer is in its event log.",
    message_types=("Voice", "SMS"),
)
