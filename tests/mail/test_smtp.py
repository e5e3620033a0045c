"""Mails reach a real server over TLS, and permanent errors are distinguished from temporary ones."""

from __future__ import annotations

import socket
from email.headerregistry import Address
from pathlib import Path
from typing import Any

import pytest

from letstalk.config.settings import Settings, load_settings
from letstalk.mail.models import Mail
from letstalk.mail.transports import (
    MailDelayed,
    MailRefused,
    SmtpOptions,
    SmtpSecurity,
    SmtpTransport,
    TerminalTransport,
    build_transport,
)
from tests.support.mail_servers import HOST, PASSWORD, USERNAME, MailServer, mail_server, make_certificate, trusting

TO = "ada@example.org"
SECRET = "ltl_" + 48 * "a"
LINK = f"https://calls.example.com/reset-password#token={SECRET}"
MAIL = Mail(TO, "Choose a new password for Let's Talk — déjà", f"Open this:\n\n{LINK}\n\n.\nIt is yours.\n")
SENDER = Address("Acme, Inc.", "calls", "example.com")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


def transport_to(server: MailServer, **options: Any) -> SmtpTransport:
    given: dict[str, Any] = {"security": SmtpSecurity.NONE, "sender": SENDER, "timeout_seconds": 5.0, **options}
    return SmtpTransport(SmtpOptions(host=HOST, port=server.port, **given))


def failure(kind: type[Exception], transport: SmtpTransport, mail: Mail = MAIL) -> str:
    """The text of the error with which sending fails; it names nobody and quotes nothing."""
    with pytest.raises(kind) as caught:
        transport.send(mail, "an-id")
    text = str(caught.value)
    assert TO not in text
    assert SECRET not in text
    assert PASSWORD not in text
    return text


def test_a_mail_arrives_as_it_was_written() -> None:
    with mail_server() as server:
        transport_to(server).send(MAIL, "an-id")
    [mail] = server.taken
    assert server.recipients == [TO]
    assert (mail["To"], mail["Subject"]) == (TO, MAIL.subject)
    assert mail["From"].addresses[0].display_name == "Acme, Inc."
    assert mail["From"].addresses[0].addr_spec == "calls@example.com"
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == ("<an-id@example.com>", "auto-generated")
    assert mail["Date"].datetime.tzinfo is not None
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == MAIL.body


def test_over_starttls_a_password_and_a_mail_are_encrypted(certificate: Path) -> None:
    with mail_server(certificate=certificate, requires_password=True) as server:
        transport = transport_to(
            server, security=SmtpSecurity.STARTTLS, tls=trusting(certificate), username=USERNAME, password=PASSWORD
        )
        transport.send(MAIL, "an-id")
    assert server.encrypted == [True]


def test_tls_from_the_first_byte(certificate: Path) -> None:
    with mail_server(certificate=certificate, has_implicit_tls=True) as server:
        transport_to(server, security=SmtpSecurity.TLS, tls=trusting(certificate)).send(MAIL, "an-id")
    assert server.encrypted == [True]


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
def test_a_certificate_that_nobody_trusts_gets_no_mail(security: SmtpSecurity, certificate: Path) -> None:
    with mail_server(certificate=certificate, has_implicit_tls=security is SmtpSecurity.TLS) as server:
        failure(MailDelayed, transport_to(server, security=security))
    assert server.attempts == 0


def test_a_server_without_tls_gets_no_mail_where_tls_is_wanted() -> None:
    with mail_server() as server:
        failure(MailDelayed, transport_to(server, security=SmtpSecurity.STARTTLS))
    assert server.attempts == 0


def test_a_check_signs_in_and_sends_nothing(certificate: Path) -> None:
    with mail_server(certificate=certificate, requires_password=True) as server:
        options = {"security": SmtpSecurity.STARTTLS, "tls": trusting(certificate), "username": USERNAME}
        found = transport_to(server, **options, password=PASSWORD).check()
        assert found == f"{HOST}:{server.port} accepts the sign-in."
        with pytest.raises(MailDelayed, match="535"):
            transport_to(server, **options, password="another one").check()
    assert server.taken == []
    assert server.attempts == 0


def test_a_wrong_password_can_be_mended(certificate: Path) -> None:
    with mail_server(certificate=certificate, requires_password=True) as server:
        options = {"security": SmtpSecurity.STARTTLS, "tls": trusting(certificate), "username": USERNAME}
        assert "535" in failure(MailDelayed, transport_to(server, **options, password="another one"))
    assert server.taken == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(f"550 5.1.1 <{TO}>: no such mailbox", MailRefused), (f"451 4.7.1 <{TO}>: greylisted, come back", MailDelayed)],
)
def test_a_recipient_is_refused_for_good_or_for_now(answer: str, kind: type[Exception]) -> None:
    with mail_server(recipient_responses=[answer]) as server:
        assert failure(kind, transport_to(server)) == f"recipient {answer[:3]} {answer[4:9]}"
    assert server.taken == []


