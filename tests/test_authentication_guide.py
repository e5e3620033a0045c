"""The examples of docs/authentication.md, typed as they stand into a shell, Python and Node."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apps import ServerProcess
from tests.support.documents import ROOT, Document, read
from tests.support.services import needed, node_binary
from tests.support.terminal import Typist, answers_in


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """What `make run` starts."""
    with ServerProcess(tmp_path, FLASK_ENV="development") as server:
        yield server


@pytest.fixture(scope="module")
def examples() -> Document:
    return read(ROOT / "docs" / "authentication.md").section("Try it")


def typed(server: ServerProcess, examples: Document, language: str) -> list[str]:
    return [block.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}") for block in examples.blocks(language)]


def screen_of(program: str, *command: str | Path, folder: Path) -> list[str]:
    """The lines that a program writes."""
    (folder / command[-1]).write_text(program)
    with Typist(*command, folder=folder) as terminal:
        return terminal.leave().splitlines()


def test_the_bash_example_works_as_typed(server: ServerProcess, examples: Document, tmp_path: Path) -> None:
    with Typist("bash", folder=tmp_path) as terminal:
        for block in typed(server, examples, "bash"):
            terminal.type(block)
        token, accepted, me, calls, signed_out, refused = answers_in(terminal.leave())
    assert (token["name"], token["scopes"]) == ("back office", ["admin"])
    assert (accepted["username"], accepted["role"], accepted["token_type"]) == ("ada", "developer", "Bearer")
    assert (me["username"], me["user_ids"], me["session"]["method"]) == ("ada", ["shop"], "password")
    assert calls == {"verifications": [], "next_cursor": None}
    assert signed_out["sessions_ended"] == 1
    assert refused["code"] == "invalid_token"


def test_the_python_example_works_as_typed(server: ServerProcess, examples: Document, tmp_path: Path) -> None:
    [program] = typed(server, examples, "python")
    assert screen_of(program, sys.executable, "people.py", folder=tmp_path) == [
        "accepted 201",
        "grace developer ['shop']",
        "verifications 0",
        "people 403",
        "signed out 200",
        "afterwards 401",
    ]


def test_the_javascript_example_works_as_typed(server: ServerProcess, examples: Document, tmp_path: Path) -> None:
    [program] = typed(server, examples, "javascript")
    node = needed("Node", node_binary())
    assert screen_of(program, node, "people.mjs", folder=tmp_path) == [
        "accepted 201",
        "linus viewer shop",
        "verifications 0",
        "a call insufficient_scope",
        "signed out 200",
        "afterwards invalid_token",
    ]


def test_the_examples_speak_to_the_address_that_make_run_gives(examples: Document) -> None:
    for language in ("bash", "python", "javascript"):
        code = "".join(examples.blocks(language))
        assert set(re.findall(r"https?://[^/\s\"'$]+", code)) == {"http://127.0.0.1:5000"}
