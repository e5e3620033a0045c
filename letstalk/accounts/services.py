"""The services about accounts, built together because they depend on each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from letstalk.accounts.access_tokens import AccessTokenService
from letstalk.accounts.account_sessions import AccountSessionService
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.passwords import SCRYPT, AccountPasswords, PasswordRules, PasswordService
from letstalk.accounts.recovery_codes import RecoveryCodeService
from letstalk.accounts.registrations import InvitationService, MailedLinks, PasswordResetService, RegistrationService
from letstalk.accounts.second_factors import SecondFactorService
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_in_throttles import SignInThrottle, SignInThrottles
from letstalk.accounts.sign_ins import SignInService
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.mail.outbox import MailService
from letstalk.verifications.codes import DigestKeys
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService


@dataclass(frozen=True, slots=True)
class AccountsOptions:
    """The settings about accounts. `scrypt` is a cost as Werkzeug writes it."""

    brand_name: str
    default_region: str | None
    owner_may_sign_in: bool
    password_rules: PasswordRules
    access_token_seconds: int
    refresh_token_seconds: int
    registration_is_open: bool = False
    scrypt: str = SCRYPT
    throttles: SignInThrottles = field(default_factory=SignInThrottles)


@dataclass(frozen=True, slots=True)
class AccountsDependencies:
    db: Database
    vault: Vault
    keys: DigestKeys
    audit: AuditTrail
    sends: SendService
    verifications: VerificationService
    clock: Clock
    mails: MailService


@dataclass(frozen=True, slots=True)
class Accounts:
    service: AccountService
    passwords: AccountPasswords
    sessions: AccountSessionService
    access_tokens: AccessTokenService
    throttle: SignInThrottle
    sign_ins: SignInService
    second_factors: SecondFactorService
    recovery_codes: RecoveryCodeService
    mails: MailService
    registrations: RegistrationService
    password_resets: PasswordResetService
    invitations: InvitationService


def build_accounts(given: AccountsDependencies, options: AccountsOptions) -> Accounts:
    db, audit, clock, mails = given.db, given.audit, given.clock, given.mails
    hashing = PasswordService(
        given.vault, options.password_rules, names=(options.brand_name, "Let's Talk", "letstalk"), scrypt=options.scrypt
    )
    throttle = SignInThrottle(db, given.keys.derive("sign_in_failures"), clock, options.throttles)
    passwords = AccountPasswords(db, hashing, throttle, audit, clock)
    service = AccountService(
        db, passwords, audit, clock, default_region=options.default_region, needs_admin=not options.owner_may_sign_in
    )
    access_tokens = AccessTokenService(db, given.vault, clock, ttl_seconds=options.access_token_seconds)
    sessions = AccountSessionService(db, access_tokens, audit, clock, refresh_ttl_seconds=options.refresh_token_seconds)
    recovery_codes = RecoveryCodeService(db, audit, clock, given.keys.derive("recovery_codes"))
    second_factors = SecondFactorService(db, given.sends, given.verifications, recovery_codes, audit, clock)
    sign_ins = SignInService(db, service, passwords, hashing, throttle, sessions, second_factors, audit, clock)
    links = LinkService(audit, clock)
    mailed = MailedLinks(db, service, passwords, links, mails, options.brand_name, clock)
    return Accounts(
        service=service,
        passwords=passwords,
        sessions=sessions,
        access_tokens=access_tokens,
        throttle=throttle,
        sign_ins=sign_ins,
        second_factors=second_factors,
        recovery_codes=recovery_codes,
        mails=mails,
        registrations=RegistrationService(mailed, is_open=options.registration_is_open),
        password_resets=PasswordResetService(mailed),
        invitations=InvitationService(mailed, sign_ins, sessions, audit),
    )
