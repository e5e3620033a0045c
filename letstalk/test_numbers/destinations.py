"""Which phones a code can be sent to: those that are called, and an owner's live test numbers, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from letstalk.core.errors import DestinationBlocked
from letstalk.core.numbering import DEFAULT_TYPES
from letstalk.db.database import Database
from letstalk.telephony.phone_numbers import Phone, ensure_destination_allowed
from letstalk.test_numbers.models import TestNumber
from letstalk.test_numbers.repository import find_of_phone


@dataclass(frozen=True, slots=True)
class DestinationRules:
    """The settings about which phones are called. An empty `allowed_countries` permits every country.

    `endless_test_numbers`: this is development, where a test number needs no end.
    """

    allowed_countries: frozenset[str] = frozenset()
    blocked_countries: frozenset[str] = frozenset()
    number_types: frozenset[str] = DEFAULT_TYPES
    endless_test_numbers: bool = False


class Destinations:
    def __init__(self, db: Database, rules: DestinationRules) -> None:
        self._db = db
        self._rules = rules

    def find_block(self, owner_id: str, phone: Phone) -> DestinationBlocked | None:
        """Why the phone is not called, where it is a test number of the owner. Raises DestinationBlocked where not."""
        rules = self._rules
        try:
            ensure_destination_allowed(
                phone, allowed=rules.allowed_countries, blocked=rules.blocked_countries, types=rules.number_types
            )
        except DestinationBlocked as error:
            with self._db.read() as connection:
                if find_of_phone(connection, owner_id, phone.canonical) is None:
                    raise
            return error
        return None

    def find_test_number(
        self, connection: Connection, owner_id: str, phone: Phone, now: datetime, block: DestinationBlocked | None
    ) -> TestNumber | None:
        """The owner's live test number of the phone. Raises `block` where there is none."""
        number = find_of_phone(connection, owner_id, phone.canonical)
        if number is not None and number.is_live(now, may_be_endless=self._rules.endless_test_numbers):
            return number
        if block is not None:
            raise block
        return None
