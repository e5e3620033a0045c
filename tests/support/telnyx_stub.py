"""`python -m tests.support.telnyx_stub`: the same as `python -m tests.support.fake_telnyx`, a second faster to start.

The fake needs the types of a few commands, but importing them from Telnyx's SDK imports the types of hundreds of
others. Empty packages in place of the SDK's own prevent that.
"""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def add_empty_package(name: str, folder: Path) -> None:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


found = find_spec("telnyx")
assert found is not None
assert found.submodule_search_locations is not None
sdk = Path(found.submodule_search_locations[0])
add_empty_package("telnyx", sdk)
add_empty_package("telnyx.types", sdk / "types")
add_empty_package("telnyx.types.calls", sdk / "types" / "calls")
runpy.run_module("tests.support.fake_telnyx", run_name="__main__", alter_sys=True)
