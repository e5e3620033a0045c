"""The part of the composition root that builds what people sign in with, and what carries their mails."""

from __future__ import annotations

from email.headerregistry import Address

from letstalk.accounts.passwords import PasswordRules
from letstalk.accounts.services import People, PeopleOptions, PeopleParts, build_people
from letstalk.config.settings import Settings, SettingsError
from letstalk.config.values import is_loopback
from letstalk.mail.transports import MailCarrier, MailOptions, build_carrier
from letstalk.wiring_sso import build_foreign_sign_ins


def build_people_of(parts: PeopleParts, settings: Settings) -> People:
    """The services about people, as the settings want them. Raises SettingsError where those can't be met."""
    options = PeopleOptions(
        brand_name=settings.brand_name,
        default_region=settings.default_region,
        owner_may_sign_in=settings.owner_sign_in,
        password_rules=PasswordRules(settings.password_rules),
        access_token_seconds=settings.access_token_seconds,
        refresh_token_seconds=settings.refresh_token_seconds,
        registration_is_open=settings.registration == "open",
    )
    people = build_people(parts, options, build_foreign_sign_ins(settings, parts.clock))
    if not settings.owner_sign_in and not people.accounts.has_active_admin():
        raise SettingsError("OWNER_SIGN_IN wants an active admin account before it is off: flask accounts create")
    return people


def build_carrier_of(settings: Settings) -> MailCarrier | None:
    """What carries mails; None where nothing does."""
    password = settings.smtp_password
    name, user, domain = settings.mail_from or ("", "", "")
    return build_carrier(
        MailOptions(
            smtp_host=settings.smtp_host,
            smtp_port=settings.smtp_port,
            smtp_security=settings.smtp_security,
            smtp_username=settings.smtp_username,
            smtp_password=None if password is None else password.get_secret_value(),
            sender=Address(name, user, domain) if settings.mail_from else None,
            shows_mails=settings.is_development and is_loopback(settings.host),
        )
    )
