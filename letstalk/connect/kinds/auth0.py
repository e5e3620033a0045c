"""Auth0: a custom phone provider, which is an Action. The request comes from the Action that our guide has."""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="auth0",
    title="Auth0",
    scheme=SharedSecret(),
    fields=Fields(phone=("/phone",), code=("/code",), locale=("/locale",)),
    user_sees="Auth0's own words for a message that could not be sent. Our sentence is in the log of the tenant.",
)
