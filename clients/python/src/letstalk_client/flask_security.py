"""Flask-Security: codes by SMS become codes by call.

from letstalk_client.flask_security import use_calls

app.config["LETSTALK_URL"] = "https://calls.example.com"
app.config["LETSTALK_TOKEN"] = os.environ["LETSTALK_TOKEN"]  # with the scope otp:speak
use_calls(app)
security = Security(app, datastore)
"""

from __future__ import annotations

import logging

from flask import Flask, current_app
from flask_security import SmsSenderBaseClass, SmsSenderFactory

from letstalk_client.client import Client
from letstalk_client.errors import LetsTalkError
from letstalk_client.spoken import code_in, shared_client

SERVICE = "LetsTalk"
JUST_THE_CODE = ("%(code)s", "info")

log = logging.getLogger(__name__)


def use_calls(app: Flask) -> None:
    """Let every code that Flask-Security sends by SMS be said in a call. Raises KeyError without the two settings,
    and ValueError for wrong ones.
    """
    shared_client(app.config["LETSTALK_URL"], app.config["LETSTALK_TOKEN"])
    SmsSenderFactory.senders[SERVICE] = CallSender
    app.config["SECURITY_SMS_SERVICE"] = SERVICE
    app.config["SECURITY_MSG_USE_CODE"] = JUST_THE_CODE


class CallSender(SmsSenderBaseClass):
    """Says the code of a message in a call. The sender's number has no meaning: the service calls from its own."""

    def send_sms(self, from_number: str, to_number: str, msg: str) -> None:  # noqa: ARG002 (Flask-Security names it)
        """Flask-Security shows one sentence for every failure, so the log says which it was."""
        config = current_app.config
        client: Client = shared_client(config["LETSTALK_URL"], config["LETSTALK_TOKEN"])
        try:
            client.speak(to_number, code_in(msg))
        except LetsTalkError as error:
            log.warning("no call: %s", error)
            raise
