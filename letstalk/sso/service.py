"""Signing in with an OpenID Connect provider, or with the JWT of an issuer that the settings name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.models import Account, Device, Role
from letstalk.accounts.services import Accounts
from letstalk.audit.service import AuditTrail
from letstalk.core import errors
from letstalk.core.clock import Clock
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total
from letstalk.sso import repository
from letstalk.sso.identities import IdentityService
from letstalk.sso.models import IdentityRefused, ProviderUnavailable
from letstalk.sso.repository import AttemptRow

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider

log = get_logger(__name__)

METHOD = "sso"
JWT_METHOD = "jwt"
ATTEMPT_SECONDS = 600
SECRET_BYTES = 32  # 43 characters, the minimum for a verifier in RFC 7636
MAX_CALLBACK_LENGTH = 4096
RETRY_SECONDS = 30
# RFC 6749, section 4.1.2.1. All others are a no, such as `access_denied` for a person who cancels.
PASSING_ERRORS = frozenset({"server_error", "temporarily_unavailable"})


@dataclass(frozen=True, slots=True)
class SingleSignOnOptions:
    """`sign_up` is the role that a person without an account gets, None for no account; `name` is the button's text."""

    name: str
    start_url: str
    sign_up: Role | None


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters with which the provider sent the browser back."""

    state: str = ""
    code: str = ""
    issuer: str | None = None
    error: str | None = None


class SingleSignOnService:
    """Open attempts are stored in the database, so that each works once, on any server. A cookie binds each attempt to
    its browser: nobody can be made to sign in as somebody else.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        provider: OpenIdProvider | None,
        identities: IdentityService,
        audit: AuditTrail,
        clock: Clock,
        options: SingleSignOnOptions | None,
    ) -> None:
        """Without `provider` and `options` single sign-on is not set up."""
        self._db = db
        self._vault = vault
        self._provider = provider
        self._identities = identities
        self._audit = audit
        self._clock = clock
        self.options = options

    def begin(self, browser: str, next_path: str | None) -> str:
        """The address to send a browser to, which then ends at `next_path`. `browser` is the secret in its cookie.
        Raises NotFound if nothing is configured, Unavailable if the provider cannot be reached.
        """
        provider, _ = self._configured()
        state, nonce, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        try:
            url = provider.authorization_url(state=state, nonce=nonce, verifier=verifier)
        except ProviderUnavailable as error:
            raise _provider_unavailable(error) from None
        row = AttemptRow(nonce, self._vault.encrypt(verifier.encode()), next_path)
        with self._db.write() as connection:
            now = self._clock()
            expires_at = now + timedelta(seconds=ATTEMPT_SECONDS)
            repository.insert_attempt(connection, _hash(state, browser).hex(), row, now=now, expires_at=expires_at)
        return url

    def finish(self, callback: Callback, browser: str | None, device: Device) -> tuple[Account, str | None]:
        """The account that signed in, and the path that its person requested. A second factor may still be required.

        Raises SingleSignOnFailed for a callback that belongs to no attempt of this browser, or proves nothing;
        SingleSignOnCanceled for the provider's own error; SingleSignOnRefused for a person without an account;
        NotFound, Unavailable.
        """
        provider, options = self._configured()
        try:
            attempt, verifier = self._use_attempt(callback, browser)
            # Between the two transactions, because this waits for the network.
            provider.ensure_sender(callback.issuer)
            if callback.error in PASSING_ERRORS:
                raise ProviderUnavailable(callback.error)
            if callback.error is not None:
                _note_refusal("sso_canceled", f"the provider says {callback.error[:60]}", device)
                raise errors.SingleSignOnCanceled
            identity = provider.identify(callback.code, nonce=attempt.nonce, verifier=verifier)
        except IdentityRefused as error:
            _note_refusal("sso_refused", error.reason, device)
            self._audit.record_refusal(errors.SingleSignOnFailed.code, address=device.address)
            raise errors.SingleSignOnFailed from None
        except ProviderUnavailable as error:
            raise _provider_unavailable(error) from None
        try:
            with self._db.write() as connection:
                account = self._identities.admit(connection, identity, options.sign_up)
        except IdentityRefused as error:
            _note_refusal("sso_refused", error.reason, device)
            raise errors.SingleSignOnRefused from None
        except ProviderUnavailable as error:
            raise _provider_unavailable(error) from None
        sign_ins_total.labels("accepted").inc()
        return account, attempt.next_path

    def _use_attempt(self, callback: Callback, browser: str | None) -> tuple[AttemptRow, str]:
        texts = (callback.state, callback.code, callback.issuer or "", callback.error or "")
        if not callback.state or not browser or max(map(len, texts)) > MAX_CALLBACK_LENGTH:
            raise IdentityRefused("state")
        with self._db.write() as connection:
            attempt = repository.use_attempt(connection, _hash(callback.state, browser).hex(), self._clock())
        if attempt is None:
            raise IdentityRefused("state")
        if callback.error is None and not (callback.code and callback.code.isprintable()):
            raise IdentityRefused("code")
        try:
            return attempt, self._vault.decrypt(attempt.verifier_sealed).decode()
        except LostKey:
            raise IdentityRefused("the key of the verifier is lost") from None

    def _configured(self) -> tuple[OpenIdProvider, SingleSignOnOptions]:
        if self._provider is None or self.options is None:
            raise errors.NotFound("Single sign-on is not set up here.", code="sso_not_configured")
        return self._provider, self.options


