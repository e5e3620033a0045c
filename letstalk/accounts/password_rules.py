"""What a password must be: NIST SP 800-63B-4, section 3.1.1.2, or the classic rules where a setting asks for them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum

from letstalk.core.errors import InvalidRequest, WeakPassword

MAX_PASSWORD_LENGTH = 256
CLASSIC_HISTORY = 5
_SMALLEST_NAME = 4  # of one or two letters every password holds some


class PasswordRules(StrEnum):
    NIST = "nist"  # 12 characters at least, none that is commonly used, no forced mix
    CLASSIC = "classic"  # 8 characters and a mix, none of the last five


_MIN_LENGTH = {PasswordRules.NIST: 12, PasswordRules.CLASSIC: 8}


_IN_WORDS = {
    PasswordRules.NIST: f"At least {_MIN_LENGTH[PasswordRules.NIST]} characters, and nothing that is easily guessed. "
    "A few words that nobody else would put together are fine.",
    PasswordRules.CLASSIC: f"At least {_MIN_LENGTH[PasswordRules.CLASSIC]} characters, among them a small letter, a "
    f"capital one, a digit and a sign; none of your last {CLASSIC_HISTORY}.",
}


def describe_rules(rules: PasswordRules) -> str:
    """What to tell whoever chooses one."""
    return _IN_WORDS[rules]


def normalise_password(password: str) -> str:
    """`password` in NFKC, so that two keyboards that write one letter differently agree.

    Raises InvalidRequest for what is no text (a lone surrogate).
    """
    try:
        password.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest.in_field("password", "password must be text.") from None
    return unicodedata.normalize("NFKC", password)


def check_password(
    password: str, rules: PasswordRules, *, names: Iterable[str], is_common: bool, field: str = "password"
) -> None:
    """Refuse a new, normalised password that `rules` don't take, in our words about `field`.

    `names` are the person's own and the service's, in any case, that it must not be; `is_common` says whether a list
    of what people use knows it. Raises WeakPassword.
    """
    length = len(password)
    shortest = _MIN_LENGTH[rules]
    if not shortest <= length <= MAX_PASSWORD_LENGTH:
        raise WeakPassword.in_field(field, f"{field} must have {shortest} to {MAX_PASSWORD_LENGTH} characters.")
    if rules is PasswordRules.CLASSIC and not _is_mixed(password):
        raise WeakPassword.in_field(
            field, f"{field} must hold a small letter, a capital one, a digit and a character that is none of these."
        )
    if is_made_of_names(password, names):
        raise WeakPassword.in_field(field, f"{field} must not be your name, your e-mail address or ours.")
    if is_common:
        raise WeakPassword.in_field(field, f"{field} is one of those that are guessed first. Choose another one.")


def is_made_of_names(password: str, names: Iterable[str]) -> bool:
    """Whether nothing is left of `password` but digits and signs once the names are taken out of it."""
    rest = password.casefold()
    known = {part for name in names for part in _parts_of(name)}
    for part in sorted(known, key=len, reverse=True):
        rest = rest.replace(part, "")
    return rest != password.casefold() and not any(character.isalpha() for character in rest)


def _parts_of(name: str) -> Iterable[str]:
    folded = unicodedata.normalize("NFKC", name).casefold()
    parts = {folded, folded.replace(" ", ""), *folded.split("@"), "".join(filter(str.isalnum, folded))}
    return (part for part in parts if len(part) >= _SMALLEST_NAME)


def _is_mixed(password: str) -> bool:
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    return all(any(is_kind(character) for character in password) for is_kind in kinds)
