"""The part of the composition root that knows whose word we take on who a person is."""

from __future__ import annotations

from letstalk.accounts.models import Role
from letstalk.accounts.services import ForeignSignIns
from letstalk.config.settings import Settings, SettingsError
from letstalk.core.clock import Clock
from letstalk.sso.provider import JwtIssuerOptions, OpenIdOptions, build_jwt_issuers, build_openid_provider
from letstalk.sso.service import SingleSignOnOptions

SSO_PATH = "/api/auth/sso"


def build_foreign_sign_ins(settings: Settings, clock: Clock) -> ForeignSignIns:
    """Who may vouch for people, as the settings say. Raises SettingsError for keys that can't be used."""
    openid, options = None, None
    if settings.oidc_issuer is not None:
        secret = settings.oidc_client_secret
        openid = OpenIdOptions(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id or "",
            client_secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.oidc_scopes,
            redirect_url=f"{settings.public_url}{SSO_PATH}/callback",
        )
        options = SingleSignOnOptions(
            name=settings.oidc_name,
            # On the host where the callback will end: the cookie that binds the two belongs to one.
            start_url=f"{settings.public_url}{SSO_PATH}/start",
            sign_up=_role(settings.oidc_sign_up),
        )
    issuers = [
        JwtIssuerOptions(each.issuer, each.audience, tuple(each.algorithms), each.jwks_url, each.public_key)
        for each in settings.jwt_issuers
    ]
    try:
        jwt_issuers = build_jwt_issuers(issuers, clock)
    except ValueError as error:
        raise SettingsError(f"JWT_ISSUERS can't be used: {error}") from None
    return ForeignSignIns(
        openid=build_openid_provider(openid, clock),
        single_sign_on=options,
        jwt_issuers=jwt_issuers,
        jwt_sign_up={each.issuer: _role(each.sign_up) for each in settings.jwt_issuers},
    )


def _role(sign_up: str) -> Role | None:
    return None if sign_up == "off" else Role(sign_up)
