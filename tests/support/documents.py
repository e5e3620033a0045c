"""The project's documents, taken apart: blocks of code, links, and what stands in code spans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "connect").glob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    path: Path
    text: str

    @property
    def prose(self) -> str:
        """Everything outside the blocks of code."""
        return _BLOCK.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [code for name, code in _BLOCK.findall(self.text) if name == language]

    def section(self, heading: str) -> Document:
        """What stands under `heading`, down to the next one that is no deeper. Raises ValueError without it."""
        # A comment in a block of code looks like a heading.
        prose = _BLOCK.sub(lambda block: "`" * len(block[0]), self.text)
        start = re.search(rf"^(#+) {re.escape(heading)}$", prose, re.MULTILINE)
        if start is None:
            raise ValueError(f"{self.path.name} has no heading {heading!r}")
        end = re.compile(rf"^#{{1,{len(start.group(1))}}} ", re.MULTILINE).search(prose, start.end())
        return Document(self.path, self.text[start.end() : end.start() if end else None])

    def spans(self) -> list[str]:
        """What is written as code: each span of the prose, each line of the blocks."""
        lines = [line.strip() for _, code in _BLOCK.findall(self.text) for line in code.splitlines()]
        return _SPAN.findall(self.prose) + lines

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """The fragments that lead to its headings, as GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(self.prose)}


def read(path: Path) -> Document:
    return Document(path, path.read_text(encoding="utf-8"))
