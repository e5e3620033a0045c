"""When a mail is retried, and what every mail contains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from letstalk.mail import templates
from letstalk.mail.models import DAY_SECONDS, Mail, retry_at

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LINK = "https://calls.example.com/somewhere#token=ltl_0"


@pytest.mark.parametrize(("attempts", "pause"), [(1, 15), (2, 30), (3, 60), (6, 480), (7, 600), (500, 600)])
def test_the_pause_doubles_up_to_ten_minutes(attempts: int, pause: int) -> None:
    assert retry_at(attempts, NOON, 0.0) == NOON + timedelta(seconds=pause)
    assert retry_at(attempts, NOON, 1.0) == NOON + timedelta(seconds=pause * 3 / 4)


@pytest.mark.parametrize(
    "write",
    [
        templates.verification_email,
        templates.password_reset_email,
        templates.known_address_email,
        templates.invitation_email,
    ],
)
def test_each_mail_has_its_link_on_a_line_of_its_own(write: Callable[[str, str, str], Mail]) -> None:
    mail = write("ada@example.org", "Acme", LINK)
    assert mail.to == "ada@example.org"
    assert LINK in mail.body.splitlines()
    assert "Acme" in mail.subject
    assert "Acme" in mail.body
    assert LINK not in mail.subject
    assert 0 < mail.ttl_seconds <= DAY_SECONDS
