"""Ways to send a mail: through an SMTP server (RFC 5321), or to a developer's terminal."""

from __future__ import annotations

import re
import smtplib
import ssl
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from typing import Protocol

from letstalk.config.settings import Settings
from letstalk.config.values import is_loopback
from letstalk.core.clock import utc_now
from letstalk.core.name_keys import encode_domain
from letstalk.mail.models import Mail
from letstalk.observability.terminal import escape_controls


class MailDelayed(Exception):
    """The mail was not accepted now, and may be later. The text is for the log, and contains no address."""


class MailRefused(Exception):
    """The mail will never be accepted, such as for an unknown mailbox. The text is for the log, and has no address."""


class MailTransport(Protocol):
    def send(self, mail: Mail, mail_id: str, /) -> None:
        """Send `mail`. The same `mail_id` means another try of the same mail.

        Raises MailDelayed or MailRefused, and nothing else. The caller must hold no database connection.
        """

    def can_reach(self, email: str, /) -> bool:
        """Whether mails can be sent to an address like `email`, as far as that is known without sending one. It may
        connect to the server; the caller must hold no database connection.
        """

    def check(self) -> str:
        """Connect and sign in as for a mail, and send nothing. Returns where mails go, in a sentence.

        Raises MailDelayed. The caller must hold no database connection.
        """


TIMEOUT_SECONDS = 10.0  # for each step of the exchange
ASK_AGAIN_SECONDS = 3600.0
_ENHANCED = re.compile(rb"^\s*([245]\.\d{1,3}\.\d{1,3})\b")  # RFC 3463


class SmtpSecurity(StrEnum):
    STARTTLS = "starttls"  # starts unencrypted, and continues only with TLS
    TLS = "tls"  # TLS from the first byte (RFC 8314)
    NONE = "none"  # unencrypted: to a relay on the same machine


DEFAULT_PORTS = {SmtpSecurity.STARTTLS: 587, SmtpSecurity.TLS: 465, SmtpSecurity.NONE: 25}


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """`sender` is the From header. Without `username` the client does not authenticate.

    If `tls` is None, the client trusts the authorities that this machine trusts (or those in OpenSSL's SSL_CERT_FILE).
    """

    host: str
    port: int | None
    security: SmtpSecurity
    sender: Address
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    timeout_seconds: float = TIMEOUT_SECONDS


