"""Finding verifications for the dashboard's search: by an id of theirs, a phone, a reference or an owner."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import sqlalchemy as sa

from letstalk.calls.repository import find_by_provider_id, find_call
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidPhone
from letstalk.core.ids import canonical_id
from letstalk.core.search import MOST_OF_A_KIND, Hit
from letstalk.db.database import Database
from letstalk.http.timestamps import exact_time
from letstalk.observability.redaction import mask_phone
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.verifications import listing
from letstalk.verifications.listing import Wanted
from letstalk.verifications.models import Verification

LIST = "/dashboard/verifications"
MAX_REFERENCE_LENGTH = 64
MAX_PROVIDER_ID_LENGTH = 200
# In international form, or any that has enough digits and nothing else that a person writes into a phone.
_PHONE = re.compile(r"(?:\+|00)?[\d\s().\-/]{6,40}")


class VerificationSearch:
    def __init__(
        self, db: Database, clock: Clock, list_owners: Callable[[], list[str]], *, default_region: str | None
    ) -> None:
        """`list_owners` returns all owners. `default_region` is the country of phones typed in national form."""
        self._db = db
        self._clock = clock
        self._list_owners = list_owners
        self._default_region = default_region

    def find(self, actor: Actor, text: str) -> Sequence[Hit]:
        """What `text` names, of the owners that the actor may see."""
        known_id = canonical_id(text)
        if known_id is not None:
            with self._db.read() as connection:
                return self._find_by_id(connection, actor, known_id)
        owners = tuple(self._list_owners() if actor.is_admin else sorted(actor.visible_owners or ()))
        with self._db.read() as connection:
            return [
                *self._find_by_provider_id(connection, actor, text),
                *self._find_by_phone(connection, actor, text),
                *self._find_by_reference(connection, owners, text),
                *([Hit("Owners", text, "Their verifications", _address(owner=text))] if text in owners else []),
            ]

    def _find_by_id(self, connection: sa.Connection, actor: Actor, known_id: str) -> list[Hit]:
        """Of the verification, the call, or the request that asked for the verification."""
        found = listing.find_one(connection, known_id)
        kind = "Verification"
        if found is None:
            call = find_call(connection, known_id)
            found, kind = (None if call is None else listing.find_one(connection, call.subject_id)), "Call"
        if found is None:
            found, kind = listing.find_by_request(connection, known_id), "Request of a verification"
        return [self._hit(kind, found)] if found is not None and actor.reaches(found.owner_id) else []

    def _find_by_provider_id(self, connection: sa.Connection, actor: Actor, text: str) -> list[Hit]:
        call = find_by_provider_id(connection, text) if len(text) <= MAX_PROVIDER_ID_LENGTH else None
        found = None if call is None else listing.find_one(connection, call.subject_id)
        return [self._hit("Call", found)] if found is not None and actor.reaches(found.owner_id) else []

    def _find_by_phone(self, connection: sa.Connection, actor: Actor, text: str) -> list[Hit]:
        if _PHONE.fullmatch(text) is None:
            return []
        try:
            phone = parse_phone(text, self._default_region)
        except InvalidPhone:
            return []
        wanted = Wanted(owner_ids=actor.visible_owners, phone=phone.canonical)
        found = listing.list_newest(connection, wanted, self._clock(), limit=2).rows
        if len(found) < 2:
            return [self._hit("Verification", one) for one in found]
        title = f"All of {mask_phone(phone.e164)}"
        return [Hit("Verifications of a phone", title, "Newest first", _address(phone=phone.e164))]

    def _find_by_reference(self, connection: sa.Connection, owners: tuple[str, ...], text: str) -> list[Hit]:
        if len(text) > MAX_REFERENCE_LENGTH or not owners:
            return []
        found = listing.list_by_reference(connection, owners, text, limit=MOST_OF_A_KIND)
        return [self._hit("Verifications with this reference", one) for one in found]

    def _hit(self, kind: str, found: Verification) -> Hit:
        status = found.status_at(self._clock()).value.replace("_", " ")
        note = f"{status}, {found.owner_id}, {exact_time(found.created_at)}"
        return Hit(kind, mask_phone(found.e164), note, f"{LIST}/{found.verification_id}")


def _address(**filters: str) -> str:
    return f"{LIST}?{urlencode(filters)}"
