"""Builds what the settings name. What speaks HTTP takes a while to load: only where something is named is it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from letstalk.core.clock import Clock
from letstalk.sso.provider import JwtIssuerOptions, OpenIdOptions

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


def build_openid_provider(options: OpenIdOptions | None, clock: Clock) -> OpenIdProvider | None:
    """None where there is none."""
    if options is None:
        return None
    from letstalk.sso.openid import OpenIdProvider

    return OpenIdProvider(options, clock)


def build_jwt_issuers(issuers: Sequence[JwtIssuerOptions], clock: Clock) -> JwtIssuers | None:
    """None where there is none. Raises ValueError for keys or algorithms that can't be used."""
    if not issuers:
        return None
    from letstalk.sso.jwt_issuers import JwtIssuers

    return JwtIssuers(issuers, clock)
