"""Django: the settings that all adapters share, and django-two-factor-auth, whose second factor becomes a call.

TWO_FACTOR_CALL_GATEWAY = "letstalk_client.django.CallGateway"
LETSTALK_URL = "https://calls.example.com"
LETSTALK_TOKEN = os.environ["LETSTALK_TOKEN"]  # with the scope otp:speak
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import get_language

from letstalk_client.client import Client
from letstalk_client.errors import LetsTalkError
from letstalk_client.models import AcceptedCode
from letstalk_client.spoken import sentence_for, shared_client

log = logging.getLogger(__name__)


def client_from_settings() -> Client:
    """A client of LETSTALK_URL and LETSTALK_TOKEN. Raises ImproperlyConfigured without one of them."""
    url, token = (getattr(settings, name, None) for name in ("LETSTALK_URL", "LETSTALK_TOKEN"))
    if not url or not token:
        raise ImproperlyConfigured("Set LETSTALK_URL and LETSTALK_TOKEN: the address of Let's Talk and an API token.")
    try:
        return shared_client(str(url), str(token))
    except ValueError as error:
        raise ImproperlyConfigured(f"LETSTALK_URL or LETSTALK_TOKEN: {error}") from None


def speak(phone: str, code: str) -> AcceptedCode:
    """Call a phone and say a code, in the language of the page. Raises what `Client.speak` raises."""
    return client_from_settings().speak(phone, code, locale=get_language())


class CallGateway:
    """What TWO_FACTOR_CALL_GATEWAY names."""

    def make_call(self, device: Any, token: str) -> None:
        """Say the token to the device's phone. Raises LetsTalkError while a phone is set up: that page says so itself.

        When somebody signs in, a refusal is a message on the page, and no error page: the code of the last call may
        still be right, and the page offers the person's other devices and backup tokens.
        """
        try:
            speak(device.number.as_e164, token)
        except LetsTalkError as error:
            log.warning("no call for user %s: %s", getattr(device, "user_id", None), error)
            if device.pk is None:
                raise
            # The other adapters use this module where that package is not installed.
            from two_factor.middleware.threadlocals import get_current_request

            request = get_current_request()
            if request is not None:
                messages.error(request, sentence_for(error), fail_silently=True)
