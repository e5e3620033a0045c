"""The README's quick start, typed as it stands into a shell, Python and Node, against a development server."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.apps import ServerProcess
from tests.support.documents import Document
from tests.support.quick_starts import blocks_for, heard_by, phone_in, quick_start_of_readme, type_into_bash
from tests.support.services import needed, node_binary
from tests.support.terminal import Typist, answers_in

PROMPT = "The code (Enter alone to hear it again): "


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """What `make run` starts, with a simulator that is fast and limits as they are by default."""
    limits = {"RATE_LIMIT_TOKEN": "600 per minute", "RATE_LIMIT_ADDRESS": "1200 per minute"}
    with ServerProcess(tmp_path, FLASK_ENV="development", SIMULATOR_SPEED="20", **limits) as server:
        yield server


@pytest.fixture(scope="module")
def quick_start() -> Document:
    return quick_start_of_readme()


def run_program(server: ServerProcess, program: str, *command: str | Path, folder: Path) -> None:
    phone = phone_in(program)
    with Typist(*command, folder=folder) as terminal:
        terminal.wait_for(PROMPT)
        code = heard_by(server.log, phone)
        terminal.type("\n")
        [early] = answers_in(terminal.wait_for(PROMPT))
        assert early["code"] == "replay_too_soon"
        time.sleep(early["retry_after"])
        terminal.type("\n")
        [replayed] = answers_in(terminal.wait_for(PROMPT))
        assert replayed["replays_remaining"] == 2
        terminal.type(code + "\n")
        screen = terminal.leave()
    assert answers_in(screen.split(PROMPT)[-1])[0]["verified"] is True
    assert f"{phone.replace(' ', '')} approved" in screen
    assert screen.endswith("Token revoked successfully\n")


# Replaying takes the 20 seconds that a person waits too, so the three wait side by side.
def test_the_quick_start_works_as_typed_in_bash_python_and_javascript(server: ServerProcess, tmp_path: Path) -> None:
    def typed(language: str) -> list[str]:
        return blocks_for(server.port, language)

    [python], [javascript] = typed("python"), typed("javascript")
    (tmp_path / "quick_start.py").write_text(python)
    (tmp_path / "quick_start.mjs").write_text(javascript)
    node = node_binary()
    people: list[Callable[[], None]] = [
        lambda: type_into_bash(server.log, typed("bash"), tmp_path),
        lambda: run_program(server, python, sys.executable, "quick_start.py", folder=tmp_path),
    ]
    if node is not None:
        people.append(lambda: run_program(server, javascript, node, "quick_start.mjs", folder=tmp_path))
    with ThreadPoolExecutor(len(people)) as pool:
        for done in [pool.submit(person) for person in people]:
            done.result()
    needed("Node", node)


def test_the_quick_start_speaks_to_the_address_that_make_run_gives(quick_start: Document) -> None:
    for language in ("bash", "python", "javascript"):
        code = "".join(quick_start.blocks(language))
        assert set(re.findall(r"https?://[^/\s\"']+", code)) == {"http://127.0.0.1:5000"}


def test_the_quick_start_calls_only_numbers_that_nobody_has(quick_start: Document) -> None:
    """+1 … 555 01xx is kept free for fiction, should someone type this with a Telnyx account set up."""
    numbers = re.findall(r"\+\d[\d ]{6,}", quick_start.text)
    assert numbers
    assert all(re.fullmatch(r"\+1 ?202 ?555 ?01\d\d", number.strip()) for number in numbers)


def test_the_quick_start_needs_no_program_that_a_laptop_may_lack(quick_start: Document) -> None:
    commands = {line.split()[0] for block in quick_start.blocks("bash") for line in block.splitlines()}
    assert commands & {"curl", "sleep"}
    assert not commands & {"jq", "http", "wget", "npm", "npx", "docker", "pip"}
