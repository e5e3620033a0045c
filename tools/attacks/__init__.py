"""Known attacks against a running service.

    python -m tools.attacks --base http://127.0.0.1:5000 --token lt_…

The token is an admin token. The attacks make tokens of their own and revoke them. They connect to loopback only, and
call numbers that are reserved for fiction. Each module is one family of attacks. Each attack states a promise, tries
to break it a limited number of times, and records what it saw. Nothing of `letstalk` is imported here.
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
    twilio,
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
    "twilio": twilio.ATTACKS,
    "webhooks": webhooks.ATTACKS,
    "hosts": hosts.ATTACKS,
    "injections": injections.ATTACKS,
    "resources": resources.ATTACKS,
    "wire": wire.ATTACKS,
    "timing": timing.ATTACKS,
    "pages": pages.ATTACKS,
}

__all__ = ["FAMILIES"]
