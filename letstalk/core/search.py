"""What a search of the dashboard finds. Any feature can add its own: see `wiring_search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from letstalk.core.actors import Actor

MOST_OF_A_KIND = 6


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found: its `kind`, what it is called (`title`), more about it (`note`), and its page."""

    kind: str
    title: str
    note: str
    path: str


# What this actor, who may see the owners that were granted, finds by a text of 1 to 200 printable characters.
SearchSource = Callable[[Actor, str], Sequence[Hit]]
