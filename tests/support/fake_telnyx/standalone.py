"""The fake Telnyx as a process of its own, and its control from a test."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.fake_telnyx.servers import API_KEY

_ROOT = Path(__file__).parents[3]


class StandaloneTelnyx:
    """Starts `python -m tests.support.telnyx_stub` on a free port with FakeTelnyx's `options`. Stops it on exit."""

    def __init__(self, **options: Any) -> None:
        seed = secrets.token_bytes(32)
        self.webhook_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = base64.b64encode(self.webhook_key.public_key().public_bytes_raw()).decode()
        self.api_key = API_KEY
        self._options = {"webhook_key": base64.b64encode(seed).decode(), **options}
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.telnyx_stub", "--options", json.dumps(self._options)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, _, value = line.strip().partition("=")
            if name == "TELNYX_BASE_URL":
                self.base_url = value
                return self
        raise RuntimeError("the fake Telnyx did not start")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            if self._process.stdout is not None:
                self._process.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """The settings for a server that uses this fake. The test adds PUBLIC_URL."""
        return {
            "TELEPHONY_PROVIDER": "telnyx",
            "TELNYX_API_KEY": self.api_key,
            "TELNYX_CONNECTION_ID": "1684641123236054244",
            "TELNYX_FROM_NUMBER": "+12025550123",
            "TELNYX_PUBLIC_KEY": self.public_key,
            "TELNYX_BASE_URL": self.base_url,
        }

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._ask("_state", None)
        return state

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        """Every command that was received, as (name, body), oldest first."""
        return [(name, body) for name, body in self._ask("_requests", None)]

    def hearings(self, since: int) -> list[tuple[str, str]]:
        """What phones heard, as (phone, payload), oldest first, without the first `since`."""
        return [(to, payload) for to, payload in self._ask(f"_hearings/{since}", None)]

    def fail_next(self, command: str, kind: str, count: int = 1, seconds: float = 0.0) -> None:
        self._ask("_control/fail_next", {"command": command, "kind": kind, "count": count, "seconds": seconds})

    def configure(self, **values: Any) -> None:
        self._ask("_control/configure", values)

    def drop_next(self, event_type: str, count: int = 1) -> None:
        self._ask("_control/drop_next", {"event_type": event_type, "count": count})

    def hang_up(self, to: str, cause: str = "normal_clearing") -> None:
        self._ask("_control/hang_up", {"to": to, "cause": cause})

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], timeout_seconds: float = 60.0) -> dict[str, Any]:
        """The first state for which `holds` is true. Raises TimeoutError with a summary of the last state."""
        deadline = time.monotonic() + timeout_seconds
        while not holds(state := self.state()):
            if time.monotonic() > deadline:
                short = {name: value for name, value in state.items() if name not in ("calls", "webhooks")}
                raise TimeoutError(f"{len(state['calls'])} calls, {short}")
            time.sleep(0.1)
        return state

    def _ask(self, path: str, body: dict[str, Any] | None) -> Any:
        url = self.base_url.removesuffix("v2") + path
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, {"Content-Type": "application/json"})  # noqa: S310  # our own
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.load(response)
