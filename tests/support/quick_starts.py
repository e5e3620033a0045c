"""The README's quick start in bash, as a person types it beside a server whose terminal shows the codes.

`python -m tests.support.quick_starts PORT SCREEN` does so against a running server whose output is in the file SCREEN.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.documents import ROOT, Document, read
from tests.support.surroundings import leave_the_caller_behind
from tests.support.terminal import PATIENCE_SECONDS, Typist, answers_in


def quick_start_of_readme() -> Document:
    return read(ROOT / "README.md").section("Quick start")


def blocks_for(port: int, language: str) -> list[str]:
    """The blocks of code in that language, for a server at `port` instead of 5000."""
    return [block.replace("127.0.0.1:5000", f"127.0.0.1:{port}") for block in quick_start_of_readme().blocks(language)]


def heard_by(read_screen: Callable[[], str], phone: str) -> str:
    """The code that the server's terminal, which `read_screen` returns, shows for `phone`, as soon as it does."""
    e164 = phone.replace(" ", "")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        shown = re.findall(rf"{re.escape(e164)} hears +(\d+) ", read_screen())
        if shown:
            return str(shown[-1])
        time.sleep(0.05)
    raise AssertionError(f"the terminal shows nothing that {phone} hears:\n{read_screen()}")


def phone_in(code: str) -> str:
    found = re.search(r"\+1 202 555 01\d\d", code)
    assert found is not None
    return found.group()


def type_into_bash(read_screen: Callable[[], str], blocks: list[str], folder: Path) -> None:
    """Type the blocks of the README, and check what each request is answered."""
    with Typist("bash", folder=folder) as terminal:
        for block in blocks:
            terminal.type(block)
            if "read -r CODE" in block:
                terminal.wait_for("Code: ")
                terminal.type(heard_by(read_screen, phone_in("".join(blocks))) + "\n")
        screen = terminal.leave()
    made, sent, verified, second, replayed, listed, tokens, revoked, refused = answers_in(screen)
    assert made["token"].startswith(made["prefix"])
    assert sent["status"] == "pending"
    assert verified["verified"] is True
    assert verified["verification_id"] == sent["verification_id"]
    assert replayed["verification_id"] == second["verification_id"]
    assert replayed["replays_remaining"] == second["replays_remaining"] - 1
    statuses = {entry["verification_id"]: entry["status"] for entry in listed["verifications"]}
    assert statuses[sent["verification_id"]] == "approved"
    assert statuses[second["verification_id"]] == "pending"
    assert made["token_id"] in [entry["token_id"] for entry in tokens["tokens"]]
    assert revoked == {"message": "Token revoked successfully"}
    assert refused["error"] == "Invalid or revoked token"


def main() -> None:
    leave_the_caller_behind(os.environ)
    port, screen = int(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        type_into_bash(screen.read_text, blocks_for(port, "bash"), Path(folder))


if __name__ == "__main__":
    main()