@pytest.mark.parametrize(("verdict", "kind"), [("554 5.7.1 spam", MailRefused), ("452 4.3.1 disk full", MailDelayed)])
def test_a_mail_is_refused_for_good_or_for_now(verdict: str, kind: type[Exception]) -> None:
    with mail_server(mail_responses=[verdict]) as server:
        failure(kind, transport_to(server))
    assert server.taken == []


def test_a_server_that_is_away_may_come_back() -> None:
    with mail_server() as server:
        transport = transport_to(server)
    failure(MailDelayed, transport)


def test_a_server_that_hangs_is_given_up_after_the_time_out() -> None:
    with socket.create_server((HOST, 0)) as silent:
        transport = transport_to(MailServer(silent.getsockname()[1]), timeout_seconds=0.2)
        failure(MailDelayed, transport)


def test_a_mail_that_was_taken_counts_even_if_nobody_says_goodbye() -> None:
    with mail_server(closes_at_quit=True) as server:
        transport_to(server).send(MAIL, "an-id")
    assert len(server.taken) == 1


@pytest.mark.parametrize("to", ["a..b@example.org", "ada@example.org\r\nBcc: eve@example.org", "adä@example.org"])
def test_an_address_that_a_mail_can_t_have_is_refused(to: str) -> None:
    with mail_server(accepts_ascii_addresses_only=True) as server:
        transport = transport_to(server)
        failure(MailRefused, transport, Mail(to, "Subject", "Text"))
    assert server.taken == []


def test_a_domain_is_sent_as_a_labels() -> None:
    with mail_server(accepts_ascii_addresses_only=True) as server:
        transport = transport_to(server)
        assert transport.can_reach("ada@münchen.de")
        transport.send(Mail("ada@München.de".lower(), "Subject", "Text"), "an-id")
    [mail] = server.taken
    assert (server.recipients, mail["To"]) == (["ada@xn--mnchen-3ya.de"], "ada@xn--mnchen-3ya.de")


def test_a_local_part_that_is_not_ascii_is_sent_to_a_server_that_takes_it() -> None:
    with mail_server() as server:
        transport = transport_to(server)
        assert transport.can_reach("jürgen@münchen.de")
        transport.send(Mail("jürgen@münchen.de", "Subject", "Text"), "an-id")
    assert server.recipients == ["jürgen@xn--mnchen-3ya.de"]


def test_a_server_is_asked_once_whether_it_takes_such_a_local_part() -> None:
    with mail_server(accepts_ascii_addresses_only=True) as server:
        transport = transport_to(server)
        assert not transport.can_reach("jürgen@example.org")
    assert not transport.can_reach("jürgen@example.org"), "known, also while the server is away"
    assert transport.can_reach("jurgen@example.org")


def test_a_server_that_is_away_says_nothing_about_what_it_takes() -> None:
    with mail_server(accepts_ascii_addresses_only=True) as server:
        pass
    assert transport_to(server).can_reach("jürgen@example.org")


@pytest.mark.parametrize("domain", ["Ⓜünchen.de", "exa\ufb01ple.de"])
def test_a_domain_that_idna_does_not_allow_is_refused(domain: str) -> None:
    with mail_server() as server:
        failure(MailRefused, transport_to(server), Mail(f"ada@{domain}", "Subject", "Text"))
    assert server.taken == []


def test_the_settings_choose_how_mails_are_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings({"FLASK_ENV": "development"}, None, root=tmp_path)

    def settings_for_mail(**changes: object) -> Settings:
        return settings.model_copy(update=changes)

    assert build_transport(settings_for_mail(flask_env="production")) is None
    assert build_transport(settings_for_mail(flask_env="development", host="192.0.2.1")) is None
    terminal = build_transport(settings_for_mail(flask_env="development"))
    assert isinstance(terminal, TerminalTransport)
    terminal.send(MAIL, "an-id")
    assert LINK in capsys.readouterr().out
    with pytest.raises(ValueError, match="MAIL_FROM"):
        build_transport(settings_for_mail(smtp_host=HOST, smtp_security="tls"))
    sender = ("Acme, Inc.", "calls", "example.com")
    with_server = settings_for_mail(smtp_host=HOST, smtp_security="tls", mail_from=sender)
    assert isinstance(build_transport(with_server), SmtpTransport)
