"""The responses of Twilio's Verify API. What a field means is in Twilio's own OpenAPI file, which the tests check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from letstalk.twilio.models import (
    CALL_STATUSES,
    Attempt,
    AttemptSummary,
    Bucket,
    RateLimit,
    Sid,
    TwilioVerification,
    VerifyService,
)

CHANNEL = "call"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: the items of the JSON field `key`, and the cursor of the next page."""

    key: str
    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders for one account. `base` is the address of the API, to which the path of a resource is added."""

    base: str
    account_sid: str

    def service(self, service: VerifyService) -> dict[str, Any]:
        """What Twilio can do and we can't is shown as switched off, whatever was asked for."""
        url = self._service_url(service.service_id)
        parts = ("Verifications", "VerificationCheck", "RateLimits")
        names = ("verifications", "verification_checks", "rate_limits")
        return {
            "sid": Sid.SERVICE.of(service.service_id),
            "account_sid": self.account_sid,
            "friendly_name": service.friendly_name,
            "code_length": service.code_length,
            "lookup_enabled": False,
            "psd2_enabled": False,
            "skip_sms_to_landlines": False,
            "dtmf_input_required": False,
            "tts_name": None,
            "do_not_share_warning_enabled": False,
            "custom_code_enabled": service.custom_code_enabled,
            "push": None,
            "totp": None,
            "passkeys": None,
            "whatsapp": None,
            "default_template_sid": None,
            "verify_event_subscription_enabled": False,
            **_dates(service.created_at, service.updated_at),
            "url": url,
            "links": {name: f"{url}/{part}" for name, part in zip(names, parts, strict=True)},
        }

    def verification(self, service: VerifyService, verification: TwilioVerification) -> dict[str, Any]:
        sid = Sid.VERIFICATION.of(verification.verification_id)
        attempts = [
            {"attempt_sid": Sid.ATTEMPT.of(call_id), "channel": CHANNEL, "time": _time(at)}
            for call_id, at in verification.attempts
        ]
        return {
            **self._judgement(service, verification),
            "lookup": {},
            "send_code_attempts": attempts,
            "sna": None,
            "url": f"{self._service_url(service.service_id)}/Verifications/{sid}",
        }

    def check(self, service: VerifyService, verification: TwilioVerification) -> dict[str, Any]:
        return {**self._judgement(service, verification), "sna_attempts_error_codes": []}

    def rate_limit(self, limit: RateLimit) -> dict[str, Any]:
        url = self._limit_url(limit)
        return {
            "sid": Sid.RATE_LIMIT.of(limit.rate_limit_id),
            "service_sid": Sid.SERVICE.of(limit.service_id),
            "account_sid": self.account_sid,
            "unique_name": limit.unique_name,
            "description": limit.description,
            **_dates(limit.created_at, limit.updated_at),
            "url": url,
            "links": {"buckets": f"{url}/Buckets"},
        }

    def bucket(self, limit: RateLimit, bucket: Bucket) -> dict[str, Any]:
        sid = Sid.BUCKET.of(bucket.bucket_id)
        return {
            "sid": sid,
            "rate_limit_sid": Sid.RATE_LIMIT.of(limit.rate_limit_id),
            "service_sid": Sid.SERVICE.of(limit.service_id),
            "account_sid": self.account_sid,
            "max": bucket.max_requests,
            "interval": bucket.interval_seconds,
            **_dates(bucket.created_at, bucket.updated_at),
            "url": f"{self._limit_url(limit)}/Buckets/{sid}",
        }

    def attempt(self, attempt: Attempt) -> dict[str, Any]:
        sid = Sid.ATTEMPT.of(attempt.call_id)
        return {
            "sid": sid,
            "account_sid": self.account_sid,
            "service_sid": Sid.SERVICE.of(attempt.service_id),
            "verification_sid": Sid.VERIFICATION.of(attempt.verification_id),
            **_dates(attempt.created_at, attempt.ended_at or attempt.created_at),
            "conversion_status": "converted" if attempt.is_converted else "unconverted",
            "channel": CHANNEL,
            "price": None,
            "channel_data": {
                "verification_sid": Sid.VERIFICATION.of(attempt.verification_id),
                "to": attempt.e164,
                "status": "confirmed" if attempt.is_converted else "unconfirmed",
                "country": attempt.country,
                "call_status": CALL_STATUSES[attempt.call_status],
            },
            "url": f"{self.base}/Attempts/{sid}",
        }

    def summary(self, summary: AttemptSummary) -> dict[str, Any]:
        return {
            "total_attempts": summary.attempts,
            "total_converted": summary.converted,
            "total_unconverted": summary.attempts - summary.converted,
            "conversion_rate_percentage": str(summary.percentage),
            "url": f"{self.base}/Attempts/Summary",
        }

    def page(self, path: str, query: Mapping[str, str], page: Page, *, number: int, size: int) -> dict[str, Any]:
        """A list that was asked for at `path` with these parameters. There is no way back to an earlier page."""
        first = {name: value for name, value in query.items() if name not in ("Page", "PageToken", "PageSize")}
        first |= {"PageSize": str(size), "Page": "0"}
        following = first | {"Page": str(number + 1), "PageToken": page.next_cursor or ""}
        url = f"{self.base}/{path}"
        return {
            page.key: page.items,
            "meta": {
                "page": number,
                "page_size": size,
                "first_page_url": f"{url}?{urlencode(first)}",
                "previous_page_url": None,
                "next_page_url": f"{url}?{urlencode(following)}" if page.next_cursor else None,
                "url": f"{url}?{urlencode(first | {'Page': str(number)})}",
                "key": page.key,
            },
        }

    def _judgement(self, service: VerifyService, verification: TwilioVerification) -> dict[str, Any]:
        return {
            "sid": Sid.VERIFICATION.of(verification.verification_id),
            "service_sid": Sid.SERVICE.of(service.service_id),
            "account_sid": self.account_sid,
            "to": verification.e164,
            "channel": CHANNEL,
            "status": verification.status,
            "valid": verification.is_approved,
            "amount": None,
            "payee": None,
            **_dates(verification.created_at, verification.updated_at),
        }

    def _service_url(self, service_id: str) -> str:
        return f"{self.base}/Services/{Sid.SERVICE.of(service_id)}"

    def _limit_url(self, limit: RateLimit) -> str:
        return f"{self._service_url(limit.service_id)}/RateLimits/{Sid.RATE_LIMIT.of(limit.rate_limit_id)}"


def _dates(created_at: datetime, updated_at: datetime) -> dict[str, str]:
    return {"date_created": _time(created_at), "date_updated": _time(updated_at)}


def _time(moment: datetime) -> str:
    """With whole seconds, as Twilio's SDKs read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
