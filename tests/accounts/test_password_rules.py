"""The two sets of rules for passwords."""

from __future__ import annotations

import pytest

from letstalk.accounts.passwords import PasswordRules, ensure_password_allowed, normalise_password
from letstalk.core.errors import InvalidRequest, WeakPassword

NAMES = ("ada.lovelace", "ada@example.com", "Let's Talk")


def refusal(password: str, rules: PasswordRules = PasswordRules.NIST, *, is_common: bool = False) -> str | None:
    """What is said about a password; None for one that is taken."""
    try:
        ensure_password_allowed(password, rules, names=NAMES, is_common=is_common, field="new_password")
    except WeakPassword as error:
        return error.message
    return None


def test_a_refusal_names_the_field_and_never_the_password() -> None:
    with pytest.raises(WeakPassword) as caught:
        ensure_password_allowed("hunter2", PasswordRules.NIST, names=(), is_common=False, field="new_password")
    assert caught.value.details[0].field == "new_password"
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "password", ["correct horse", "aaaaaaaaaaab", "x" * 256, "пароль из слов", "\u2003" * 12, "12345-67890-"]
)
def test_twelve_characters_of_any_kind_will_do(password: str) -> None:
    assert refusal(password) is None


@pytest.mark.parametrize("password", ["", "x", "Sh0rt!pass!", "x" * 257])
def test_a_short_or_endless_one_will_not(password: str) -> None:
    assert "12 to 256" in (refusal(password) or "")


@pytest.mark.parametrize(
    "password",
    ["ada.lovelace", "ADA.LOVELACE1", "ada@example.com", "adalovelace2026!", "letstalk2026", "Let's Talk 123"],
)
def test_nobody_s_own_name_nor_ours_will_do(password: str) -> None:
    assert "name" in (refusal(password) or "")


def test_a_name_within_a_longer_sentence_is_no_harm() -> None:
    assert refusal("ada.lovelace wrote a program") is None


def test_what_everybody_uses_will_not_do() -> None:
    assert "easy to guess" in (refusal("password1234", is_common=True) or "")


@pytest.mark.parametrize(("password", "is_taken"), [("Aa1!aaaa", True), ("Aa1!aaa", False), ("aaaa1111!", False)])
def test_the_classic_rules_want_eight_and_a_mix(password: str, is_taken: bool) -> None:
    assert (refusal(password, PasswordRules.CLASSIC) is None) == is_taken


@pytest.mark.parametrize("password", ["AAAA1111!", "Aaaaaaaa!", "Aaaaaa11", "aaaaaa1!"])
def test_each_kind_must_be_in_the_mix(password: str) -> None:
    assert "lower-case letter" in (refusal(password, PasswordRules.CLASSIC) or "")


def test_two_ways_to_write_a_letter_are_one() -> None:
    assert normalise_password("e\u0301") == normalise_password("é")
    with pytest.raises(InvalidRequest):
        normalise_password("half \ud83d")
