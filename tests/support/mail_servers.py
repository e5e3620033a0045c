"""A mail server for a test. It can be down, reject or defer mails, and require TLS and a password."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from letstalk.db.database import Database
from letstalk.mail.repository import list_due
from tests.support.apps import services_of

HOST = "127.0.0.1"
USERNAME, PASSWORD = "letstalk", "a password for the mail server"


@dataclass
class MailServer:
    """The next recipients get `recipient_responses`, and the next mails `mail_responses`, instead of being accepted."""

    port: int
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    recipient_responses: list[str] = field(default_factory=list)
    mail_responses: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    attempts: int = 0
    certificate: Path | None = None
    has_implicit_tls: bool = False
    requires_password: bool = False
    closes_at_quit: bool = False
    accepts_ascii_addresses_only: bool = False
    _controller: Controller | None = None

    def start(self) -> None:
        options: dict[str, Any] = {"enable_SMTPUTF8": not self.accepts_ascii_addresses_only}
        if self.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate)
            options |= {"ssl_context" if self.has_implicit_tls else "tls_context": context}
        if self.requires_password:
            options |= {"authenticator": self._authenticate, "auth_required": True}
        self._controller = Controller(self, HOST, self.port, server_hostname="mail.example.com", **options)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None

    def mails_to(self, address: str) -> list[str]:
        """The texts of the mails to this address, in order."""
        mails = zip(self.recipients, self.taken, strict=True)
        return [cast(str, mail.get_content()) for to, mail in mails if to == address]

    @staticmethod
    def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        is_right = (given.login, given.password) == (USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, to: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd's
        self.attempts += 1
        if self.recipient_responses:
            return self.recipient_responses.pop(0)
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # as above
        if self.mail_responses:
            return self.mail_responses.pop(0)
        self.taken.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.extend(envelope.rcpt_tos)
        self.encrypted.append(session.ssl is not None or self.has_implicit_tls)
        return "250 OK"

    async def handle_QUIT(self, server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802  # as above
        if self.closes_at_quit:
            server.transport.abort()
        return "221 Bye"


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """A server that runs until the end of the block."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    server = MailServer(port, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def settings_for(server: MailServer) -> dict[str, str]:
    """The settings with which an application sends its mails to `server`."""
    return {
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(server.port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Acme <calls@example.com>",
        "PUBLIC_URL": "https://calls.example.com",
    }


def send_due_mails(app: Flask, now: datetime) -> None:
    """Do at once what the queue would do by and by."""
    db: Database = app.extensions["letstalk_db"]
    with db.read() as connection:
        due = list_due(connection, now, 1000)
    for mail_id in due:
        services_of(app).accounts.mails.deliver(mail_id)


def make_certificate(folder: Path) -> Path:
    """A file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail-server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def trusting(certificate: Path) -> ssl.SSLContext:
    """A context that trusts this certificate."""
    return ssl.create_default_context(cafile=str(certificate))
