"""All services about people, built together: they stand on each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from letstalk.domain.passwords import PasswordRules
from letstalk.domain.throttles import SignInThrottles
from letstalk.domain.times import Clock
from letstalk.services.access_tokens import AccessTokenService
from letstalk.services.account_passwords import AccountPasswords
from letstalk.services.account_sessions import AccountSessionService
from letstalk.services.accounts import AccountService
from letstalk.services.audit import AuditTrail
from letstalk.services.digest_keys import DigestKeys
from letstalk.services.passwords import SCRYPT, PasswordService
from letstalk.services.second_factors import SecondFactorService
from letstalk.services.sends import SendService
from letstalk.services.sign_in_throttles import SignInThrottle
from letstalk.services.sign_ins import SignInService
from letstalk.services.verifications import VerificationService
from letstalk.storage.crypto import Vault
from letstalk.storage.db import Database


@dataclass(frozen=True, slots=True)
class PeopleOptions:
    """What the settings say about people. `issuer` stands in access tokens; `scrypt` is a cost in Werkzeug's words."""

    brand_name: str
    issuer: str
    default_region: str | None
    owner_may_sign_in: bool
    password_rules: PasswordRules
    access_token_seconds: int
    refresh_token_seconds: int
    scrypt: str = SCRYPT
    throttles: SignInThrottles = field(default_factory=SignInThrottles)


@dataclass(frozen=True, slots=True)
class PeopleParts:
    """What the services about people stand on."""

    db: Database
    vault: Vault
    keys: DigestKeys
    audit: AuditTrail
    sends: SendService
    verifications: VerificationService
    clock: Clock


@dataclass(frozen=True, slots=True)
class People:
    accounts: AccountService
    passwords: AccountPasswords
    sessions: AccountSessionService
    access_tokens: AccessTokenService
    sign_ins: SignInService
    second_factors: SecondFactorService


def build_people(parts: PeopleParts, options: PeopleOptions) -> People:
    db, audit, clock = parts.db, parts.audit, parts.clock
    hashing = PasswordService(
        parts.vault, options.password_rules, names=(options.brand_name, "Let's Talk", "letstalk"), scrypt=options.scrypt
    )
    passwords = AccountPasswords(db, hashing, audit, clock)
    accounts = AccountService(
        db,
        passwords,
        audit,
        clock,
        default_region=options.default_region,
        needs_admin=not options.owner_may_sign_in,
    )
    access_tokens = AccessTokenService(
        db, parts.vault, clock, issuer=options.issuer, ttl_seconds=options.access_token_seconds
    )
    sessions = AccountSessionService(db, access_tokens, audit, clock, refresh_ttl_seconds=options.refresh_token_seconds)
    second_factors = SecondFactorService(db, parts.sends, parts.verifications, audit, clock)
    throttle = SignInThrottle(db, parts.keys.derive("sign_in_failures"), clock, options.throttles)
    sign_ins = SignInService(db, accounts, passwords, hashing, throttle, sessions, second_factors, audit, clock)
    return People(
        accounts=accounts,
        passwords=passwords,
        sessions=sessions,
        access_tokens=access_tokens,
        sign_ins=sign_ins,
        second_factors=second_factors,
    )
