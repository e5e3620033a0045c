"""A fake Telnyx: an HTTP server that accepts the SDK's commands, simulates phones and sends signed webhooks.

In the process of a test::

    with FakeTelnyx(speed=50, channels=4) as telnyx:
        provider = TelnyxProvider(base_url=telnyx.base_url, api_key=telnyx.api_key, …)
        telnyx.phones["+256700000001"] = Phone.BUSY          # a whole number, or its last digits
        telnyx.fail_next("dial", "500", count=3)
        …
        assert telnyx.violations == []
        assert telnyx.state()["max_live"] <= 4

As a process of its own, so that it keeps running when the server under test is killed::

    with StandaloneTelnyx(speed=20, channels=4, phones={"0002": "machine"}) as telnyx:
        # telnyx.base_url, .api_key, .public_key go into the server's environment
        telnyx.fail_next("dial", "500", count=3)
        telnyx.wait_until(lambda state: len(state["calls"]) == 30 and state["live"] == 0)

or from a shell: `python -m tests.support.fake_telnyx --port 4010 --speed 20 --channels 4 --phone 0002=machine`. It
prints the environment that a server needs. `GET /_state` and `POST /_control/<method>` (with a JSON object of
arguments) do the same as `state`, `fail_next`, `configure`, `drop_next` and `hang_up` here.

Durations are those of a real call divided by `speed`, with two exceptions. Webhooks without a response are sent again
after the delays of the dial's retry policy, divided by `retry_speed` (1 by default, so a server that was killed
receives what it missed after 1, 5, 15, 35 and 60 s). A call's time limit is at least 30 s in real time
(`least_limit_seconds`), so that a server has time to restart. Commands are checked against the SDK's own types. An
invalid command gets a 422 and is recorded in `violations`.
"""

from tests.support.fake_telnyx.phones import Phone, holds_code
from tests.support.fake_telnyx.servers import API_KEY, FakeTelnyx
from tests.support.fake_telnyx.standalone import StandaloneTelnyx

__all__ = ["API_KEY", "FakeTelnyx", "Phone", "StandaloneTelnyx", "holds_code"]
