"""The tests of clients/javascript, run by Node: alone, against a served application, and with Better Auth itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.clients.conftest import Service
from tests.support.documents import ROOT
from tests.support.services import needed, node_binary
from tests.support.surroundings import environment_for_programs

JAVASCRIPT = ROOT / "clients" / "javascript"


def run(workplace: Path, *arguments: str, **settings: str) -> str:
    node = needed("Node", node_binary())
    done = subprocess.run(
        [node, *arguments],
        cwd=workplace,
        env=environment_for_programs(settings),
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_node_tests_of_the_javascript_client(workplace: Path, service: Service) -> None:
    names = sorted(path.name for path in (JAVASCRIPT / "test").glob("*.test.js"))
    assert len(names) >= 4
    said = run(workplace, "--test", "--test-reporter=tap", *names, **service.settings)
    assert "# fail 0" in said
    assert "# pass 0" not in said


def test_the_types_fit_what_an_app_writes(workplace: Path) -> None:
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]
    run(workplace, "node_modules/typescript/bin/tsc", *options, "use.ts")
