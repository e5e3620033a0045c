"""Signing in with an OpenID Connect provider: away with a state, a nonce and a verifier, and back with a code."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from letstalk.accounts.models import Account, Device, Role
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.core.errors import NotFound, SingleSignOnFailed, SingleSignOnRefused, Unavailable
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total
from letstalk.sso import repository
from letstalk.sso.identities import IdentityService
from letstalk.sso.provider import IdentityRefused, ProviderUnavailable
from letstalk.sso.repository import AttemptRow

if TYPE_CHECKING:
    from letstalk.sso.openid import OpenIdProvider

log = get_logger(__name__)

METHOD = "sso"
ATTEMPT_SECONDS = 600
SECRET_BYTES = 32  # 43 characters, the minimum for a verifier in RFC 7636
MAX_CALLBACK_LENGTH = 4096
RETRY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class SingleSignOnOptions:
    """`name` is the text of the button, `start_url` its address; `sign_up` is the role that a person without an account
    gets, None for no account.
    """

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
    """Open attempts are stored in the database, so that each works once, on whichever server it ends. A cookie binds
    each to its browser: nobody can be made to sign in as somebody else.
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
            raise _away(error) from None
        row = AttemptRow(nonce, self._vault.encrypt(verifier.encode()), next_path)
        with self._db.write() as connection:
            now = self._clock()
            expires_at = now + timedelta(seconds=ATTEMPT_SECONDS)
            repository.insert_attempt(connection, _hash(state, browser), row, now=now, expires_at=expires_at)
        return url

    def finish(self, callback: Callback, browser: str | None, device: Device) -> tuple[Account, str | None]:
        """The account that signed in, and the path that its person wanted. A second factor may still be required.

        Raises SingleSignOnFailed for a callback that belongs to no attempt of this browser, or proves nothing;
        SingleSignOnRefused for a person without an account; NotFound, Unavailable.
        """
        provider, options = self._configured()
        try:
            attempt, verifier = self._use_attempt(callback, browser)
            # Between the two transactions, because this waits for the network.
            provider.check_sender(callback.issuer)
            if callback.error is not None:
                raise IdentityRefused(f"the provider says {callback.error[:60]}")
            identity = provider.identify(callback.code, nonce=attempt.nonce, verifier=verifier)
        except IdentityRefused as error:
            self._note_refusal(error, device)
            self._audit.record_refusal(SingleSignOnFailed.code, address=device.address)
            raise SingleSignOnFailed from None
        except ProviderUnavailable as error:
            raise _away(error) from None
        try:
            with self._db.write() as connection:
                account = self._identities.admit(connection, identity, options.sign_up)
        except IdentityRefused as error:
            self._note_refusal(error, device)
            raise SingleSignOnRefused from None
        sign_ins_total.labels("accepted").inc()
        return account, attempt.next_path

    def _use_attempt(self, callback: Callback, browser: str | None) -> tuple[AttemptRow, str]:
        if not callback.state or not browser or max(map(len, (callback.state, callback.code))) > MAX_CALLBACK_LENGTH:
            raise IdentityRefused("state")
        with self._db.write() as connection:
            attempt = repository.use_attempt(connection, _hash(callback.state, browser), self._clock())
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
            raise NotFound("Single sign-on is not set up here.", code="sso_not_configured")
        return self._provider, self.options

    @staticmethod
    def _note_refusal(error: IdentityRefused, device: Device) -> None:
        sign_ins_total.labels("refused").inc()
        log.warning("sso_refused", reason=error.reason, address=device.address)


def _away(error: ProviderUnavailable) -> Unavailable:
    log.warning("sso_provider_away", reason=error.reason)
    sentence = "The service that you sign in with does not respond. Try again in a moment."
    return Unavailable(sentence, code="not_ready", retry_after_seconds=RETRY_SECONDS)


def _hash(state: str, browser: str) -> str:
    # Of both, so that an attempt is found only in its own browser.
    return hashlib.sha256(f"{state}\0{browser}".encode("utf-8", "surrogatepass")).hexdigest()
