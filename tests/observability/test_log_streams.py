"""Standard error that fails or is shared: no request breaks, and no two lines mix."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from letstalk.observability.logs import configure_logs, get_logger, log_stream
from tests.support.fixtures.logs import LogOutput

log = get_logger("letstalk.tests.streams")
library = logging.getLogger("some.library")


class Disk(io.RawIOBase):
    """Accepts at most seven bytes at a time, and raises when it is full."""

    def __init__(self) -> None:
        self.written = b""
        self.is_full = False

    def writable(self) -> bool:
        return True

    def write(self, piece: Any, /) -> int:
        if self.is_full:
            raise OSError("No space left on device")
        taken = bytes(piece)[:7]
        self.written += taken
        return len(taken)


class Unbuffered:
    """Standard error as Python makes it with PYTHONUNBUFFERED: its buffer is the file itself."""

    def __init__(self, file: io.RawIOBase) -> None:
        self.buffer = file


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    level = root.level
    configure_logs(as_json=True)
    yield
    logging.captureWarnings(False)
    root.setLevel(level)


def events(written: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in written.splitlines()]


@pytest.mark.parametrize("is_buffered", [True, False], ids=["buffered", "unbuffered"])
def test_a_full_disk_breaks_nothing_and_the_next_line_that_fits_is_written(
    monkeypatch: pytest.MonkeyPatch, is_buffered: bool
) -> None:
    disk = Disk()
    stream: Any = io.TextIOWrapper(io.BufferedWriter(disk)) if is_buffered else Unbuffered(disk)
    monkeypatch.setattr(log_stream, "stream", stream)
    log.info("before")
    disk.is_full = True
    log.info("while it is full")
    library.warning("while it is full")
    disk.is_full = False
    log.info("after")
    written = events(disk.written)
    assert (written[0], written[-1]) == ("before", "after")


def test_a_closed_pipe_a_closed_stream_and_no_stream_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    pipe = os.fdopen(os.dup(write_end), "wb", buffering=0)
    os.close(write_end)
    closed = LogOutput()
    closed.close()
    for stream in (Unbuffered(pipe), closed, None):
        monkeypatch.setattr(log_stream, "stream", stream)
        log.info("for nobody")
        library.warning("for nobody")
    pipe.close()


def test_lines_of_many_threads_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    monkeypatch.setattr(log_stream, "stream", Unbuffered(disk))

    def write(letter: str) -> None:
        for _ in range(50):
            log.info(letter * 40)
            library.warning(letter * 40)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(events(disk.written)) == sorted([letter * 40 for letter in "wxyz"] * 100)
