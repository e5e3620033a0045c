"""What a token may do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from letstalk.core.errors import InvalidRequest


class Scope(StrEnum):
    CALLS_READ = "calls:read"  # read verifications and their calls
    OTP_SEND = "otp:send"  # start a call with a code
    OTP_VERIFY = "otp:verify"  # check a code
    OTP_REPLAY = "otp:replay"  # repeat a code
    OTP_SPEAK = "otp:speak"  # have a code spoken that somebody else made
    CALLS_CANCEL = "calls:cancel"  # cancel a verification
    TOKENS_READ = "tokens:read"  # read tokens
    TOKENS_WRITE = "tokens:write"  # create, change, rotate and revoke tokens
    TEST_NUMBERS_WRITE = "test_numbers:write"  # see and manage test numbers, with their codes
    WEBHOOKS_WRITE = "webhooks:write"  # see and manage webhook endpoints
    CONNECTIONS_WRITE = "connections:write"  # see and manage connections, which have codes spoken
    ADMIN = "admin"  # everything, for all owners


ALL_SCOPES = frozenset(Scope)

BUNDLES: dict[str, frozenset[Scope]] = {
    "read": frozenset({Scope.CALLS_READ}),
    "write": frozenset({Scope.OTP_SEND, Scope.OTP_VERIFY, Scope.OTP_REPLAY, Scope.CALLS_CANCEL}),
    "admin": ALL_SCOPES,
}

SCOPE_NAMES: tuple[str, ...] = ("read", "write", *(scope.value for scope in Scope))


def expand_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes that `names` (scopes or bundles of them) include. Raises InvalidRequest for an unknown name."""
    granted: set[Scope] = set()
    for name in names:
        if name in BUNDLES:
            granted |= BUNDLES[name]
        elif name in SCOPE_NAMES:
            granted.add(Scope(name))
        else:
            known = ", ".join(SCOPE_NAMES)
            raise InvalidRequest.in_field("scopes", f"Unknown scope {name!r}. The scopes are: {known}.")
    return frozenset(granted)
