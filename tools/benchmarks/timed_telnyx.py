"""A Telnyx that is played over HTTP, and that notes when commands reach it and when its webhooks leave."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.fake_telnyx.phones import DETECTION_SECONDS, RING_SECONDS, SPEECH_SECONDS
from tests.support.fake_telnyx.servers import FakeTelnyx, Response

# From the dial to the hang-up, at speed 1: then it is told to hang up, having listened for a key for four seconds.
CALL_SECONDS = RING_SECONDS + DETECTION_SECONDS + SPEECH_SECONDS + 4.0
PERMITS_SPEECH = "call.machine.premium.detection.ended"


class TimedTelnyx(FakeTelnyx):
    """Moments are seconds since the epoch. `speech_permitted_at` and `speech_asked_at` go by Telnyx's call id."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.speech_permitted_at: dict[str, float] = {}
        self.speech_asked_at: dict[str, float] = {}
        self.dialed_at: dict[str, float] = {}  # by the phone
        self._post = self.deliveries.post
        # Its own instance alone is changed, for what no option of it tells.
        self.deliveries.post = self._note_and_post  # type: ignore[method-assign]

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which a server talks to this Telnyx."""
        return {
            "TELEPHONY_PROVIDER": "telnyx",
            "TELNYX_API_KEY": self.api_key,
            "TELNYX_CONNECTION_ID": "1684641123236054244",
            "TELNYX_FROM_NUMBER": "+12025550123",
            "TELNYX_PUBLIC_KEY": self.public_key,
            "TELNYX_BASE_URL": self.base_url,
        }

    def respond(self, method: str, path: str, api_key: str | None, body: object) -> Response | None:
        moment = time.time()
        match path.split("/")[2:]:
            case ["calls"] if isinstance(body, dict):
                self.dialed_at.setdefault(body["to"], moment)
            case ["calls", call_id, "actions", "gather_using_speak"]:
                self.speech_asked_at.setdefault(call_id, moment)
        return super().respond(method, path, api_key, body)

    def _note_and_post(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        data = json.loads(body)["data"]
        if data["event_type"] == PERMITS_SPEECH:
            self.speech_permitted_at.setdefault(data["payload"]["call_control_id"], time.time())
        return self._post(url, body, headers)
