"""Builds the providers in the settings. Their HTTP libraries are slow to import, so only then are they imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from letstalk.core.clock import Clock
from letstalk.sso.provider import JwtIssuerOptions, OpenIdOptions

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


def build_openid_provider(options: OpenIdOptions | None, clock: Clock) -> OpenIdProvider | None:
    """None if no provider is set."""
    if options is None:
        return None
    from letstalk.sso.openid import OpenIdProvider

    return OpenIdProvider(options, clock)


def build_jwt_issuers(issuers: Sequence[JwtIssuerOptions], clock: Clock) -> JwtIssuers | None:
    """None if no issuer is set. Raises ValueError for keys or algorithms that cannot be used."""
    if not issuers:
        return None
    from letstalk.sso.jwt_issuers import JwtIssuers

    return JwtIssuers(issuers, clock)
