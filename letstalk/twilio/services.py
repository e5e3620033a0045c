"""The services of Twilio's Verify API, as the wiring builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from letstalk.twilio.attempts import AttemptService
from letstalk.twilio.models import Sid
from letstalk.twilio.rate_limits import RateLimitService
from letstalk.twilio.service import ServiceDirectory
from letstalk.twilio.verifications import TwilioVerifications

ACCOUNT_DIGITS = 32


@dataclass(frozen=True, slots=True)
class TwilioVerify:
    """`digest` makes a keyed digest of a text, for a purpose. With `takes_sms`, a request for an SMS gets a call."""

    directory: ServiceDirectory
    verifications: TwilioVerifications
    rate_limits: RateLimitService
    attempts: AttemptService
    digest: Callable[[str, str], str]
    takes_sms: bool

    def account_sid(self, owner_id: str) -> str:
        """The id of an owner's account, the same for ever. It does not tell who the owner is."""
        return Sid.ACCOUNT.of(self.digest("twilio accounts", owner_id)[:ACCOUNT_DIGITS])
