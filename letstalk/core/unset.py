"""The value of a field that a change does not name."""

from __future__ import annotations

from enum import Enum


class Unset(Enum):
    """UNSET leaves a value as it is. None clears it."""

    UNSET = "unset"


UNSET = Unset.UNSET
