"""The attacker: plays known attacks against a running service, and says what it saw.

    python -m tools.attacks --base http://127.0.0.1:5000 --token lt_… (of an `admin`; it makes and revokes its own)

It goes to loopback only and calls numbers that are kept for fiction, which belong to nobody. One family of attacks a
module, in the order of `FAMILIES`; each attack says what was promised, tries to break it a bounded number of times, and
writes down what it saw. It knows the service from outside only: nothing of `letstalk` is imported here.
"""

from __future__ import annotations

from tools.attacks import (
    calls,
    codes,
    hosts,
    injections,
    owners,
    pages,
    resources,
    scopes,
    timing,
    tokens,
    webhooks,
    wire,
)
from tools.attacks.trials import Attack

# The sign-in page last: its attacks use up the tries that an address has.
FAMILIES: dict[str, tuple[Attack, ...]] = {
    "tokens": tokens.ATTACKS,
    "scopes": scopes.ATTACKS,
    "owners": owners.ATTACKS,
    "codes": codes.ATTACKS,
    "calls": calls.ATTACKS,
    "webhooks": webhooks.ATTACKS,
    "hosts": hosts.ATTACKS,
    "injections": injections.ATTACKS,
    "resources": resources.ATTACKS,
    "wire": wire.ATTACKS,
    "timing": timing.ATTACKS,
    "pages": pages.ATTACKS,
}

__all__ = ["FAMILIES"]
