"""Ids that increase with time, so that the newest rows are next to each other in an index."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID

_VERSION, _VARIANT = 0x7 << 76, 0x2 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)  # all bits except the time, the version and the variant


def new_id(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of `now` in milliseconds, then 74 random bits.

    Random ids (version 4) would spread each transaction's writes over the whole index. An id is not a secret: knowing
    one gives no access.
    """
    milliseconds = int(now.timestamp() * 1000) << 80
    return str(UUID(int=milliseconds | _VERSION | _VARIANT | (int.from_bytes(os.urandom(10)) & _RANDOM_BITS)))


def first_id(moment: datetime) -> str:
    """The smallest id that `new_id` can make at `moment`: all that are made earlier are less. Before 1970: of all."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return str(UUID(int=(milliseconds << 80) | _VERSION | _VARIANT))


def canonical_id(text: str) -> str | None:
    """A UUID as we write it; None for text that is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        return None
