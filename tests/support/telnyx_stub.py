"""`python -m tests.support.telnyx_stub`: the stand-in as `python -m tests.support.fake_telnyx` starts it, a second
sooner.

It reads the types of three commands, for which Telnyx's SDK imports those of all its hundreds of calls. Its packages
are laid out empty here, so that of their modules those alone are imported that are asked for.
"""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def lay_out(name: str, folder: Path) -> None:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


found = find_spec("telnyx")
assert found is not None
assert found.submodule_search_locations is not None
sdk = Path(found.submodule_search_locations[0])
lay_out("telnyx", sdk)
lay_out("telnyx.types", sdk / "types")
lay_out("telnyx.types.calls", sdk / "types" / "calls")
runpy.run_module("tests.support.fake_telnyx", run_name="__main__", alter_sys=True)