class JwtBearerService:
    """Each JWT works once."""

    def __init__(
        self,
        db: Database,
        issuers: JwtIssuers | None,
        identities: IdentityService,
        accounts: Accounts,
        sign_up: Mapping[str, Role | None],
    ) -> None:
        """Without `issuers` every token is rejected. `sign_up` contains, by issuer, the role that a person without an
        account gets; without a role the issuer signs in only people who have an account.
        """
        self._db = db
        self._issuers = issuers
        self._identities = identities
        self._accounts = accounts
        self._sign_up = dict(sign_up)

    def sign_in(self, presented: str, device: Device) -> SignedIn:
        """A session for the person that the token names. The token is spent, also where a second factor is required.

        Raises InvalidToken for every token that is malformed, forged, expired or used, and for a person without an
        active account; SecondFactorRequired, PhoneRequired and the errors of a call; Unavailable if the issuer's keys
        cannot be read.
        """
        try:
            if self._issuers is None:
                raise IdentityRefused("no issuers")
            token = self._issuers.read(presented)
            issuer = token.identity.issuer
            with self._db.write() as connection:
                account = self._identities.admit(connection, token.identity, self._sign_up.get(issuer))
                # Ids are unique only within their issuer (RFC 7519, section 4.1.7).
                id_hash, expires_at = _hash(issuer, token.token_id), datetime.fromtimestamp(token.expires_at, UTC)
                # Last, so that the token is not spent for a person who has no account yet.
                if not repository.spend_jwt(connection, id_hash, expires_at):
                    raise IdentityRefused("used before")
            self._accounts.sign_ins.require_second_factor(account, JWT_METHOD)
            signed_in = self._accounts.sessions.start_session(
                account.account_id, device, JWT_METHOD, credentials_epoch=account.credentials_epoch
            )
        except (IdentityRefused, errors.InvalidCredentials) as error:
            reason = error.reason if isinstance(error, IdentityRefused) else "disabled in the meantime"
            _note_refusal("jwt_refused", reason, device)
            raise errors.InvalidToken from None
        except ProviderUnavailable as error:
            log.warning("jwt_issuer_away", reason=error.reason)
            sentence = "The issuer's keys cannot be read now. Try again in a moment."
            raise errors.Unavailable(sentence, code="not_ready", retry_after_seconds=RETRY_SECONDS) from None
        sign_ins_total.labels("accepted").inc()
        return signed_in


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    identities: IdentityService
    openid: SingleSignOnService
    jwt_bearer: JwtBearerService


def _note_refusal(event: str, reason: str, device: Device) -> None:
    sign_ins_total.labels("refused").inc()
    log.warning(event, reason=reason, address=device.address)


def _provider_unavailable(error: ProviderUnavailable) -> errors.Unavailable:
    log.warning("sso_provider_away", reason=error.reason)
    sentence = "The service that you sign in with does not respond. Try again in a moment."
    return errors.Unavailable(sentence, code="not_ready", retry_after_seconds=RETRY_SECONDS)


def _hash(scope: str, name: str) -> bytes:
    """Of both, so that an attempt is found only in its own browser, and a token only for its own issuer."""
    return hashlib.sha256(f"{scope}\0{name}".encode("utf-8", "surrogatepass")).digest()
