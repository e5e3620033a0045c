"""django-allauth: phone verification by a call.

class AccountAdapter(CallsMixin, DefaultAccountAdapter):
    ...  # get_phone, set_phone and so on, as allauth's documentation says
"""

from __future__ import annotations

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect

from letstalk_client.django import speak
from letstalk_client.errors import LetsTalkError
from letstalk_client.spoken import sentence_for

log = logging.getLogger(__name__)


class CallsMixin:
    """A part of an account adapter: the codes that allauth sends are said in calls."""

    request: HttpRequest

    def send_verification_code_sms(self, user: Any, phone: str, code: str, **_more: Any) -> None:
        """Say the code to the phone. A refusal leads back to the page, with a message that says why."""
        try:
            speak(phone, code)
        except LetsTalkError as error:
            log.warning("no call for user %s: %s", getattr(user, "pk", None), error)
            messages.error(self.request, sentence_for(error), fail_silently=True)
            raise ImmediateHttpResponse(HttpResponseRedirect(self.request.get_full_path())) from error
