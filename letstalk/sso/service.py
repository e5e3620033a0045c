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
from letstalk.sso.models import ClientReturn, IdentityRefused, ProviderUnavailable
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
    """`sign_up` is the role that a person without an account gets, None for no account; `name` is the button's text.
    `redirect_uris` are those of clients of the API.
    """

    name: str
    start_url: str
    sign_up: Role | None
    redirect_uris: tuple[str, ...] = ()


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
        url, _ = self._begin(browser, next_path)
        return url

    def begin_for_client(self, back: ClientReturn) -> tuple[str, str]:
        """The address to send a client's person to, and the state that they bring back. Raises as `begin`, and
        InvalidRequest for an address that they may not be sent back to.
        """
        _, options = self._configured()
        back.ensure_allowed(options.redirect_uris)
        return self._begin(_scope_of(back), None, back.redirect_uri)

    def _begin(self, scope: str, next_path: str | None, redirect_uri: str | None = None) -> tuple[str, str]:
        provider, _ = self._configured()
        state, nonce, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
        try:
            url = provider.authorization_url(state=state, nonce=nonce, verifier=verifier, redirect_uri=redirect_uri)
        except ProviderUnavailable as error:
            raise _provider_unavailable(error) from None
        row = AttemptRow(nonce, self._vault.encrypt(verifier.encode()), next_path)
        with self._db.write() as connection:
            now = self._clock()
            expires_at = now + timedelta(seconds=ATTEMPT_SECONDS)
            repository.insert_attempt(connection, _hash(state, scope).hex(), row, now=now, expires_at=expires_at)
        return url, state

    def finish(self, callback: Callback, browser: str | None, device: Device) -> tuple[Account, str | None]:
        """The account that signed in, and the path that its person requested. A second factor may still be required.

        Raises SingleSignOnFailed for a callback that belongs to no attempt of this browser, or proves nothing;
        SingleSignOnCanceled for the provider's own error; SingleSignOnRefused for a person without an account;
        NotFound, Unavailable.
        """
        return self._finish(callback, browser, device)

    def finish_for_client(self, callback: Callback, back: ClientReturn, device: Device) -> Account:
        """The account that signed in. Raises as `finish`; an attempt belongs to its address and its challenge."""
        account, _ = self._finish(callback, _scope_of(back), device, back.redirect_uri)
        return account

    def _finish(
        self, callback: Callback, scope: str | None, device: Device, redirect_uri: str | None = None
    ) -> tuple[Account, str | None]:
        provider, options = self._configured()
        try:
            attempt, verifier = self._use_attempt(callback, scope)
            # Between the two transactions, because this waits for the network. A client knows of no other provider that
            # the code may be from, and need not pass on who sent it (RFC 9207, section 2.4).
            if redirect_uri is None or callback.issuer is not None:
                provider.ensure_sender(callback.issuer)
            if callback.error in PASSING_ERRORS:
                raise ProviderUnavailable(callback.error)
            if callback.error is not None:
                _note_refusal("sso_canceled", f"the provider says {callback.error[:60]}", device)
                raise errors.SingleSignOnCanceled
            identity = provider.identify(
                callback.code, nonce=attempt.nonce, verifier=verifier, redirect_uri=redirect_uri
            )
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

    def _use_attempt(self, callback: Callback, scope: str | None) -> tuple[AttemptRow, str]:
        texts = (callback.state, callback.code, callback.issuer or "", callback.error or "")
        if not callback.state or not scope or max(map(len, texts)) > MAX_CALLBACK_LENGTH:
            raise IdentityRefused("state")
        with self._db.write() as connection:
            attempt = repository.use_attempt(connection, _hash(callback.state, scope).hex(), self._clock())
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
            signed_in = start_session(self._accounts, account, JWT_METHOD, device)
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


def start_session(accounts: Accounts, account: Account, method: str, device: Device) -> SignedIn:
    """A pair of tokens for who signed in elsewhere. Raises SecondFactorRequired, PhoneRequired, the errors of a call,
    and InvalidCredentials for an account that is not active any more.
    """
    accounts.sign_ins.require_second_factor(account, method)
    epoch = account.credentials_epoch
    return accounts.sessions.start_session(account.account_id, device, method, credentials_epoch=epoch)


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


def _scope_of(back: ClientReturn) -> str:
    """Never the secret of a browser, which has no colon. Neither part can be taken for some of the other."""
    return f"{back.challenge}:{back.redirect_uri}"


def _hash(scope: str, name: str) -> bytes:
    """Of both, so that an attempt is found only by its own browser or client, and a token only for its own issuer."""
    return hashlib.sha256(f"{scope}\0{name}".encode("utf-8", "surrogatepass")).digest()
