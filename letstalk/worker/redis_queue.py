"""The wake-ups of all processes in one Redis. Imported only with REDIS_URL: the client takes memory and time.

They wait in a sorted set and are taken by a blocking pop: each goes to one worker, the most urgent first, and an equal
one is not added again. A list would keep it twice, pub/sub would send it to every worker, and a stream requires
acknowledgements, which a hint does not need.
"""

from __future__ import annotations

import time
from typing import Any, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from letstalk.worker.wakeups import Wakeup, write_message

KEY = "letstalk:wakeups"
MAX_WAITING = 10_000
REDIS_SECONDS = 1.0  # to connect, and for each response: a Redis that hangs must not hang a request
TAKE_SECONDS = 1.0  # a worker that stops waits no longer than this for a pop to end
PRIORITY_WEIGHT = 1e11  # more than any time in seconds: first by priority, then by age


class RedisQueue:
    """Each method raises what the Redis client raises, within seconds, when Redis is away."""

    def __init__(self, url: str) -> None:
        self._redis = _connect(url, REDIS_SECONDS)
        self._blocking_redis = _connect(url, TAKE_SECONDS + REDIS_SECONDS)

    def push(self, wakeup: Wakeup, priority: int) -> None:
        """Add a wake-up unless an equal one waits. If there are too many, the least urgent are dropped."""
        score = time.time() - priority * PRIORITY_WEIGHT
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zadd(KEY, {write_message(wakeup): score}, nx=True)
            pipeline.zremrangebyrank(KEY, MAX_WAITING, -1)
            pipeline.execute()

    def take(self) -> bytes | None:
        """The most urgent message, as stored in Redis; None if none came within `TAKE_SECONDS`."""
        taken: Any = self._blocking_redis.bzpopmin(KEY, TAKE_SECONDS)
        return None if taken is None else cast(bytes, taken[1])

    def ping(self) -> None:
        self._redis.ping()

    def close(self) -> None:
        self._redis.close()
        self._blocking_redis.close()


def _connect(url: str, seconds: float) -> Redis:
    # No retries in the client: a caller of `wake` must not wait, and `Worker` tries again after a second.
    return Redis.from_url(
        url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=seconds, retry=Retry(NoBackoff(), 0)
    )
