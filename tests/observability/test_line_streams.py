"""Where lines are written to: whole ones, whatever the other end does."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from letstalk.observability.line_streams import LineStream


class Disk(io.RawIOBase):
    """Takes so many bytes at a time, and none when it is full: by an error, or as a pipe that is not waited for."""

    def __init__(self, *, error: OSError | None = None) -> None:
        self.written = b""
        self.room = 1_000_000
        self.at_a_time = 1_000_000
        self._error = error

    def writable(self) -> bool:
        return True

    def write(self, piece: Any, /) -> int | None:
        taken = bytes(piece)[: min(self.room, self.at_a_time)]
        if not taken:
            if self._error is not None:
                raise self._error
            return None
        self.written += taken
        self.room -= len(taken)
        return len(taken)


@pytest.fixture(params=[OSError("No space left on device"), None], ids=["full disk", "full pipe"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return Disk(error=request.param)


def text_over(disk: Disk) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(disk), encoding="utf-8")


def test_a_line_goes_on_where_the_system_took_only_a_part_of_it(disk: Disk) -> None:
    disk.at_a_time = 3
    stream, lines = text_over(disk), LineStream()
    lines.write(stream, b"a whole line\n")
    lines.write(stream, b"another\n")
    assert disk.written == b"a whole line\nanother\n"


@pytest.mark.parametrize("room", range(40))
def test_no_line_is_torn_by_a_time_without_room(disk: Disk, room: int) -> None:
    stream, lines = text_over(disk), LineStream()
    disk.room, disk.at_a_time = room, 5
    written = [f"line {number} of all\n".encode() for number in range(6)]
    for line in written[:4]:
        lines.write(stream, line)
    disk.room = 3
    lines.write(stream, written[4])
    disk.room = 1_000_000
    lines.write(stream, written[5])
    arrived = disk.written.splitlines(keepends=True)
    assert set(arrived) <= set(written)
    assert arrived == sorted(arrived)
    assert arrived[-1] == written[5]


def test_a_stream_of_text_alone_gets_text() -> None:
    stream, lines = io.StringIO(), LineStream()
    lines.write(stream, "grüße\n".encode())
    assert stream.getvalue() == "grüße\n"


def test_what_was_printed_before_stands_before(disk: Disk) -> None:
    stream, lines = text_over(disk), LineStream()
    stream.write("printed\n")
    lines.write(stream, b"a line\n")
    assert disk.written == b"printed\na line\n"


def test_another_stream_gets_nothing_of_what_the_first_did_not_take(disk: Disk) -> None:
    disk.room = 4
    lines, other = LineStream(), io.StringIO()
    lines.write(text_over(disk), b"a line\n")
    lines.write(other, b"another\n")
    assert (disk.written, other.getvalue()) == (b"a li", "another\n")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for end in (read_end, write_end):
        try:
            os.close(end)
        except OSError:
            continue


def test_a_pipe_that_nobody_reads_and_a_stream_that_is_closed_break_nothing(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    os.close(read_end)
    stream, lines = os.fdopen(write_end, "w"), LineStream()
    lines.write(stream, b"for nobody\n")
    stream.close()
    lines.write(stream, b"for nobody\n")
    closed = io.StringIO()
    closed.close()
    lines.write(closed, b"for nobody\n")


def test_lines_of_many_threads_do_not_mix(disk: Disk) -> None:
    disk.at_a_time = 7
    stream, lines = text_over(disk), LineStream()

    def write(letter: str) -> None:
        for _ in range(50):
            lines.write(stream, letter.encode() * 40 + b"\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(disk.written.splitlines()) == sorted([letter.encode() * 40 for letter in "abcd"] * 50)
