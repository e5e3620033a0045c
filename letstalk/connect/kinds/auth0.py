"""Auth0: a custom phone provider, which is an Action. The request comes from the Action that our guide has."""

from __future__ import annotations

from typing import Any

from letstalk.connect.kinds.base import Fields, Kind, Step
from letstalk.connect.signatures import SharedSecret

FIELDS = Fields(phone=("/phone",), code=("/code",), locale=("/locale",))

ACTION = """\
exports.onExecuteCustomPhoneProvider = async (event, api) => {
  const { recipient, code, locale, message_type } = event.notification;
  if (!code) {
    return api.notification.drop(`A call says codes only: ${message_type} has none.`);
  }
  let response;
  try {
    response = await fetch("LETSTALK_URL", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${event.secrets.LETSTALK_KEY}`,
      },
      body: JSON.stringify({ phone: recipient, code, locale }),
      signal: AbortSignal.timeout(5000),
    });
  } catch (error) {
    return api.notification.retry("The call service could not be reached.");
  }
  if (response.ok) {
    return;
  }
  const answer = await response.json().catch(() => ({}));
  const reason = answer.error || `The call service answered ${response.status}.`;
  if (response.status >= 500) {
    return api.notification.retry(reason);
  }
  return api.notification.drop(reason);
};
"""

GUIDE = (
    Step(
        "In Auth0, open Branding, Phone Provider. Choose Custom, the delivery method Voice, and paste this Action:",
        ACTION,
        "Action",
    ),
    Step("Add a secret to the Action, with the key LETSTALK_KEY and this value:", "LETSTALK_SECRET"),
    Step("Deploy the Action, save the provider, and send a test message to your own phone."),
)


def example(phone: str, code: str) -> dict[str, Any]:
    return {"phone": phone, "code": code, "locale": "en-US"}


KIND = Kind(
    name="auth0",
    title="Auth0",
    scheme=SharedSecret(),
    fields=FIELDS,
    example=example,
    guide=GUIDE,
    user_sees="Auth0's own words for a message that could not be sent. Our sentence is in the log of the tenant.",
)
