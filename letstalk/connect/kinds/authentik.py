"""authentik: the generic provider of its SMS Authenticator Setup Stage (authentik.stages.authenticator_sms).

It shows its user the body of a refusal, so that is one sentence. A phone is sent as its user typed it.
"""

from __future__ import annotations

from letstalk.connect.kinds.base import Fields, Kind, Reply, status_of_refusal, text_reply
from letstalk.connect.signatures import SharedSecret
from letstalk.core.errors import LetsTalkError
from letstalk.http.errors import sentence_of
from letstalk.speaking.models import SpeakAccepted


def accept(_accepted: SpeakAccepted) -> Reply:
    return text_reply(200, "The phone is being called.")


def refuse(error: LetsTalkError) -> Reply:
    return text_reply(status_of_refusal(error), sentence_of(error), error.retry_after_seconds)


KIND = Kind(
    name="authentik",
    title="authentik",
    scheme=SharedSecret(),
    fields=Fields(phone=("/To",), code=("/Body",), text=("/Message",)),
    user_sees="Our sentence, in place of the field for the code. authentik also keeps it as an event.",
    accept=accept,
    refuse=refuse,
)
