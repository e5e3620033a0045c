"""A wake-up tells a worker that something waits. It is only a hint: the rows hold the same, and the sweeps look there.

A wake-up has a topic and a key, which is usually the id of a row. Nothing else travels through Redis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

MAX_MESSAGE_BYTES = 400
MAX_KEY_LENGTH = 100


class Wakeups(Protocol):
    def wake(self, topic: str, key: str = "", *, delay_seconds: float = 0.0) -> None:
        """Have a worker handle `topic` for `key` soon, or after a delay. Raises nothing.

        Two wake-ups alike that wait are one, due at the earlier time. It may get lost: nothing may depend on it.
        """


@dataclass(frozen=True, slots=True)
class Wakeup:
    topic: str
    key: str = ""


def write_message(wakeup: Wakeup) -> bytes:
    """`wakeup` as it travels through Redis; always the same bytes for the same wake-up."""
    return json.dumps([wakeup.topic, wakeup.key]).encode("ascii")


def read_message(message: bytes) -> Wakeup:
    """The wake-up in `message`, which may come from anybody. Raises ValueError for anything else."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError("too long")
    try:
        content = json.loads(message)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    match content:
        case [str(topic), str(key)] if len(key) <= MAX_KEY_LENGTH and (topic + key).isascii():
            if (topic + key).isprintable():
                return Wakeup(topic, key)
    raise ValueError("not a topic and a key")
