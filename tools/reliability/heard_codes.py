"""The codes that the called phones hear. One thread asks Telnyx's stand-in for them, and many can wait for them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from tests.support.apps import heard_code
from tests.support.fake_telnyx import StandaloneTelnyx, holds_code

POLL_SECONDS = 0.2


class HeardCodes:
    def __init__(self, telnyx: StandaloneTelnyx) -> None:
        self._telnyx = telnyx
        self._changed = threading.Condition()
        self._codes: defaultdict[str, list[str]] = defaultdict(list)
        self._count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="heard codes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def codes(self, phone: str) -> list[str]:
        """The codes that the phone has heard so far, one for each time that a code was spoken."""
        with self._changed:
            return list(self._codes[phone])

    def next_code(self, phone: str, heard_before: int, seconds: float) -> str | None:
        """The code after the first `heard_before`; None if it is not heard within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(self._codes[phone]) <= heard_before:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None
            return self._codes[phone][heard_before]

    def _listen(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            try:
                heard = self._telnyx.hearings(self._count)
            except OSError:
                continue
            with self._changed:
                self._count += len(heard)
                for phone, payload in heard:
                    if holds_code(payload):
                        self._codes[phone].append(heard_code(payload))
                self._changed.notify_all()
