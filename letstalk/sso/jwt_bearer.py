"""Signing in with a JWT of an issuer that the settings name. Each JWT works once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.models import Device, Role
from letstalk.accounts.sign_ins import SignInService
from letstalk.core.errors import InvalidCredentials, InvalidToken, Unavailable
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import sign_ins_total
from letstalk.sso import repository
from letstalk.sso.identities import IdentityService
from letstalk.sso.provider import IdentityRefused, ProviderUnavailable

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers, VerifiedJwt

log = get_logger(__name__)

METHOD = "jwt"
RETRY_SECONDS = 30


class JwtBearerService:
    def __init__(
        self,
        db: Database,
        issuers: JwtIssuers | None,
        identities: IdentityService,
        sign_ins: SignInService,
        sign_up: Mapping[str, Role | None],
    ) -> None:
        """Without `issuers` every token is refused. `sign_up` holds, by issuer, the role that a person without an
        account gets; without a role the issuer signs in only people who have an account.
        """
        self._db = db
        self._issuers = issuers
        self._identities = identities
        self._sign_ins = sign_ins
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
            with self._db.write() as connection:
                account = self._identities.admit(connection, token.identity, self._sign_up.get(token.identity.issuer))
                # Last, so that the token is not spent for a person who has no account yet.
                if not repository.spend_jwt(connection, _hash(token), datetime.fromtimestamp(token.expires_at, UTC)):
                    raise IdentityRefused("used before")
            self._sign_ins.require_second_factor(account, METHOD)
            signed_in = self._sign_ins.start_session(account.account_id, device, METHOD)
        except (IdentityRefused, InvalidCredentials) as error:
            reason = error.reason if isinstance(error, IdentityRefused) else "disabled in the meantime"
            sign_ins_total.labels("refused").inc()
            log.warning("jwt_refused", reason=reason, address=device.address)
            raise InvalidToken from None
        except ProviderUnavailable as error:
            log.warning("jwt_issuer_away", reason=error.reason)
            sentence = "The issuer's keys cannot be read now. Try again in a moment."
            raise Unavailable(sentence, code="not_ready", retry_after_seconds=RETRY_SECONDS) from None
        sign_ins_total.labels("accepted").inc()
        return signed_in


def _hash(token: VerifiedJwt) -> bytes:
    """Ids are unique only within their issuer (RFC 7519, section 4.1.7)."""
    return hashlib.sha256(f"{token.identity.issuer}\0{token.token_id}".encode("utf-8", "surrogatepass")).digest()
