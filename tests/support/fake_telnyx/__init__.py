"""Telnyx, played by a real HTTP server: it takes the SDK's commands, rings phones and sends signed webhooks.

In a test's own process::

    with FakeTelnyx(speed=50, channels=4) as telnyx:
        provider = TelnyxProvider(base_url=telnyx.base_url, api_key=telnyx.api_key, …)
        telnyx.phones["+256700000001"] = Phone.BUSY          # a whole number, or its last digits
        telnyx.fail_next("dial", "500", count=3)
        …
        assert telnyx.violations == []
        assert telnyx.state()["max_live"] <= 4

On its own, so that a server under test can be killed while it lives on::

    with StandaloneTelnyx(speed=20, channels=4, phones={"0002": "machine"}) as telnyx:
        # telnyx.base_url, .api_key, .public_key go into the server's environment
        telnyx.fail_next("dial", "500", count=3)
        telnyx.wait_until(lambda state: len(state["calls"]) == 30 and state["live"] == 0)

or by hand: `python -m tests.support.fake_telnyx --port 4010 --speed 20 --channels 4 --phone 0002=machine`, which prints
the environment that a server needs. `GET /_state` and `POST /_control/<method>` (a JSON object of arguments) do what
`state`, `fail_next`, `configure`, `drop_next` and `hang_up` do here.

Times are those of a real call divided by `speed`, with two exceptions. Unanswered webhooks are sent again after the
delays that the dial's retry policy names, divided by `retry_speed` (1, unless told otherwise: a server that is killed
hears of what it missed 1, 5, 15, 35 and 60 s later). A call's time limit lasts 30 s at least in real time
(`least_limit_seconds`), so that a server has time to come back. What a command may look like is read from the
SDK's own types; anything else gets a 422 and is written down in `violations`.
"""

from tests.support.fake_telnyx.phones import Phone
from tests.support.fake_telnyx.servers import API_KEY, FakeTelnyx
from tests.support.fake_telnyx.standalone import StandaloneTelnyx

__all__ = ["API_KEY", "FakeTelnyx", "Phone", "StandaloneTelnyx"]
