"""Which claims of an identity are believed, and the username that its person gets."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.accounts.models import check_username, usernames_for
from letstalk.sso.models import MAX_SUBJECT_LENGTH, is_subject, read_email, read_identity


def test_only_a_plain_true_verifies_an_address() -> None:
    assert read_email("Ada@Example.com", True) == "Ada@Example.com"
    for doubtful in (False, None, 1, "true", "True", [True]):
        assert read_email("ada@example.com", doubtful) is None
    for odd in (None, 1, "", "ada", "a@b@c.de", "ada@example.com\n.", ["ada@example.com"]):
        assert read_email(odd, True) is None


@pytest.mark.parametrize("subject", [None, 1, "", "s" * 256, "a\0", "a\n", "é", ["a"]])
def test_what_can_be_no_subject(subject: object) -> None:
    assert not is_subject(subject)
    assert is_subject("00u1|auth0:x")


@pytest.mark.parametrize(
    ("name", "email", "first"),
    [
        ("ada", "a.lovelace@example.com", "ada"),
        ("", "a.lovelace@example.com", "a.lovelace"),
        ("Ada Lovelace", "a@example.com", "Ada-Lovelace"),
        ("Zoë", "z@example.com", "Zoe"),
        ("ada@example.com", "a@example.com", "ada-example.com"),
        ("孫", "x@example.com", "person"),
        ("n" * 100, "a@example.com", "n" * 64),
    ],
)
def test_a_name_is_made_of_what_is_known(name: str, email: str, first: str) -> None:
    assert next(usernames_for(name, email)) == first


@given(st.text(max_size=200), st.emails())
def test_every_name_is_one_that_an_account_can_have(name: str, email: str) -> None:
    names = list(islice(usernames_for(name, email), 12))
    assert len(set(names)) == 12
    for each in names:
        assert check_username(each) == each


EMAIL = "ada@example.com"


@pytest.mark.parametrize(
    ("sources", "is_verified"),
    [
        ([{"email": EMAIL, "email_verified": True}], True),
        ([{"email": EMAIL, "edov": "1"}], True),
        ([{"email": EMAIL, "email_verified": None, "edov": 1}], True),
        ([{}, {"email": EMAIL, "email_verified": True}], True),
        ([{"email": None}, {"email": EMAIL, "email_verified": True}], True),
        # An explicit no wins, wherever it stands and however it is written.
        ([{"email": EMAIL, "email_verified": False, "edov": True}], False),
        ([{"email": EMAIL, "email_verified": "false", "edov": True}], False),
        ([{"email": EMAIL, "email_verified": True, "edov": False}], False),
        ([{"email": EMAIL, "email_verified": True, "edov": "0"}], False),
        ([{"email_verified": False}, {"email": EMAIL, "email_verified": True}], False),
        ([{"edov": 0}, {"email": EMAIL, "email_verified": True}], False),
        # Only who names the address verifies it.
        ([{"email_verified": True}, {"email": EMAIL}], False),
        ([{"edov": True}, {"email": EMAIL}], False),
        ([{"email": EMAIL}, {"email": "eve@example.com", "email_verified": True}], False),
        # Also if another source has named the same address before.
        ([{"email": EMAIL}, {"email": EMAIL, "email_verified": True}], True),
        ([{"email": EMAIL}, {"email": "ADA@Example.com", "edov": "1"}], True),
        ([{"email": EMAIL, "email_verified": False}, {"email": EMAIL, "email_verified": True}], False),
        ([{"email": EMAIL, "email_verified": True}, {"email": EMAIL, "email_verified": False}], False),
        ([{"email": EMAIL, "edov": False}, {"email": EMAIL, "email_verified": True}], False),
        ([{"email": EMAIL}, {"email_verified": True}], False),
        ([{"email": EMAIL}, {"email": "\uff41da@example.com", "email_verified": True}], False),
        ([{"email": EMAIL}, {"email": [EMAIL], "email_verified": True}], False),
        ([{"email": [EMAIL]}, {"email": EMAIL, "email_verified": True}], False),
        ([{"email": EMAIL}], False),
        ([{"email": EMAIL, "another": True}], False),
    ],
)
def test_an_address_is_verified_only_by_who_names_it_and_nobody_denies_it(
    sources: list[dict[str, object]], is_verified: bool
) -> None:
    first, *others = sources
    identity = read_identity("https://id.example.com", {"sub": "ada-1", **first}, *others, domain_claim="edov")
    assert identity.verified_email == (EMAIL if is_verified else None)
    assert identity.subject == "ada-1"


def test_of_a_name_that_its_person_chose_elsewhere_only_the_beginning_is_read() -> None:
    claims = {"sub": "ada-1", "name": "\u0316" * 30_000}
    assert len(read_identity("https://id.example.com", claims).name) == MAX_SUBJECT_LENGTH
