"""CSV (RFC 4180) for people to download, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

from flask import Response

# A cell that begins with one of these can be a formula, full-width ones too (OWASP, CSV Injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
BATCH = 500  # lines that are sent at once


def send_csv(name: str, columns: Sequence[str], rows: Iterator[Sequence[str]]) -> Response:
    """The download `name-DAY.csv`, sent while `rows` are read. What fails before the first is still an error page."""
    first = next(rows, None)
    lines = write_csv(columns, rows if first is None else chain((first,), rows))
    headers = {"Content-Disposition": f'attachment; filename="{name}-{datetime.now(UTC):%Y-%m-%d}.csv"'}
    return Response(lines, mimetype="text/csv", headers=headers)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The header, then a line for each of `rows`, in pieces of up to BATCH lines."""
    yield _lines([columns])
    rest = iter(rows)
    while lines := [row for _, row in zip(range(BATCH), rest, strict=False)]:
        yield _lines(lines)


def safe_cell(text: str) -> str:
    """`text`, behind an apostrophe if a spreadsheet could take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _lines(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()
