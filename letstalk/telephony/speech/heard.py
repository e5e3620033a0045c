"""What a recogniser understood of the codes: the figures of docs/ear.md, in `heard.csv`.

One reading of six digits on a clean line, by Whisper base, in November 2026. A language that is not in the table was
not measured.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Heard:
    """`right` of `codes` were understood; `low` and `high` are Wilson's interval at 95 %, in percent.

    `voice` spoke them: a packaged voice, or a person's recorded digits (`is_person`), never the voice of the calls.
    """

    right: int
    codes: int
    low: int
    high: int
    voice: str
    is_person: bool

    def __str__(self) -> str:
        """As docs/languages.md has it: "36 of 40 [77-96 %]"."""
        figure = f"{self.right} of {self.codes} [{self.low}-{self.high} %]"
        return f"{figure}, a person's digits" if self.is_person else figure


def heard_in(tag: str) -> Heard | None:
    """What was understood in the language `tag`, such as `de-DE`. None: it was not measured."""
    return _table().get(tag)


@cache
def _table() -> dict[str, Heard]:
    table = (files("letstalk.telephony.speech") / "heard.csv").read_text(encoding="utf-8")
    heard = {}
    for row in csv.DictReader(table.splitlines()):
        right, codes, low, high = (int(row[name]) for name in ("right", "codes", "low", "high"))
        heard[row["language"]] = Heard(right, codes, low, high, row["voice"], row["person"] == "yes")
    return heard
