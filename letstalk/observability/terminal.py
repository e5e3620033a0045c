"""What is shown on a terminal: text of others must not move its cursor, colour it, or turn its words around."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

# C0, DEL and C1 (ISO/IEC 6429: escape sequences begin with one of them); marks and overrides of the direction of text
# (Unicode Standard Annex 9); separators of lines and paragraphs; and lone surrogates, which no terminal can be sent.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]")


def has_controls(text: str) -> bool:
    """Whether `escape_controls` would change `text`."""
    return _CONTROLS.search(text) is not None


def escape_controls(text: str, keep: str = "") -> str:
    r"""`text` with each control character as `\x1b` or `\u202e`, but for those in `keep`."""
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def escape_json(document: str) -> str:
    r"""The same JSON, with each control character in its texts as `\u001b`. Its own line breaks are kept."""
    return _CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", document)


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line on standard output, or on standard error."""
    click.echo(escape_controls(text), err=err)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equally many cells, the header first, in columns."""
    shown = [[escape_controls(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
