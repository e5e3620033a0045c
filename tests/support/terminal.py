"""What stands in the documents, typed into a terminal as it stands."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Self

PATIENCE_SECONDS = 60


class Typist:
    """A person at a terminal in which `command` runs: reads what it shows, types when asked."""

    def __init__(self, *command: str | Path, folder: Path) -> None:
        self._output = folder / f"{Path(command[-1]).name}.output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def screen(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> str:
        """What was shown since the last call, up to and with `text`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.screen.find(text, self._seen)) < 0:
            assert self._process.poll() is None, f"it ended without {text!r}:\n{self.screen}"
            assert time.monotonic() < deadline, f"{text!r} never came:\n{self.screen}"
            time.sleep(0.02)
        shown = self.screen[self._seen : found + len(text)]
        self._seen = found + len(text)
        return shown

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def leave(self) -> str:
        """Type nothing more; all that was shown, once the command has ended well."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_SECONDS) == 0, self.screen
        return self.screen


def answers_in(screen: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in screen.replace("Code: ", "").splitlines() if line.startswith("{")]
