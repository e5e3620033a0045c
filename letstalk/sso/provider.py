"""Building the providers that the settings name, and the errors of asking them.

What speaks HTTP takes long to import, so it is imported only where a provider is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from letstalk.core.clock import Clock
from letstalk.sso.models import JwtIssuerOptions, OpenIdOptions

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


class IdentityRefused(Exception):
    """The presented code or token proves nothing. `reason` is for the log and the audit trail, never for a response."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProviderUnavailable(Exception):
    """The provider did not respond, or its response is invalid: try again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def build_openid_provider(options: OpenIdOptions | None, clock: Clock) -> OpenIdProvider | None:
    """None without `options`."""
    if options is None:
        return None
    from letstalk.sso.openid import OpenIdProvider

    return OpenIdProvider(options, clock)


def build_jwt_issuers(issuers: Sequence[JwtIssuerOptions], clock: Clock) -> JwtIssuers | None:
    """None without `issuers`. Raises ValueError for keys or algorithms that can't be used."""
    if not issuers:
        return None
    from letstalk.sso.jwt_issuers import JwtIssuers

    return JwtIssuers(issuers, clock)
