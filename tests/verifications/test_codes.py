from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from letstalk.verifications.codes import digest_code, generate_code, is_code
from letstalk.verifications.models import MAX_CODE_LENGTH, MIN_CODE_LENGTH

KEY = bytes(range(32))
codes = st.from_regex(r"[0-9]{4,10}", fullmatch=True)


def test_a_code_has_six_digits_unless_asked_otherwise() -> None:
    assert all(len(code) == 6 and code.isascii() and code.isdigit() for code in (generate_code() for _ in range(50)))


@given(st.integers(MIN_CODE_LENGTH, MAX_CODE_LENGTH))
def test_a_code_is_as_long_as_asked(length: int) -> None:
    code = generate_code(length)
    assert len(code) == length
    assert set(code) <= set("0123456789")


def test_every_digit_comes_as_often_as_any_other_at_every_place() -> None:
    codes = [generate_code() for _ in range(4000)]
    for place in range(6):
        counted = Counter(code[place] for code in codes)
        # 400 of each are expected; five standard deviations are 95.
        assert set(counted) == set("0123456789")
        assert all(abs(count - 400) < 120 for count in counted.values())


@given(codes, codes)
def test_only_the_code_itself_matches_its_digest(code: str, other: str) -> None:
    digest = digest_code(KEY, "one", code)
    assert is_code(KEY, "one", code, digest)
    assert is_code(KEY, "one", other, digest) == (code == other)


@given(codes)
def test_a_digest_holds_for_one_verification_and_one_key_only(code: str) -> None:
    digest = digest_code(KEY, "one", code)
    assert not is_code(KEY, "another", code, digest)
    assert not is_code(bytes(32), "one", code, digest)


@given(codes)
def test_a_digest_does_not_show_the_code(code: str) -> None:
    digest = digest_code(KEY, "one", code)
    assert len(digest) == 64
    assert not is_code(KEY, "one", digest, digest)


def test_a_leading_zero_makes_another_code() -> None:
    assert not is_code(KEY, "one", "12345", digest_code(KEY, "one", "012345"))
