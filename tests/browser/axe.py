"""axe-core in a page: what it finds against WCAG 2.2 AA and best practice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from tests.support.npm_packages import installed_modules
from tests.support.services import needed

FOLDER = Path(__file__).parents[1] / "support" / "axe"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """
([tags, without]) => axe.run(document, {
  runOnly: tags,
  rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
  resultTypes: ['violations'],
})
"""


def axe_source() -> str:
    """The script, for each page of a context: `add_init_script`."""
    return (needed("axe-core, by npm", installed_modules(FOLDER)) / "axe-core" / "axe.min.js").read_text()


def axe_findings(page: Page, without: Sequence[str] = ()) -> list[str]:
    """A line for each finding, but for those of the rules in `without`."""
    found = page.evaluate(RUN, [RULES, list(without)])
    return [
        f"{violation['id']}: {violation['help']}: {node['target']} {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"][:3]
    ]
