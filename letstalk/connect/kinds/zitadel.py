"""ZITADEL: its HTTP SMS provider (zitadel/zitadel, internal/notification/channels/webhook/channel.go).

It waits 5 s, tries again by its own schedule where the answer is not 2xx, and does not read the answer's body.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import ZitadelSignature

KIND = Kind(
    name="zitadel",
    title="ZITADEL",
    scheme=ZitadelSignature(),
    fields=Fields(
        phone=("/contextInfo/recipientPhoneNumber",),
        code=("/args/code", "/args/otp", "/args/Code", "/args/OTP"),
        text=("/templateData/text",),
    ),
    user_sees="Nothing: ZITADEL sends in the background. The refusal is in its log and on this page.",
)
