"""The format of a token and the limits of its fields."""

from __future__ import annotations

import math
import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.actors import check_owner_id
from letstalk.core.errors import InvalidRequest
from letstalk.tokens.models import (
    SECRET_LENGTH,
    Token,
    checksum,
    ensure_grace_seconds,
    expiry_after,
    generate_token,
    hash_token,
    normalise_name,
    normalise_scopes,
    parse_token,
)

BASE62 = string.ascii_letters + string.digits
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

bodies = st.builds(
    lambda lookup_id, secret: f"lt_{lookup_id}_{secret}",
    st.text(BASE62, min_size=12, max_size=12),
    st.text(BASE62, min_size=30, max_size=30),
)
whole_tokens = bodies.map(lambda body: body + checksum(body))


def test_a_token_is_of_the_contract_s_shape() -> None:
    made = generate_token()
    assert re.fullmatch(r"lt_[0-9A-Za-z]+_[0-9A-Za-z]+", made.token)
    assert made.token.split("_")[1] == made.lookup_id


def test_the_secret_has_at_least_128_bits() -> None:
    assert SECRET_LENGTH * math.log2(62) >= 128


def test_no_two_tokens_are_alike() -> None:
    made = [generate_token() for _ in range(500)]
    assert len({one.lookup_id for one in made}) == len({one.token for one in made}) == 500


def test_a_secret_does_not_show_itself_in_a_repr() -> None:
    made = generate_token()
    assert made.token not in repr(made)
    assert repr(made.secret_hash) not in repr(made)


def test_what_is_made_can_be_read() -> None:
    made = generate_token()
    parsed = parse_token(made.token)
    assert parsed is not None
    assert (parsed.lookup_id, parsed.secret_hash) == (made.lookup_id, made.secret_hash)


@given(whole_tokens)
def test_every_token_of_the_right_form_can_be_read(token: str) -> None:
    parsed = parse_token(token)
    assert parsed is not None
    assert parsed.lookup_id == token[3:15]
    assert parsed.secret_hash == hash_token(token)


@given(whole_tokens, st.data())
def test_one_wrong_character_is_always_refused(token: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(token) - 1))
    typo = data.draw(st.characters().filter(lambda character: character != token[place]))
    assert parse_token(token[:place] + typo + token[place + 1 :]) is None


@given(whole_tokens, st.integers(3, 43))
def test_two_swapped_neighbours_are_always_refused(token: str, place: int) -> None:
    swapped = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    assert (parse_token(swapped) is None) == (swapped != token)


@given(st.text())
def test_other_text_is_no_token(text: str) -> None:
    assert parse_token(text) is None


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda token: f" {token}", lambda token: f"{token}\n"])
def test_a_token_is_taken_only_as_it_was_given(change: object) -> None:
    body = "lt_abcDEF123456_" + "aB3" * 10
    assert parse_token(body + checksum(body)) is not None
    assert callable(change)
    assert parse_token(change(body + checksum(body))) is None


def test_scopes_are_kept_as_given_each_once() -> None:
    assert normalise_scopes(["write", "read", "write"]) == ("write", "read")


@pytest.mark.parametrize("scopes", [[], ["everything"], ["read", ""], ["READ"]])
def test_unknown_scopes_and_none_at_all_are_refused(scopes: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        normalise_scopes(scopes)
    assert caught.value.details[0].field == "scopes"


@pytest.mark.parametrize("owner_id", ["a", "acme", "user@example.com", "Zoë Ångström", "x" * 128])
def test_a_user_id_is_taken_as_it_is(owner_id: str) -> None:
    assert check_owner_id(owner_id) == owner_id


@pytest.mark.parametrize("owner_id", ["", "  ", "x" * 129, "a\nb", "a\0b", "a\u202eb", "\ud800"])
def test_a_user_id_that_cannot_be_shown_is_refused(owner_id: str) -> None:
    with pytest.raises(InvalidRequest):
        check_owner_id(owner_id)


def test_a_name_loses_the_spaces_around_it() -> None:
    assert normalise_name("  the shop 👩‍💻 ") == "the shop 👩‍💻"
    assert normalise_name(None) is None


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "two\u2028lines", "\ud800"])
def test_a_name_that_is_no_line_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        normalise_name(name)


@pytest.mark.parametrize("seconds", [0, -1, 10 * 365 * 24 * 3600 + 1])
def test_a_lifetime_is_1_second_to_10_years(seconds: int) -> None:
    with pytest.raises(InvalidRequest):
        expiry_after(NOON, seconds)
    assert expiry_after(NOON, 1) == NOON + timedelta(seconds=1)
    assert expiry_after(NOON, None) is None


@pytest.mark.parametrize("seconds", [-1, 604801])
def test_a_grace_is_at_most_7_days(seconds: int) -> None:
    with pytest.raises(InvalidRequest):
        ensure_grace_seconds(seconds)
    for allowed in (0, 604800):
        ensure_grace_seconds(allowed)


def test_a_token_lives_until_the_moment_it_expires() -> None:
    expires_at = NOON + timedelta(seconds=10)
    token = Token("id", "abcdefghijkl", "acme", None, ("read",), (), None, NOON, expires_at)
    assert token.is_live(expires_at - timedelta(microseconds=1))
    assert not token.is_live(expires_at)
    assert not replace(token, revoked_at=NOON).is_live(NOON)
    assert replace(token, expires_at=None).is_live(NOON + timedelta(days=36500))
