"""Wake-ups as they travel through Redis, where anybody may have written."""

from __future__ import annotations

import json
import pickle

import pytest

from letstalk.worker.wakeups import MAX_KEY_LENGTH, MAX_MESSAGE_BYTES, Wakeup, read_message, write_message


@pytest.mark.parametrize("wakeup", [Wakeup("dial", "call-1"), Wakeup("dispatch"), Wakeup("dial", "k" * MAX_KEY_LENGTH)])
def test_a_wake_up_is_read_as_it_was_written(wakeup: Wakeup) -> None:
    assert read_message(write_message(wakeup)) == wakeup


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"dial",
        pickle.dumps(["dial", "call"]),
        b'{"dial": "call"}',
        b'["dial"]',
        b'["dial", "call", "more"]',
        b'["dial", 1]',
        b'[["dial"], "call"]',
        b'["dial", null]',
        b'["dial", "\\u0000"]',
        b'["dial", "\\ud800"]',
        b'["dial", "line\\nbreak"]',
        b"\xff\xfe\x00",
        b"[" * MAX_MESSAGE_BYTES,
        json.dumps(["dial", "k" * (MAX_KEY_LENGTH + 1)]).encode(),
        b" " * MAX_MESSAGE_BYTES + b'["dial", "call"]',
    ],
)
def test_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds: the JSON's, Unicode's, ours
        read_message(message)
