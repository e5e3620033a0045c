"""Where finished lines go: to standard error, each in one piece."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _OfThread(threading.local):
    kept: list[tuple[LineStream, Any, bytes]] | None = None


_of_thread = _OfThread()


@contextmanager
def lines_together() -> Iterator[None]:
    """Write what this thread logs within the block at its end, with one call of the system for all of it."""
    outer, _of_thread.kept = _of_thread.kept, []
    try:
        yield
    finally:
        kept, _of_thread.kept = _of_thread.kept, outer
        lines: dict[tuple[LineStream, Any], list[bytes]] = {}
        for output, stream, line in kept or ():
            lines.setdefault((output, stream), []).append(line)
        for (output, stream), of_stream in lines.items():
            output.write(stream, b"".join(of_stream))


class LineStream:
    """Writes each line whole, or, where the other end takes nothing, not at all. Raises nothing.

    Past the layers of text and buffer, with one call of the system for a line. Of a line that was begun, the rest is
    written before the next one: a disk that was full, or a pipe that was, leaves no torn lines behind.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # taken again where a signal's handler logs in the midst of a line
        self._stream: Any = None
        self._raw: io.RawIOBase | None = None
        self._rest = b""

    def write(self, stream: Any, line: bytes) -> None:
        """Write `line`, which is UTF-8 and ends itself, to what stands for standard error now."""
        if _of_thread.kept is not None:
            _of_thread.kept.append((self, stream, line))
            return
        with self._lock:
            try:
                if stream is not self._stream:
                    self._turn_to(stream)
                if self._raw is None:
                    stream.write(line.decode())
                    stream.flush()
                else:
                    self._write_raw(self._raw, line)
            except (OSError, ValueError):  # a terminal that is gone, a stream that was closed
                return

    def _turn_to(self, stream: Any) -> None:
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)  # unbuffered, as in our container, the buffer is the file itself
        stream.flush()
        self._stream, self._raw, self._rest = stream, raw if isinstance(raw, io.RawIOBase) else None, b""

    def _write_raw(self, raw: io.RawIOBase, line: bytes) -> None:
        begun = len(self._rest)
        pending = self._rest + line
        written = 0
        try:
            while written < len(pending):
                count = raw.write(pending[written:] if written else pending)
                if not count:  # a pipe that is full and may not be waited for
                    break
                written += count
        finally:
            self._rest = pending[written:begun] if written <= begun else pending[written:]
