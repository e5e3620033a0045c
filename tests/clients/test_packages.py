"""`make clients` builds what people install: the wheel works outside the repository, and the tarball has its types."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.services import needed, npm_binary


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make clients` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    options = ["--quiet", "--offline", "--no-config", "--wheel", "--out-dir", str(folder)]
    subprocess.run([str(uv), "build", *options, str(ROOT / "clients" / "python")], check=True, timeout=60)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_is_typed_and_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in names:
            archive.extract(name, tmp_path)
    assert {"letstalk_client/py.typed", "letstalk_client/client.py", "letstalk_client/webhooks.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test" in name]
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import letstalk_client
print(letstalk_client.Client("https://a.example", "lt_x"), "django" in sys.modules, letstalk_client.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"Client('https://a.example') False {tmp_path}/letstalk_client/__init__.py\n"


def test_the_tarball_has_the_modules_and_their_types_and_no_tests(tmp_path: Path) -> None:
    npm = needed("npm", npm_binary())
    subprocess.run(
        [npm, "pack", "--silent", "--pack-destination", tmp_path, ROOT / "clients" / "javascript"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    [built] = tmp_path.glob("*.tgz")
    with tarfile.open(built) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
    sources = {f"src/{path.name}" for path in (ROOT / "clients" / "javascript" / "src").iterdir()}
    assert names == {"package.json", "README.md", "LICENSE", *sources}
    assert {"src/index.d.ts", "src/api.d.ts", "src/better-auth.js"} <= names


def test_both_packages_have_the_same_version() -> None:
    versions = [
        line.split('"')[-2]
        for path, start in (
            ("python/pyproject.toml", "version = "),
            ("javascript/package.json", '  "version": '),
            ("javascript/src/client.js", "export const VERSION = "),
        )
        for line in (ROOT / "clients" / path).read_text(encoding="utf-8").splitlines()
        if line.startswith(start)
    ]
    assert len(versions) == 3
    assert len(set(versions)) == 1
