"""otpgateway: its webhook provider (knadh/otpgateway, internal/providers/webhook/webhook.go). It ignores our status."""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="otpgateway",
    title="otpgateway",
    scheme=SharedSecret(),
    fields=Fields(phone=("/otp/to",), code=("/otp/otp",), ttl_seconds="/otp/ttl"),
    user_sees="Nothing: otpgateway does not look at our answer. The refusal is on this page only.",
)
