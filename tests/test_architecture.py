"""The shape of the code: imports point one way, modules stay small, and names say something."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "letstalk"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAY_IMPORT_ANYTHING = {"factory", "factory_people", "factory_identities", "factory_web"}
# Which parts of letstalk a part may import besides itself. `observability` is open to all but the domain.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "domain": set(),
    "observability": set(),
    "storage": {"domain"},
    "telephony": {"domain"},
    "mailing": {"domain"},
    "identity_providers": {"domain"},
    "services": {"storage", "telephony", "mailing", "identity_providers", "domain"},
    "web": {"services", "domain", "extensions", "limit_windows"},
    "tasks": {"services", "domain", "task_storage"},
    "task_storage": set(),
    "cli": {"services", "domain", "processes", "storage.backups", "storage.db", "storage.migrations"},
    "extensions": {"limit_windows"},
    "limit_windows": set(),
    # What runs beside the requests, and the servers that start it.
    "processes": {"services", "storage.checkpoints", "storage.db", "tasks", "telephony.base"},
    "servers": {"processes", "production_server", "supervisors"},
    "production_server": set(),
    "supervisors": set(),
    # These run before there is an application.
    "secrets_files": {"storage.crypto"},
    "settings_values": set(),
    "settings_issuers": {"settings_values"},
    "settings_sources": set(),
    "settings": {"secrets_files", "settings_issuers", "settings_sources", "settings_values"},
    "first_run": {"secrets_files", "settings"},
}
DOMAIN_MAY_ALSO_IMPORT = {"letstalk", "phonenumbers"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common"}


def imports_of(path: Path) -> Iterator[str]:
    """The full name of each module, or of each name in one, that the file imports."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """`letstalk/tokens/api.py` is of the part `web`, `letstalk/tasks.py` of `tasks`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_allowed(part: str, imported: str) -> bool:
    """Whether `part` may import `imported`, such as `letstalk.db.database.Database`."""
    inside = imported.removeprefix("letstalk.")
    allowed = MAY_IMPORT[part] | {part} | (set() if part == "domain" else {"observability"})
    return inside == "__version__" or any(inside == name or inside.startswith(f"{name}.") for name in allowed)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part in MAY_IMPORT_ANYTHING:
        return
    assert part in MAY_IMPORT, f"{part} is a new part: say in MAY_IMPORT what it may import"
    wrong = [name for name in imports_of(path) if name.startswith("letstalk.") and not is_allowed(part, name)]
    assert not wrong, f"{shown(path)} must not import {', '.join(wrong)}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("domain/**/*.py")), ids=shown)
def test_the_domain_needs_only_python_and_phonenumbers(path: Path) -> None:
    packages = {name.split(".")[0] for name in imports_of(path)}
    assert packages <= sys.stdlib_module_names | DOMAIN_MAY_ALSO_IMPORT


def test_the_rule_sees_what_it_should() -> None:
    assert is_allowed("web", "letstalk.tokens.service.Tokens")
    assert is_allowed("cli", "letstalk.db.database.Database")
    assert not is_allowed("cli", "letstalk.tokens.repository.find")
    assert not is_allowed("web", "letstalk.db.database")
    assert not is_allowed("web", "letstalk.config.settings.Settings")
    assert not is_allowed("domain", "letstalk.observability.logs.get_logger")
    assert "letstalk.config.settings.PROJECT_ROOT" in imports_of(PACKAGE / "first_run.py")


def test_only_the_settings_read_the_environment() -> None:
    readers = [shown(path) for path in MODULES if any(_reads_the_environment(node) for node in ast.walk(_tree(path)))]
    assert readers == ["letstalk/config/settings.py"]


def _reads_the_environment(node: ast.AST) -> bool:
    """Whether it is the process's: a request of Flask's has one of its own, of the WSGI server."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in ("environ", "environb", "getenv") for alias in node.names)
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr in ("environ", "environb", "getenv") and ast.unparse(node.value) != "request"


@pytest.mark.parametrize(("paths", "limit"), [(MODULES, 300), (TESTS, 500)], ids=["modules", "tests"])
def test_no_module_grows_too_long(paths: list[Path], limit: int) -> None:
    too_long = [shown(path) for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > limit]
    assert not too_long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [shown(path) for path in MODULES + TESTS if FORBIDDEN_NAMES & {path.stem, *path.parent.parts}]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
