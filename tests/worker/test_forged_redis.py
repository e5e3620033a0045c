"""Somebody else writes to the Redis of a whole service: nothing of it is run, and the service goes on."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import redis

from letstalk.calls.models import Topic
from letstalk.core.clock import utc_now
from letstalk.mail.outbox import DELIVER_MAIL
from letstalk.worker.redis_queue import KEY
from tests.support.apps import PHONE, Api, issue_token, make_app, working
from tests.worker.parts import count, eventually

KEYS = ("", "x", "0" * 100, "' OR 1=1 --", "../../etc/passwd", "00000000-0000-4000-8000-000000000000")
# Each is no wake-up: another kind of value, another name, too long, or not even text.
NO_WAKE_UPS = (
    b"",
    b"\x00\xff\xfe",
    b"null",
    b"NaN",
    b'["dial"]',
    b'["dial", "x", "y"]',
    b'["dial", null]',
    b'["dial", {"__reduce__": "x"}]',
    b'["dial", "\\u0000"]',
    b'["dial", "\\ud800"]',
    b'["dial", "\\u001b[2J"]',
    b'["dial", "' + b"x" * 101 + b'"]',
    b'["Dial", "x"]',
    b'["__class__", "x"]',
    b"[" * 400,
    b"9" * 400,
    b"[" * 8_000_000,
    b'["dial", "' + b"x" * 32_000_000 + b'"]',
)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def pickled_traps(path: Path) -> list[bytes]:
    return [pickle.dumps(Trap(path), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


@pytest.mark.parametrize("kind", ["strings", "lists"])
def test_whatever_is_written_to_redis_nothing_of_it_is_run_and_calls_are_placed(
    tmp_path: Path, redis_url: str, kind: str
) -> None:
    trap = tmp_path / "was-here"
    ignored, failures = count("wakeups_ignored"), count("task_failures")
    limits = dict.fromkeys(("RATE_LIMIT_TOKEN", "RATE_LIMIT_ADDRESS"), "10000 per minute")
    app = make_app(tmp_path, utc_now, REDIS_URL=redis_url, **limits)
    api = Api(app.test_client(), issue_token(app))
    assert api.get("/calls").status_code == 200  # so that there are counters in Redis
    forged = [*NO_WAKE_UPS, *pickled_traps(trap)]
    topics = [*(topic.value for topic in Topic), DELIVER_MAIL]
    with redis.Redis.from_url(redis_url) as client:
        for message in [*forged, *(json.dumps([topic, key]).encode() for topic in topics for key in KEYS)]:
            client.zadd(KEY, {message: -1e30})  # before every wake-up of ours
        counters = [name for name in client.scan_iter() if name != KEY.encode()]
        assert counters
        for value in (b"", b"abc", b"9" * 400, b"x" * 32_000_000, pickled_traps(trap)[-1]):
            for name in counters:
                client.delete(name)
                client.rpush(name, value) if kind == "lists" else client.set(name, value)
            assert api.get("/calls").status_code == 200
        with working(app):
            sent = api.post("/calls/otp", {"phone": PHONE}).get_json()
            eventually(lambda: count("wakeups_ignored") == ignored + len(forged))
            path = f"/calls/{sent['verification_id']}"
            eventually(lambda: api.get(path).get_json()["calls"][0]["status"] == "completed")
    assert not trap.exists()
    assert count("task_failures") == failures
