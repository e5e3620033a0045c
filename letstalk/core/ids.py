"""Ids that grow with time, so that the newest stand together in an index."""

from __future__ import annotations

import os
from datetime import datetime

_VERSION, _VARIANT = 0x7 << 76, 0x2 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)  # all that version and variant leave


def new_id(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of `now` in milliseconds, then 74 random ones.

    A random id falls anywhere into its index: each transaction would change, log and bring into the file a page of
    its own there (tools/benchmarks/tries.md). Not a secret, and nothing is allowed for knowing it.
    """
    moment = int(now.timestamp() * 1000) << 80
    digits = f"{moment | _VERSION | _VARIANT | (int.from_bytes(os.urandom(10)) & _RANDOM_BITS):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
