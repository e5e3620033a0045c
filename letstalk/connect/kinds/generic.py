"""Any other system that can post JSON with a header: JSON pointers say where it has phone, code and language."""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.models import Pointers
from letstalk.connect.signatures import SharedSecret

_DEFAULT = Pointers()
FIELDS = Fields(phone=(_DEFAULT.phone,), code=(_DEFAULT.code,), locale=("/locale",))

GUIDE = (
    Step("Have your system post JSON to this address:", "LETSTALK_URL"),
    Step(
        "With this header. Basic authentication works too, with any user name and the secret as the password.",
        "Authorization: Bearer LETSTALK_SECRET",
    ),
    Step("Say with the JSON pointers of this connection where a request has the phone, the code and the language."),
    Step(
        "To try it:",
        "curl -X POST LETSTALK_URL \\\n"
        '  -H "Authorization: Bearer LETSTALK_SECRET" -H "Content-Type: application/json" \\\n'
        '  -d \'{"phone": "+12025550142", "code": "048213", "locale": "en-US"}\'',
        "Shell",
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {"phone": phone, "code": code, "locale": "en-US"}


KIND = Kind(
    name="generic",
    title="Anything else",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="What your system makes of our answer: a status, and JSON with error, code and retry_after.",
    has_pointers=True,
)
