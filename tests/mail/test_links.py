"""One-time links: how they are written and read, and how often one is mailed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from letstalk.mail.models import (
    MOST_RECENT,
    RECENT,
    LinkPurpose,
    lifetime_seconds,
    may_mail_another,
    new_token,
    read_token,
    write_link,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def ago(*seconds: int) -> list[datetime]:
    return [NOON - timedelta(seconds=each) for each in seconds]


def test_the_token_of_a_link_is_never_sent_to_a_server() -> None:
    token = new_token()
    for purpose in LinkPurpose:
        parts = urlsplit(write_link("https://calls.example.com", purpose, token))
        assert parts.fragment == f"token={token}"
        assert token not in parts.path + parts.query + parts.netloc


def test_no_two_tokens_are_alike() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000


def test_a_token_is_read_alone_and_in_its_link() -> None:
    token = new_token()
    link = write_link("https://calls.example.com/base", LinkPurpose.INVITATION, token)
    assert {read_token(text) for text in (token, f" {token}\n", link, f"{link} ")} == {token}


@pytest.mark.parametrize(
    "changed",
    [
        '"{link}"',
        "“{link}”",
        "<{link}>",
        "({link}).",
        "{link}.",
        "{link},",
        "'{token}'",
        "Open {link} and choose a password",
        "\u200b{link}\u2060",
        "{base}#token=3D{token}",
        "{base}#token=\r\n{token}",
        "{base}%23token%3D{token}",
        "https://scan.example/?url=https%3A%2F%2Fcalls.example.com%2Fverify-email%23token%3D{token}&data=05%7C02",
        "https://scan.example/?u=https%253A%252F%252Fcalls.example.com%252Fx%2523token%253D{token}",
        "{base}?utm=1#token={token}&utm_source=mail",
        "{link}\n{link}",
    ],
)
def test_a_token_is_read_where_a_mail_program_or_a_scanner_has_changed_its_link(changed: str) -> None:
    base, token = "https://calls.example.com/verify-email", new_token()
    assert read_token(changed.format(base=base, token=token, link=f"{base}#token={token}")) == token


@pytest.mark.parametrize("broken", ["=\r\n", "=\n", "\n", "\r\n  ", " ", "\u00ad"])
def test_a_token_that_was_broken_into_lines_is_joined(broken: str) -> None:
    token = new_token()
    assert read_token(f"https://calls.example.com/verify-email#token={token[:20]}{broken}{token[20:]}") == token


def test_of_two_tokens_none_is_guessed() -> None:
    assert read_token(f"{new_token()} {new_token()}") is None
    assert read_token(f"{new_token()}{new_token()}") is None


@pytest.mark.parametrize(
    "text",
    ["", "ltl_", "ltl_" + 47 * "a", "ltl_" + 49 * "a", "ltl_" + 48 * "A", "ltr_" + 48 * "a", "ltl_" + 48 * "\u0661"],
)
def test_anything_else_is_no_token(text: str) -> None:
    assert read_token(text) is None


def test_links_live_as_long_as_the_mails_say() -> None:
    assert {purpose: lifetime_seconds(purpose) for purpose in LinkPurpose} == {
        LinkPurpose.VERIFY_EMAIL: 24 * 3600,
        LinkPurpose.RESET_PASSWORD: 30 * 60,
        LinkPurpose.INVITATION: 7 * 24 * 3600,
    }


@pytest.mark.parametrize(
    ("made_at", "may"),
    [
        ([], True),
        (ago(59), False),
        (ago(60), True),
        (ago(60, 130, 200), False),
        (ago(60, 130, 1800), True),
        (ago(3600, 3700, 3800, 3900), True),
    ],
)
def test_nobody_is_mailed_more_than_three_links_in_half_an_hour_or_two_in_a_minute(
    made_at: list[datetime], may: bool
) -> None:
    assert may_mail_another(made_at, NOON) is may


def test_whoever_asks_for_as_many_as_there_are_leaves_a_link_that_works_until_the_next_can_be_mailed() -> None:
    now = newest_dies = NOON
    made: list[datetime] = []
    lifetime = timedelta(seconds=min(lifetime_seconds(purpose) for purpose in LinkPurpose))
    while now < NOON + timedelta(hours=3):
        if may_mail_another(made, now):
            made.append(now)
            newest_dies = now + lifetime
        assert newest_dies > now, "nothing in the mailbox works, and nothing new is mailed"
        now += timedelta(seconds=10)
    assert len(made) <= MOST_RECENT * (timedelta(hours=3) / RECENT + 1)
