"""What a token may do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from letstalk.core.errors import InvalidRequest


class Scope(StrEnum):
    CALLS_READ = "calls:read"  # see verifications and their calls
    OTP_SEND = "otp:send"  # have a phone called
    OTP_VERIFY = "otp:verify"  # check a code
    OTP_REPLAY = "otp:replay"  # have a code spoken again
    CALLS_CANCEL = "calls:cancel"  # end a verification
    TOKENS_READ = "tokens:read"  # see tokens
    TOKENS_WRITE = "tokens:write"  # make, change, rotate and revoke tokens
    ADMIN = "admin"  # everything, over all owners' tokens


ALL_SCOPES = frozenset(Scope)

BUNDLES: dict[str, frozenset[Scope]] = {
    "read": frozenset({Scope.CALLS_READ}),
    "write": frozenset({Scope.OTP_SEND, Scope.OTP_VERIFY, Scope.OTP_REPLAY, Scope.CALLS_CANCEL}),
    "admin": ALL_SCOPES,
}

SCOPE_NAMES: tuple[str, ...] = ("read", "write", *(scope.value for scope in Scope))


def expand_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """The single rights that `names` (bundles or fine scopes) stand for.

    Raises InvalidRequest for a name that is no scope.
    """
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
