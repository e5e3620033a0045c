"""Any other system that can post JSON with a header: JSON pointers say where it has phone, code and language."""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="generic",
    title="Anything else",
    scheme=SharedSecret(),
    fields=Fields(phone=("/phone",), code=("/code",), locale=("/locale",)),
    user_sees="What your system makes of our answer: a status, and JSON with error, code and retry_after.",
    has_pointers=True,
)
