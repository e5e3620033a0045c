"""django-phone-verify: PHONE_VERIFICATION["BACKEND"] = "letstalk_client.phone_verify.CallBackend"."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from phone_verify.backends.base import BaseBackend
from rest_framework.exceptions import APIException, Throttled, ValidationError

from letstalk_client.django import speak
from letstalk_client.errors import DestinationBlocked, InvalidPhone, LetsTalkError, TooManyRequests
from letstalk_client.spoken import code_in, sentence_for

log = logging.getLogger(__name__)


class CallBackend(BaseBackend):  # type: ignore[misc] # the package ships no types
    """Says the code of a message in a call. A refusal is REST framework's: 429 with Retry-After, 400 or 503."""

    def __init__(self, **_options: Any) -> None:
        super().__init__()
        # What the package catches and logs, with the phone, so that nobody hears of it: nothing.
        self.exception_class = ()

    def send_sms(self, number: str, message: str) -> None:
        try:
            speak(str(number), code_in(message))
        except LetsTalkError as error:
            log.warning("no call: %s", error)
            raise _refusal_of(error) from error

    def send_bulk_sms(self, numbers: Iterable[str], message: str) -> None:
        for number in numbers:
            self.send_sms(number, message)


class CallsAway(APIException):  # type: ignore[misc] # the package ships no types
    status_code = 503
    default_code = "call_failed"


def _refusal_of(error: LetsTalkError) -> APIException:
    sentence = sentence_for(error)
    if isinstance(error, TooManyRequests):
        return Throttled(error.retry_after_seconds, error.message)
    if isinstance(error, (InvalidPhone, DestinationBlocked)):
        return ValidationError({"phone_number": [sentence]}, error.code)
    return CallsAway(sentence)