class SmtpTransport:
    """Opens a connection for each mail: there are few mails, and none waits for another."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._port = options.port or DEFAULT_PORTS[options.security]
        self._tls = options.tls or ssl.create_default_context()
        self._takes_unicode = True
        self._ask_again_at = 0.0

    def send(self, mail: Mail, mail_id: str) -> None:
        message = self._compose(mail, mail_id)
        with _delay_on_error():
            smtp = self._open()
        try:
            with _delay_on_error():
                self._introduce(smtp)
            self._send(smtp, message, _write_address(mail.to))
        except BaseException:
            smtp.close()
            raise
        # The server has accepted the mail. A failure of QUIT must not send it a second time.
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()

    def can_reach(self, email: str) -> bool:
        """For a local part that is not ASCII the server must offer SMTPUTF8 (RFC 6531). It is asked once an hour."""
        if email.rpartition("@")[0].isascii():
            return True
        now = time.monotonic()
        if now >= self._ask_again_at:
            # Set first: of many requests at once, one asks.
            self._ask_again_at = now + ASK_AGAIN_SECONDS
            try:
                self._takes_unicode = self._offers_unicode()
            except MailDelayed:
                self._ask_again_at = now + TIMEOUT_SECONDS
        return self._takes_unicode

    def check(self) -> str:
        with _delay_on_error():
            smtp = self._open()
        with closing(smtp), _delay_on_error():
            self._introduce(smtp)
            smtp.ehlo_or_helo_if_needed()
        how = "accepts the connection" if self._options.username is None else "accepts the sign-in"
        return f"{self._options.host}:{self._port} {how}."

    def _offers_unicode(self) -> bool:
        with _delay_on_error():
            smtp = self._open()
        with closing(smtp), _delay_on_error():
            self._introduce(smtp)
            smtp.ehlo_or_helo_if_needed()
            return smtp.has_extn("smtputf8")

    def _compose(self, mail: Mail, mail_id: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        try:
            message["To"] = _to_header(_write_address(mail.to))
        except (MessageError, ValueError, IndexError):
            raise MailRefused("the address can't be written into a header") from None
        message["From"] = self._options.sender
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(utc_now())
        # If a response is lost, the server accepts a mail twice. Most mail programs show two with the same id as one.
        message["Message-ID"] = f"<{mail_id}@{self._options.sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: automatic replies ignore it
        message.set_content(mail.body)
        return message

    def _open(self) -> smtplib.SMTP:
        options = self._options
        host, port, name = options.host, self._port, options.sender.domain
        if options.security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(host, port, name, timeout=options.timeout_seconds, context=self._tls)
        return smtplib.SMTP(host, port, name, timeout=options.timeout_seconds)

    def _introduce(self, smtp: smtplib.SMTP) -> None:
        options = self._options
        if options.security is SmtpSecurity.STARTTLS:
            smtp.starttls(context=self._tls)
        if options.username is not None:
            smtp.login(options.username, options.password or "")

    def _send(self, smtp: smtplib.SMTP, message: EmailMessage, to: str) -> None:
        try:
            smtp.send_message(message, self._options.sender.addr_spec, [to])
        except smtplib.SMTPRecipientsRefused as error:
            [(code, said)] = error.recipients.values()
            raise _error_of("recipient", code, said) from None
        except smtplib.SMTPResponseException as error:
            raise _error_of(type(error).__name__, error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPNotSupportedError, UnicodeError):
            raise MailRefused("the server accepts no address with non-ASCII characters") from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailDelayed(type(error).__name__) from None


def _to_header(email: str) -> Address:
    """Raises MessageError, ValueError or IndexError."""
    local, _, domain = email.rpartition("@")
    # The parser of `addr_spec` takes ASCII only.
    return Address(addr_spec=email) if email.isascii() else Address(username=local, domain=domain)


def _write_address(email: str) -> str:
    """`email` with the domain in A-labels, which every server takes. Raises MailRefused for a domain that IDNA 2008
    does not allow: another program might make another domain of it.
    """
    local, _, domain = email.rpartition("@")
    if domain.isascii():
        return email
    try:
        return f"{local}@{encode_domain(domain)}"
    except ValueError:
        raise MailRefused("the domain of the address is not allowed") from None


@contextmanager
def _delay_on_error() -> Iterator[None]:
    """Errors before the mail is sent come from the server or the settings, which can be corrected."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise MailDelayed(_reason(type(error).__name__, error.smtp_code, error.smtp_error)) from None
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise MailDelayed(type(error).__name__) from None


def _error_of(what: str, code: int, said: bytes | str) -> MailDelayed | MailRefused:
    """RFC 5321, section 4.2.1: a code of 5xx is permanent, one of 4xx temporary."""
    reason = _reason(what, code, said)
    return MailRefused(reason) if 500 <= code <= 599 else MailDelayed(reason)


def _reason(what: str, code: int, said: bytes | str) -> str:
    """The error as numbers only, because a server's text often quotes the address."""
    found = _ENHANCED.match(said if isinstance(said, bytes) else said.encode("utf-8", "replace"))
    return f"{what} {code} {found.group(1).decode('ascii') if found else ''}".strip()


class TerminalTransport:
    """Prints each mail with its link, in development only."""

    def can_reach(self, _email: str) -> bool:
        return True

    def check(self) -> str:
        return "Mails are shown in the terminal of the server."

    def send(self, mail: Mail, _mail_id: str) -> None:
        title = escape_controls(f"To {mail.to}: {mail.subject}")
        text = textwrap.indent(escape_controls(mail.body.strip(), keep="\n"), "     ")
        sys.stdout.write(f"\n  ✉  {title}\n\n{text}\n\n")
        sys.stdout.flush()


def build_transport(settings: Settings) -> MailTransport | None:
    """The transport that the settings name. None if mail is not set up.

    Without a server, a developer's own terminal shows the mails. Raises ValueError for a server without a sender.
    """
    if settings.smtp_host is None:
        is_own_terminal = settings.is_development and is_loopback(settings.host)
        return TerminalTransport() if is_own_terminal else None
    if settings.mail_from is None:
        raise ValueError("SMTP_HOST requires MAIL_FROM")
    password = settings.smtp_password
    return SmtpTransport(
        SmtpOptions(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=SmtpSecurity(settings.smtp_security),
            sender=Address(*settings.mail_from),
            username=settings.smtp_username,
            password=None if password is None else password.get_secret_value(),
        )
    )
