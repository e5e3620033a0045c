"""What the tests, and the programs that they start, see of the outside: no settings of the caller's, and no `.env`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping

# Where programs and their caches are, and what pytest's own processes tell each other. All else goes.
KEPT = frozenset({"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "XDG_CACHE_HOME", "REQUIRE_ALL"})
KEPT_PREFIXES = ("PYTEST_", "npm_config_")
# Only npm reaches the network, to fetch what one kind of test runs: it may go through the caller's proxy.
NPM_NAMES = {
    "http_proxy": "npm_config_proxy",
    "https_proxy": "npm_config_https_proxy",
    "node_extra_ca_certs": "npm_config_cafile",
}
# The project's `.env` is not read by our settings (the first), nor put into the environment by `flask` (the second).
NO_ENV_FILE = {"ENV_FILE": os.devnull, "FLASK_SKIP_DOTENV": "1"}
ENGLISH = {"LC_ALL": "C.UTF-8"}


def environment_for_programs(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a program that is told `settings` and nothing else."""
    return {"PATH": os.environ["PATH"], **NO_ENV_FILE, **ENGLISH, **(settings or {})}


def leave_the_caller_behind(environment: MutableMapping[str, str]) -> None:
    """Take out of a process's environment whatever a test, or a program that inherits it, could be led astray by."""
    for_npm = {
        NPM_NAMES[name.lower()]: value for name, value in environment.items() if value and name.lower() in NPM_NAMES
    }
    for name in _names_to_drop(environment):
        del environment[name]
    environment.update({**for_npm, **NO_ENV_FILE, **ENGLISH})


def _names_to_drop(names: Iterable[str]) -> list[str]:
    kept = [name for name in names if name in KEPT or name.startswith(KEPT_PREFIXES)]
    return [name for name in names if name not in kept or name == "PYTEST_ADDOPTS"]
