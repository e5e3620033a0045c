"""The keys by which usernames and e-mail addresses are compared.

Only the case of ASCII letters makes no difference, and whether a domain is written in Unicode or as its A-labels
(IDNA 2008: RFC 5890, section 2.3.2.1). Nothing else is mapped: `große.de` and `grosse.de` belong to different people.
"""

from __future__ import annotations

import unicodedata
from string import ascii_lowercase, ascii_uppercase

import idna

MAX_LABEL_LENGTH = 63  # RFC 1035, section 2.3.4. A longer one is not looked at: Punycode takes quadratic time.

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def name_key(name: str) -> str:
    """The key of a username or an e-mail address. A domain that IDNA 2008 does not allow stays as it is written."""
    local, at, domain = name.strip().translate(_LOWER).rpartition("@")
    if not at:
        return domain
    try:
        return f"{local}@{encode_domain(domain)}"
    except ValueError:
        return f"{local}@{domain}"


def encode_domain(domain: str) -> str:
    """`domain` with A-labels, in lower case. Raises ValueError for a label that IDNA 2008 does not allow, such as one
    with upper-case letters outside ASCII, full-width letters or ligatures.
    """
    return ".".join(map(_encode_label, domain.translate(_LOWER).split(".")))


def similar_keys(email: str) -> set[str]:
    """The keys of other addresses that normalisation (NFKC and case folding) would make of `email`, or of its local
    part or its domain alone. Empty for an address that normalisation leaves as it is.
    """
    key = name_key(email)
    local, _, domain = key.rpartition("@")
    in_unicode = ".".join(map(_decode_label, domain.split(".")))
    locals_, domains = (local, _fold(local)), (in_unicode, _fold(in_unicode))
    return {name_key(f"{left}@{right}") for left in locals_ for right in domains} - {key}


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _encode_label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        return label
    if len(label) > MAX_LABEL_LENGTH:
        raise ValueError("the label is too long")
    encoded = idna.alabel(idna.ulabel(label)).decode("ascii")
    if label.isascii() and encoded != label:
        raise ValueError("the label is no A-label")
    return encoded


def _decode_label(label: str) -> str:
    try:
        return idna.ulabel(label) if label.startswith("xn--") and len(label) <= MAX_LABEL_LENGTH else label
    except ValueError:
        return label
