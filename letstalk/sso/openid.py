"""An OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).

Authlib makes the requests and checks the claims of an ID token; joserfc checks its signature. Authlib's Flask client is
not used: it keeps state, nonce and verifier in the browser's session, where a replayed callback finds them again, and
it accepts any algorithm that the provider names.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core.claims import CodeIDToken

from letstalk.core.clock import Clock
from letstalk.observability.logs import get_logger
from letstalk.sso.keys import KEY_TYPE_OF, LEEWAY_SECONDS, MALFORMED, PublishedKeys, read_signed
from letstalk.sso.models import (
    Identity,
    IdentityRefused,
    OpenIdOptions,
    ProviderUnavailable,
    is_subject,
    judgements,
    read_identity,
)
from letstalk.sso.provider_client import ProviderClient, TtlCache, ask_provider, ensure_https, get_json

DISCOVERY_PATH = "/.well-known/openid-configuration"
# Authlib knows no hash for the name Ed25519, which the `at_hash` of an ID token requires.
ALGORITHMS = frozenset(KEY_TYPE_OF) - {"Ed25519"}
# Entra ID has no email_verified. This claim of its says whether the domain of the address is the tenant's.
DOMAIN_CLAIM = "xms_edov"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

log = get_logger(__name__)


class OpenIdProvider:
    """One provider. Every method may use the network: call none within a database transaction."""

    def __init__(self, options: OpenIdOptions, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._metadata = TtlCache(self._discover, monotonic)
        self._keys = PublishedKeys(lambda: str(self._metadata.get()["jwks_uri"]), monotonic)

    def authorization_url(self, *, state: str, nonce: str, verifier: str, redirect_uri: str | None = None) -> str:
        """The address to send the browser to, which comes back to `redirect_uri`, by default the dashboard's. Raises
        ProviderUnavailable.
        """
        options = self._options
        url, _ = self._client(None).create_authorization_url(
            self._metadata.get()["authorization_endpoint"],
            state=state,
            code_verifier=verifier,
            nonce=nonce,
            redirect_uri=redirect_uri or options.redirect_url,
            scope=options.scopes,
        )
        return str(url)

    def ensure_sender(self, issuer: str | None) -> None:
        """Raises IdentityRefused for a callback from another provider (RFC 9207); ProviderUnavailable."""
        promised = self._metadata.get().get("authorization_response_iss_parameter_supported") is True
        if (promised or issuer is not None) and issuer != self._options.issuer:
            raise IdentityRefused("issuer")

    def identify(self, code: str, *, nonce: str, verifier: str, redirect_uri: str | None = None) -> Identity:
        """The person who signed in at the provider. Raises IdentityRefused, ProviderUnavailable."""
        return ask_provider(lambda: self._identify(code, nonce, verifier, redirect_uri or self._options.redirect_url))

    def _identify(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> Identity:
        with ProviderClient() as connection:
            tokens = self._exchange(connection, code, verifier, redirect_uri)
            sources, is_incomplete = [self._read_id_token(tokens, nonce)], False
            names_address = sources[0].get("email") is not None
            if not names_address or not judgements(sources[0], DOMAIN_CLAIM):
                try:
                    sources.append(self._more_claims(connection, tokens, sources[0]["sub"]))
                except ProviderUnavailable as error:
                    if not names_address:
                        raise
                    # Who is linked needs no judgement of their address, and not every token is one for userinfo.
                    log.warning("sso_userinfo_away", reason=error.reason)
                    is_incomplete = True
        identity = read_identity(self._options.issuer, *sources, domain_claim=DOMAIN_CLAIM)
        return replace(identity, is_incomplete=is_incomplete)

    def _exchange(self, connection: httpx.Client, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        options, metadata = self._options, self._metadata.get()
        auth, in_body = None, {"client_id": options.client_id}
        if options.client_secret is not None:
            if _requires_secret_in_body(metadata):
                in_body["client_secret"] = options.client_secret
            else:
                # RFC 6749, section 2.3.1: each is encoded before the two are joined by a colon.
                auth = httpx.BasicAuth(quote(options.client_id, safe=""), quote(options.client_secret, safe=""))
                in_body = {}
        try:
            tokens = self._client(connection).fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=redirect_uri,
                auth=auth or _NO_AUTH,
                **in_body,
            )
        except AuthlibBaseError as error:
            # `invalid_grant`: the code was used, has expired, or belongs to another client.
            raise IdentityRefused(f"code: {str(error.error)[:60]}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(type(error).__name__) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise ProviderUnavailable("a response that is no set of tokens") from None
        return dict(tokens)

    def _read_id_token(self, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise IdentityRefused("no ID token")
        named = self._metadata.get().get("id_token_signing_alg_values_supported")
        algorithms = ALGORITHMS & {str(name) for name in named} if isinstance(named, list) else {"RS256"}
        signed = read_signed(text, self._keys, algorithms)
        options = {
            "iss": {"essential": True, "value": self._options.issuer},
            "aud": {"essential": True, "value": self._options.client_id},
        }
        # No `client_id`: Authlib would require `azp` beside several audiences, as Core 1.0 did before errata set 2.
        parameters = {"nonce": nonce, "access_token": tokens.get("access_token")}
        try:
            claims = CodeIDToken(signed.claims, signed.header, options, parameters)
            claims.validate(now=int(self._clock().timestamp()), leeway=LEEWAY_SECONDS)
        except MALFORMED as error:
            raise IdentityRefused(f"ID token: {getattr(error, 'claim', None) or type(error).__name__}") from None
        # Core 1.0, section 3.1.3.7. That the token is for us is known by our code and nonce, whoever else may read it.
        if claims.get("azp") not in (None, self._options.client_id):
            raise IdentityRefused("ID token: azp")
        if not is_subject(claims["sub"]):
            raise IdentityRefused("ID token: sub")
        return dict(claims)

    def _more_claims(self, connection: httpx.Client, tokens: dict[str, Any], subject: str) -> dict[str, Any]:
        """The claims at the userinfo endpoint. They must be about the same subject (Core 1.0, section 5.3.2)."""
        url, access_token = self._metadata.get().get("userinfo_endpoint"), tokens.get("access_token")
        if not isinstance(url, str) or not isinstance(access_token, str) or not access_token.isascii():
            return {}
        claims = get_json(connection, url, {"Authorization": f"Bearer {access_token}"})
        if claims.get("sub") != subject:
            raise IdentityRefused("userinfo: sub")
        return claims

    def _discover(self) -> dict[str, Any]:
        with ProviderClient() as client:
            metadata = get_json(client, self._options.issuer.rstrip("/") + DISCOVERY_PATH)
        # Discovery 1.0, section 4.3: the issuer must be the one that was asked.
        if metadata.get("issuer") != self._options.issuer:
            raise ProviderUnavailable("the discovery document names another issuer")
        for name in ENDPOINTS:
            ensure_https(str(metadata.get(name)))
        return metadata

    def _client(self, connection: httpx.Client | None) -> Any:
        return OAuth2Client(connection, client_id=self._options.client_id, code_challenge_method="S256")


class _NoAuth(httpx.Auth):
    """Adds nothing. With None, Authlib would choose a method itself."""


_NO_AUTH = _NoAuth()


def _requires_secret_in_body(metadata: dict[str, Any]) -> bool:
    """Discovery 1.0, section 3: by default the secret goes into the header."""
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods
