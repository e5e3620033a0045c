"""Keycloak with the plugin of netzbegruenung (keycloak-mfa-plugins, gateway/ApiSmsService.java).

It sends a text, so the code is found in it; nothing else of it is spoken. Its user is told nothing of a refusal; it
logs our answer. It writes its JSON without escapes, so a form is safer.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind
from letstalk.connect.signatures import SharedSecret

KIND = Kind(
    name="keycloak",
    title="Keycloak",
    scheme=SharedSecret(),
    fields=Fields(phone=("/to", "/phone"), text=("/text", "/message")),  # the first is the plugin's default
    user_sees="Nothing: Keycloak asks for the code as if it had been sent. Our answer is in Keycloak's log.",
    takes_forms=True,
)
