"""All services about people, built together: they stand on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from letstalk.accounts.access_tokens import AccessTokenService
from letstalk.accounts.account_passwords import AccountPasswords
from letstalk.accounts.account_sessions import AccountSessionService
from letstalk.accounts.invitations import InvitationService
from letstalk.accounts.models import Role
from letstalk.accounts.one_time_links import LinkService
from letstalk.accounts.password_hashing import SCRYPT, PasswordService
from letstalk.accounts.password_resets import PasswordResetService
from letstalk.accounts.password_rules import PasswordRules
from letstalk.accounts.registrations import RegistrationService
from letstalk.accounts.second_factors import SecondFactorService
from letstalk.accounts.service import AccountService
from letstalk.accounts.sign_in_throttles import SignInThrottle
from letstalk.accounts.sign_ins import SignInService
from letstalk.accounts.throttles import SignInThrottles
from letstalk.audit.service import AuditTrail
from letstalk.core.clock import Clock
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.mail.outbox import MailService
from letstalk.mail.transport import MailCarrier
from letstalk.sso.identities import IdentityService
from letstalk.sso.jwt_bearer import ForeignTokenService
from letstalk.sso.service import SingleSignOnOptions, SingleSignOnService
from letstalk.verifications.codes import DigestKeys
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

if TYPE_CHECKING:
    from letstalk.sso.jwt_issuers import JwtIssuers
    from letstalk.sso.openid import OpenIdProvider


@dataclass(frozen=True, slots=True)
class PeopleOptions:
    """What the settings say about people. `scrypt` is a cost in Werkzeug's words."""

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
class ForeignSignIns:
    """Who may vouch for people: nobody by default. `jwt_sign_up` is, by issuer, the role of who has no account yet."""

    openid: OpenIdProvider | None = None
    single_sign_on: SingleSignOnOptions | None = None
    jwt_issuers: JwtIssuers | None = None
    jwt_sign_up: Mapping[str, Role | None] = field(default_factory=dict)


NOBODY_ELSE = ForeignSignIns()


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
    carrier: MailCarrier | None = None
    wake_mail: Callable[[str], None] = lambda _mail_id: None


@dataclass(frozen=True, slots=True)
class People:
    accounts: AccountService
    passwords: AccountPasswords
    sessions: AccountSessionService
    access_tokens: AccessTokenService
    sign_ins: SignInService
    second_factors: SecondFactorService
    mails: MailService
    registrations: RegistrationService
    password_resets: PasswordResetService
    invitations: InvitationService
    identities: IdentityService
    single_sign_on: SingleSignOnService
    foreign_tokens: ForeignTokenService


def build_people(parts: PeopleParts, options: PeopleOptions, foreign: ForeignSignIns = NOBODY_ELSE) -> People:
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
    access_tokens = AccessTokenService(db, parts.vault, clock, ttl_seconds=options.access_token_seconds)
    sessions = AccountSessionService(db, access_tokens, audit, clock, refresh_ttl_seconds=options.refresh_token_seconds)
    second_factors = SecondFactorService(db, parts.sends, parts.verifications, audit, clock)
    throttle = SignInThrottle(db, parts.keys.derive("sign_in_failures"), clock, options.throttles)
    sign_ins = SignInService(db, accounts, passwords, hashing, throttle, sessions, second_factors, audit, clock)
    identities = IdentityService(db, accounts, audit, clock)
    links = LinkService(audit, clock)
    mails = MailService(db, parts.vault, parts.carrier, clock, parts.wake_mail)
    brand_name = options.brand_name
    return People(
        accounts=accounts,
        passwords=passwords,
        sessions=sessions,
        access_tokens=access_tokens,
        sign_ins=sign_ins,
        second_factors=second_factors,
        mails=mails,
        registrations=RegistrationService(
            db, accounts, passwords, links, mails, is_open=options.registration_is_open, brand_name=brand_name
        ),
        password_resets=PasswordResetService(db, accounts, passwords, links, mails, brand_name=brand_name),
        invitations=InvitationService(db, accounts, passwords, links, mails, sign_ins, audit, brand_name=brand_name),
        identities=identities,
        single_sign_on=SingleSignOnService(
            db, parts.vault, foreign.openid, identities, audit, clock, foreign.single_sign_on
        ),
        foreign_tokens=ForeignTokenService(db, foreign.jwt_issuers, identities, sign_ins, foreign.jwt_sign_up),
    )
