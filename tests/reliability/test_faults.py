"""The quick ones of the faults that `python -m tools.reliability faults` causes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.apps import ROOT
from tests.support.services import needed, postgres_binaries, redis_binary
from tools.reliability.faults import FAULTS, run_fault

ALONE = ("disk-full",)
WITH_SERVICES = ("database-away", "redis-away")


def check(name: str, folder: Path) -> None:
    promise = run_fault(name, folder)
    assert promise.breaches == []
    assert promise.measured


@pytest.mark.parametrize("name", ALONE)
def test_the_promise_is_kept(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.parametrize("name", WITH_SERVICES)
def test_the_promise_is_kept_while_the_services_break(name: str, tmp_path: Path) -> None:
    needed("PostgreSQL", postgres_binaries())
    needed("Redis", redis_binary())
    check(name, tmp_path)


def test_every_fault_has_its_row_with_what_was_promised_and_what_was_measured() -> None:
    table = (ROOT / "docs" / "reliability.md").read_text().split("## Single faults")[1]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\S.*?) \| (\S.*?) \|$", table, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(FAULTS)


def test_every_fault_has_a_promise() -> None:
    assert len(FAULTS) >= 15
    assert all(sentence and not sentence.endswith(".") for sentence, _ in FAULTS.values())
