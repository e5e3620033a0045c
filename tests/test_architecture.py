"""The shape of the code: imports point one way, modules stay small, and names say something."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tools.house import ORDER, PACKAGE, ROOT, TOP, imports_of, is_allowed, modules, package_of, wrong_imports

MODULES = modules()
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Pure: no database, no network, and the time is an argument.
PURE = (
    *PACKAGE.glob("*/models.py"),
    PACKAGE / "calls" / "state_machine.py",
    *sorted((PACKAGE / "telephony" / "speech").rglob("*.py")),
)
PURE_MAY_IMPORT = {"letstalk", "phonenumbers", "zxcvbn"}
PLATFORM_OF_EFFECTS = ("letstalk.db", "letstalk.http", "letstalk.worker", "letstalk.observability")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common"}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_imports_point_one_way(path: Path) -> None:
    package = package_of(path)
    assert package in (*ORDER, *TOP, "__init__"), f"{package} is new: give it its place in ORDER of tools/house.py"
    wrong = wrong_imports(path)
    assert not wrong, f"{shown(path)} must not import {', '.join(wrong)}"


@pytest.mark.parametrize("path", PURE, ids=shown)
def test_a_pure_module_knows_no_database_no_network_and_no_clock(path: Path) -> None:
    names = list(imports_of(path))
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | PURE_MAY_IMPORT
    assert not [name for name in names if name.startswith(PLATFORM_OF_EFFECTS)]
    assert not [name for name in names if name.split(".")[0] in ("socket", "time", "threading", "subprocess")]
    calls = [ast.unparse(node.func) for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if call.endswith((".now", ".utcnow", ".today", "utc_now"))]


def test_the_rule_sees_what_it_should() -> None:
    assert is_allowed("tokens", "letstalk.db.database.Database")
    assert is_allowed("verifications", "letstalk.calls.lifecycle")
    assert is_allowed("wiring", "letstalk.operations.health.HealthService")
    assert not is_allowed("calls", "letstalk.verifications.models.Verification")
    assert not is_allowed("http", "letstalk.tokens.models")
    assert not is_allowed("core", "letstalk.db.crypto.Vault")
    assert not is_allowed("accounts", "letstalk.sso.models")
    assert not is_allowed("tokens", "letstalk.wiring.create_app")
    assert "letstalk.config.settings.PROJECT_ROOT" in imports_of(PACKAGE / "config" / "first_run.py")


def test_only_the_settings_read_the_environment() -> None:
    readers = [shown(path) for path in MODULES if any(_reads_the_environment(node) for node in ast.walk(_tree(path)))]
    assert readers == ["letstalk/config/settings.py"]


def _reads_the_environment(node: ast.AST) -> bool:
    """Whether it reads the environment of the process: a Flask request has one of its own, of the WSGI server."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in ("environ", "environb", "getenv") for alias in node.names)
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in ("environ", "environb", "getenv") and ast.unparse(node.value) != "request"


@pytest.mark.parametrize(("paths", "limit"), [(MODULES, 500), (TESTS, 700)], ids=["modules", "tests"])
def test_no_module_grows_too_long(paths: list[Path], limit: int) -> None:
    too_long = [shown(path) for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > limit]
    assert not too_long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [shown(path) for path in MODULES + TESTS if FORBIDDEN_NAMES & {path.stem, *path.parent.parts}]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
