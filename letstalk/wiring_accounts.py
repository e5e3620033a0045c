"""The part of the composition root about signing in: accounts, single sign-on, mail, and their routes."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint

from letstalk.accounts import api as accounts_api
from letstalk.accounts import auth_api, pages, profile_pages, sign_in_pages
from letstalk.accounts.authentication import BrowserSessions
from letstalk.accounts.models import Role, SignInProvider
from letstalk.accounts.owner_sessions import OwnerSessionService
from letstalk.accounts.passwords import PasswordRules
from letstalk.accounts.services import Accounts, AccountsDependencies, AccountsOptions, build_accounts
from letstalk.audit.service import AuditTrail
from letstalk.config.settings import Settings, SettingsError
from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.http.openapi import ApiRoutes
from letstalk.mail.outbox import MailService
from letstalk.mail.transports import build_transport
from letstalk.sso import api as sso_api
from letstalk.sso import service as sso_service
from letstalk.sso.identities import IdentityService
from letstalk.sso.models import JwtIssuerOptions, OpenIdOptions

SSO_PATH = "/api/auth/sso"


def make_accounts(given: AccountsDependencies, settings: Settings) -> Accounts:
    """The services about accounts. Raises SettingsError where nobody could sign in any more."""
    options = AccountsOptions(
        brand_name=settings.brand_name,
        default_region=settings.default_region,
        owner_may_sign_in=settings.owner_sign_in,
        password_rules=PasswordRules(settings.password_rules),
        access_token_seconds=settings.access_token_seconds,
        refresh_token_seconds=settings.refresh_token_seconds,
        registration_is_open=settings.registration == "open",
    )
    accounts = build_accounts(given, options)
    if not settings.owner_sign_in and not accounts.service.has_active_admin():
        raise SettingsError("OWNER_SIGN_IN=off requires an active admin account: flask accounts create")
    return accounts


def make_mails(
    settings: Settings, db: Database, vault: Vault, clock: Clock, wake: Callable[[str], None]
) -> MailService:
    return MailService(db, vault, build_transport(settings), clock, wake)


def make_single_sign_on(
    settings: Settings, db: Database, vault: Vault, audit: AuditTrail, clock: Clock, accounts: Accounts
) -> sso_service.SingleSignOn:
    """Raises SettingsError for keys of JWT_ISSUERS that can't be used."""
    provider, options, jwt_issuers = None, None, None
    # The two imports in this function take long, because they import an HTTP client.
    if settings.oidc_issuer is not None:
        from letstalk.sso.openid import OpenIdProvider

        secret = settings.oidc_client_secret
        openid = OpenIdOptions(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id or "",
            client_secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.oidc_scopes,
            redirect_url=f"{settings.public_url}{SSO_PATH}/callback",
        )
        provider = OpenIdProvider(openid, clock)
        options = sso_service.SingleSignOnOptions(
            name=settings.oidc_name,
            # On the host of the callback: the cookie that binds the two belongs to one host.
            start_url=f"{settings.public_url}{SSO_PATH}/start",
            sign_up=_sign_up_role(settings.oidc_sign_up),
            redirect_uris=settings.oidc_redirect_uris,
        )
    if settings.jwt_issuers:
        from letstalk.sso.jwt_issuers import JwtIssuers

        issuers = [
            JwtIssuerOptions(each.issuer, each.audience, tuple(each.algorithms), each.jwks_url, each.public_key)
            for each in settings.jwt_issuers
        ]
        try:
            jwt_issuers = JwtIssuers(issuers, clock)
        except ValueError as error:
            raise SettingsError(f"JWT_ISSUERS can't be used: {error}") from None
    identities = IdentityService(db, accounts.service, audit, clock)
    sign_up = {each.issuer: _sign_up_role(each.sign_up) for each in settings.jwt_issuers}
    return sso_service.SingleSignOn(
        identities=identities,
        openid=sso_service.SingleSignOnService(db, vault, provider, identities, audit, clock, options),
        jwt_bearer=sso_service.JwtBearerService(db, jwt_issuers, identities, accounts, sign_up),
    )


def make_account_apis(
    accounts: Accounts, single_sign_on: sso_service.SingleSignOn, browser_sessions: BrowserSessions
) -> list[ApiRoutes]:
    signing_in, *others = auth_api.make_blueprints(accounts)
    # The API's description lists them in this order.
    return [
        signing_in,
        sso_api.make_blueprint(single_sign_on, accounts, browser_sessions),
        *others,
        accounts_api.make_blueprint(accounts),
    ]


def make_account_pages(
    accounts: Accounts,
    single_sign_on: sso_service.SingleSignOn,
    owner_sessions: OwnerSessionService,
    browser_sessions: BrowserSessions,
    audit: AuditTrail,
) -> list[Blueprint]:
    options = single_sign_on.openid.options
    provider = None if options is None else SignInProvider(options.name, options.start_url)
    return [
        sign_in_pages.make_blueprint(accounts, owner_sessions, browser_sessions, audit, provider),
        pages.make_blueprint(accounts),
        profile_pages.make_blueprint(accounts, provider),
    ]


def _sign_up_role(sign_up: str) -> Role | None:
    return None if sign_up == "off" else Role(sign_up)
