"""Keycloak with the plugin of netzbegruenung (keycloak-mfa-plugins, gateway/ApiSmsService.java).

It sends a text, so the code is found in it; nothing else of it is spoken. Its user is told nothing of a refusal; it
logs our answer. It writes its JSON without escapes, so a form is safer.
"""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/to", "/phone"), text=("/text", "/message"))  # the first is the plugin's default

GUIDE = (
    Step(
        "In the settings of the execution SMS Authentication (2FA), turn Simulation mode off. SMS API URL:",
        "LETSTALK_URL",
    ),
    Step("Basic Auth Username: letstalk. API Secret, which is the password then:", "LETSTALK_SECRET"),
    Step(
        "Turn URL encode data on. Message Attribute: text. Receiver Phone Number Attribute: to. Leave API Secret Token "
        "Attribute empty."
    ),
    Step(
        "The text must have one number of 4 to 10 digits, the code. The plugin's own has: “Your SMS code is 123456 and "
        "is valid for 5 minutes.” If yours has another, such as a telephone number, localise smsAuthText to:",
        "%1$s",
        "smsAuthText",
    ),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {
        "": "changeme",
        "text": f"Your SMS code is {code} and is valid for 5 minutes.",
        "to": phone,
        "from": "Keycloak",
    }


KIND = Kind(
    name="keycloak",
    title="Keycloak",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Nothing: Keycloak asks for the code as if it had been sent. Our answer is in Keycloak's log.",
    takes_forms=True,
)
