"""Which way mails go, by what the settings say."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.headerregistry import Address

from letstalk.mail.smtp import SmtpCarrier, SmtpOptions, SmtpSecurity
from letstalk.mail.terminal import TerminalCarrier
from letstalk.mail.transport import MailCarrier


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOptions:
    """What the settings say of mail. Without `smtp_host` there is no server; `shows_mails` is for a developer's own
    terminal.
    """

    smtp_host: str | None
    smtp_port: int | None
    smtp_security: str
    smtp_username: str | None
    smtp_password: str | None = field(repr=False)
    sender: Address | None
    shows_mails: bool


def build_carrier(options: MailOptions) -> MailCarrier | None:
    """What carries mails; None where nothing does. Raises ValueError for a server without a sender."""
    if options.smtp_host is None:
        return TerminalCarrier() if options.shows_mails else None
    if options.sender is None:
        raise ValueError("MAIL_FROM is needed with SMTP_HOST")
    return SmtpCarrier(
        SmtpOptions(
            host=options.smtp_host,
            port=options.smtp_port,
            security=SmtpSecurity(options.smtp_security),
            sender=options.sender,
            username=options.smtp_username,
            password=options.smtp_password,
        )
    )
