"""Something that a person should look at now. Any feature can say so; the Overview shows it first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from letstalk.core.actors import Actor


@dataclass(frozen=True, slots=True)
class Attention:
    """What is wrong, in a `sentence`, and what to do (`remedy`). `path` is the page about it, called `page`.

    It `is_urgent` if calls fail or are refused now.
    """

    sentence: str
    remedy: str
    page: str
    path: str
    is_urgent: bool = False


# What this actor, who may see the owners that were granted, should look at.
AttentionSource = Callable[[Actor], Sequence[Attention]]
