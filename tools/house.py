"""How large the house is, and whether its imports point one way: `make house` prints it.

The numbers that are promised stand beside those that are measured; the exit status is 1 where one is not kept.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "letstalk"

# Each package may import those before it. `wiring` and what starts the program import every feature.
ORDER = (
    *("core", "config", "observability", "db", "http", "worker", "telephony", "audit", "mail", "events"),
    *("calls", "tokens", "test_numbers", "speaking", "connect", "verifications", "twilio", "statistics"),
    *("accounts", "sso", "operations"),
)
TOP = (
    "wiring",
    "wiring_accounts",
    "wiring_events",
    "wiring_http",
    "wiring_search",
    "commands",
    "services",
)  # modules, and packages, above all features

MOST_MODULES = 430  # 47 of them are languages, and 11 the kinds of connections
MOST_LINES = 51_000  # 27,500 before the dashboard, connections, Twilio's API and events (issues 18 to 20)
MOST_IMPORTED_BY_API = 47  # with those of a spoken call, which GET /calls/{call_id} finds too
MOST_FILES_OF_A_CHECK = 24  # two of them record the event for apps

_COUNT_IMPORTED = """
import sys
import letstalk.verifications.api
print(sum(name == "letstalk" or name.startswith("letstalk.") for name in sys.modules))
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: `measured` must be `promised` or less."""

    name: str
    measured: int
    promised: int

    @property
    def is_kept(self) -> bool:
        return self.measured <= self.promised


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    """`letstalk/tokens/api.py` belongs to `tokens`, `letstalk/wiring.py` to `wiring`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> Iterator[str]:
    """The full name of each module, and of each name from one, that the file imports."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_allowed(package: str, imported: str) -> bool:
    """Whether a module of `package` may import `imported`, such as `letstalk.db.database.Database`."""
    inside = imported.removeprefix("letstalk.").split(".")[0]
    if package == "__init__" or inside == "__version__" or inside == package:
        return True
    if package in TOP:
        return True
    return inside in ORDER and ORDER.index(inside) < ORDER.index(package)


def wrong_imports(path: Path) -> list[str]:
    """What the file imports although its package must not."""
    package = package_of(path)
    ours = (name for name in imports_of(path) if name.startswith("letstalk."))
    return [name for name in ours if not is_allowed(package, name)]


def measure() -> list[Figure]:
    paths = modules()
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    imported = int(_run(_COUNT_IMPORTED))
    return [
        Figure("imports against the order", sum(len(wrong_imports(path)) for path in paths), 0),
        Figure("modules", len(paths), MOST_MODULES),
        Figure("lines", lines, MOST_LINES),
        Figure("modules that verifications.api imports", imported, MOST_IMPORTED_BY_API),
        Figure("files that one POST /calls/verify runs", len(files_of_a_check()), MOST_FILES_OF_A_CHECK),
    ]


def files_of_a_check() -> list[str]:
    """The files of ours that one accepted `POST /calls/verify` runs, traced in a process of its own."""
    return _run("from tools.traced_check import main; main()").split()


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> int:
    figures = measure()
    for figure in figures:
        verdict = "kept" if figure.is_kept else "NOT KEPT"
        print(f"{figure.name:42} {figure.measured:6}  at most {figure.promised:6}  {verdict}")
    for path in modules():
        for name in wrong_imports(path):
            print(f"  {path.relative_to(ROOT)} must not import {name}")
    return 0 if all(figure.is_kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
