"""The services of single sign-on, built together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from letstalk.accounts.models import Role
from letstalk.accounts.services import Accounts
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.sso.identities import IdentityService
from letstalk.sso.jwt_bearer import JwtBearerService
from letstalk.sso.service import SingleSignOnOptions, SingleSignOnService

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


@dataclass(frozen=True, slots=True)
class TrustedProviders:
    """Who may say who a person is; by default nobody. `jwt_sign_up` holds, by issuer, the role that a person without
    an account gets.
    """

    openid: OpenIdProvider | None = None
    openid_options: SingleSignOnOptions | None = None
    jwt_issuers: JwtIssuers | None = None
    jwt_sign_up: Mapping[str, Role | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    identities: IdentityService
    openid: SingleSignOnService
    jwt_bearer: JwtBearerService


def build_single_sign_on(
    db: Database, vault: Vault, audit: AuditTrail, clock: Clock, accounts: Accounts, providers: TrustedProviders
) -> SingleSignOn:
    identities = IdentityService(db, accounts.service, audit, clock)
    return SingleSignOn(
        identities=identities,
        openid=SingleSignOnService(db, vault, providers.openid, identities, audit, clock, providers.openid_options),
        jwt_bearer=JwtBearerService(db, providers.jwt_issuers, identities, accounts.sign_ins, providers.jwt_sign_up),
    )
