"""A connection: another system of one owner, which hands over codes at an address of its own, with a secret of its own.

A stolen secret can have our script say a code to a phone within the limits of the connection and of its owner, and
nothing else. Nothing here keeps a code, or a whole phone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import phonenumbers

from letstalk.core.errors import InvalidRequest
from letstalk.core.rates import Rate, parse_rates
from letstalk.telephony.phone_numbers import Phone, parse_phone

MAX_CONNECTIONS = 50  # of one owner
MAX_NAME_CHARACTERS = 100
MAX_POINTER_CHARACTERS = 200
MAX_SECRET_CHARACTERS = 300
MIN_SECRET_CHARACTERS = 16
MAX_LOCALE_CHARACTERS = 35
DEFAULT_RATE_LIMIT = "30 per minute; 1000 per day"
LONGEST_WINDOW = timedelta(days=1)
MOST_CALLS_OF_A_RATE = 100_000
DELIVERIES_KEPT_FOR = timedelta(days=30)
REFUSED_KEPT = 100  # the newest of each connection
FAILING_AFTER = 5  # deliveries in a row whose sender or form was wrong
# What makes a connection fail, by the code of the error: the secret or the form is wrong, not the phone or the limits.
FAULTS_OF_SETUP = frozenset({"invalid_signature", "invalid_request"})

TOO_MANY = "Too many calls are asked for. Wait before asking again."
ADDRESS_PREFIX = "ltc_"  # by which the log knows what to remove
SECRET_PREFIX = "lt_connect_"  # as above: it looks like a token of ours
_SECRET_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Outcome(StrEnum):
    """What became of a delivery."""

    CALLED = "called"  # a call was placed, or noted for a test number
    REPEATED = "repeated"  # it was the same code for the same phone again: the first call counts
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Pointers:
    """Where a request of the kind `generic` has what we need, as JSON pointers (RFC 6901)."""

    phone: str = "/phone"
    code: str = "/code"
    locale: str | None = "/locale"


@dataclass(frozen=True, slots=True)
class SystemConnection:
    """Times are aware, in UTC; the secrets are encrypted (see `db/rotating_secrets.py`).

    A phone without + is read as an international number, or in the national form of `default_region` (ISO 3166).
    `locale` is for requests that name no language that is spoken. `message_types` are those that a call is placed for,
    None where the kind has none. `failures` counts the deliveries in a row whose sender or form was wrong;
    `failing_since` is when they became too many.
    """

    connection_id: str
    owner_id: str
    kind: str
    name: str | None
    address_key: str
    secret_sealed: str | None
    old_secret_sealed: str | None
    old_secret_until: datetime | None
    default_region: str | None
    locale: str | None
    rate_limit: str
    message_types: tuple[str, ...] | None
    pointers: Pointers | None
    created_at: datetime
    failures: int = 0
    failing_since: datetime | None = None

    @property
    def path(self) -> str:
        """Where its requests come, below the address of this service."""
        return f"/connect/{self.kind}/{self.address_key}"

    @property
    def status(self) -> str:
        if self.secret_sealed is None:
            return "needs_secret"
        return "active" if self.failing_since is None else "failing"

    @property
    def rates(self) -> tuple[Rate, ...]:
        return parse_rates(self.rate_limit)


@dataclass(frozen=True, slots=True)
class ReceivedDelivery:
    """One request of the other system. `phone` is masked; `code` and `reason` say why it was refused.

    `call_id` is None without a call.
    """

    delivery_id: str
    connection_id: str
    received_at: datetime
    outcome: Outcome
    code: str | None
    reason: str | None
    phone: str | None
    call_id: str | None
    is_test: bool


@dataclass(frozen=True, slots=True)
class DeliveryWithCall:
    """A delivery, and how its call stands now: None without a call, and after the call was deleted."""

    delivery: ReceivedDelivery
    call_status: str | None
    call_reason: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, as it was read. `repeats` is the same for each try of one message, if the system says.

    The code is never stored as it is here.
    """

    phone: str = field(repr=False)
    code: str = field(repr=False)
    locale: str | None = None
    ttl_seconds: int | None = None
    repeats: str | None = None


def new_address_key() -> str:
    """The part of an address that cannot be guessed: 192 random bits."""
    return ADDRESS_PREFIX + "".join(secrets.choice(_SECRET_LETTERS) for _ in range(33))


def new_shared_secret() -> str:
    """A secret of 238 random bits that can stand in any header."""
    return SECRET_PREFIX + "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40))


def read_phone(text: str, default_region: str | None) -> Phone:
    """The phone in a request, with or without its plus. Raises InvalidPhone.

    Without `default_region`, digits are those of an international number, as `12025550142` or `0012025550142`.
    """
    plain = text.strip()
    if default_region is None and plain[:1].isdigit():
        plain = "+" + plain.removeprefix("00")
    return parse_phone(plain, default_region)


def check_name(name: str | None) -> str | None:
    if name is not None and not 1 <= len(name.strip()) <= len(name) <= MAX_NAME_CHARACTERS:
        raise InvalidRequest.in_field("name", f"name must be 1 to {MAX_NAME_CHARACTERS} characters.")
    return name


def check_region(region: str | None) -> str | None:
    """The region in capitals. Raises InvalidRequest for one that has no telephone numbers."""
    if region is None:
        return None
    if region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidRequest.in_field("default_region", 'default_region must be a country of ISO 3166, such as "US".')
    return region.upper()


def check_rate_limit(text: str) -> str:
    """Raises InvalidRequest for what is no rate, and for windows and amounts that are not counted."""
    rates = parse_rates(text)
    if any(rate.window_seconds > LONGEST_WINDOW.total_seconds() for rate in rates):
        raise InvalidRequest.in_field("rate_limit", "rate_limit counts over a day at most.")
    if any(rate.amount > MOST_CALLS_OF_A_RATE for rate in rates):
        raise InvalidRequest.in_field("rate_limit", f"rate_limit allows amounts up to {MOST_CALLS_OF_A_RATE}.")
    return text


def check_pointer(field: str, pointer: str) -> str:
    """Raises InvalidRequest for what is no JSON pointer (RFC 6901) to a field."""
    is_pointer = pointer.startswith("/") and len(pointer) <= MAX_POINTER_CHARACTERS and pointer.isprintable()
    if not is_pointer or any(escape[:1] not in ("0", "1") for escape in pointer.split("~")[1:]):
        raise InvalidRequest.in_field(field, f'{field} must be a JSON pointer, such as "/user/phone".')
    return pointer


def describe_event(connection: SystemConnection, reason: str) -> dict[str, Any]:
    """What the event `connection.failing` carries."""
    return {
        "connection_id": connection.connection_id,
        "user_id": connection.owner_id,
        "kind": connection.kind,
        "name": connection.name,
        "reason": reason,
    }
