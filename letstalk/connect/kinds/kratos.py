"""Ory Kratos: an HTTP channel of its courier, whose body our jsonnet writes (ory/kratos, courier/http_channel.go).

Kratos's own body has no code of a login or a registration. It tries again where the answer is not 2xx, five times
unless configured otherwise, and logs the first kilobyte of the answer.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="kratos",
    title="Ory Kratos",
    scheme=SharedSecret(),
    fields=Fields(phone=("/phone",), code=("/code",), locale=("/locale",)),
    user_sees="Nothing: Kratos sends in the background. The refusal is in its log and on this page.",
)
