"""Who someone is elsewhere: what a provider has vouched for, and which account that may lead to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from letstalk.accounts.models import MAX_USERNAME_LENGTH, MIN_USERNAME_LENGTH, check_email
from letstalk.core.errors import InvalidRequest

MAX_SUBJECT_LENGTH = 255  # OpenID Connect Core 1.0, section 2: `sub` must not exceed 255 ASCII characters


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as an issuer knows them: `issuer` and `subject` together name them for ever (OpenID Connect Core 1.0,
    section 5.7). `verified_email` is None unless the issuer says that the address is theirs; `name` is what they
    would like to be called, and proves nothing.
    """

    issuer: str
    subject: str
    verified_email: str | None = None
    name: str = ""


def is_subject(value: object) -> bool:
    """Whether `value` can be a `sub`: text of 1 to 255 ASCII characters, none of them a control character."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT_LENGTH and value.isascii() and value.isprintable()


def read_email(email: object, is_verified: object) -> str | None:
    """The address, if the issuer states that it is verified and it can be one. Anything but a plain `true` is no."""
    if not isinstance(email, str) or is_verified is not True:
        return None
    try:
        return check_email(email)
    except InvalidRequest:
        return None


def usernames_for(name: str, email: str) -> Iterator[str]:
    """Names that an account could have, without end, the most fitting first: as called elsewhere, as in the address,
    and then with a number.
    """
    base = _as_username(name) or _as_username(email.partition("@")[0]) or "person"
    yield base
    for number in count(2):
        ending = f"-{number}"
        yield base[: MAX_USERNAME_LENGTH - len(ending)] + ending


def _as_username(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:MAX_USERNAME_LENGTH]
    return plain if len(plain) >= MIN_USERNAME_LENGTH else ""
