"""Creates, shows, changes and deletes test numbers, within the owners of the actor."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor, check_owner_id
from letstalk.core.clock import Clock, iso_utc_or_none
from letstalk.core.errors import Conflict, InvalidPhone, InvalidRequest, NotFound
from letstalk.core.ids import canonical_id, new_id
from letstalk.core.pagination import cut_page, decode_cursor, encode_cursor
from letstalk.core.unset import Unset
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.observability.redaction import mask_phone
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.test_numbers import repository
from letstalk.test_numbers.models import (
    CODE_LENGTH,
    MAX_OF_OWNER,
    NewTestNumber,
    NumberChanges,
    ShownTestNumber,
    TestNumber,
    TestNumberPage,
    check_code,
    end_after,
)
from letstalk.tokens.models import normalise_name

# Ends what waits for the code of a test number: (connection, owner_id, canonical phone, now).
EndVerifications = Callable[[Connection, str, str, datetime], None]


class TestNumberService:
    def __init__(
        self,
        db: Database,
        vault: Vault,
        audit: AuditTrail,
        clock: Clock,
        end_verifications: EndVerifications,
        *,
        default_region: str | None,
        may_be_endless: bool,
    ) -> None:
        """`may_be_endless`: this is development, where a test number needs no end."""
        self._db = db
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._end_verifications = end_verifications
        self._default_region = default_region
        self.may_be_endless = may_be_endless

    def create_test_number(self, actor: Actor, wanted: NewTestNumber) -> ShownTestNumber:
        """A new test number. Codes that were sent to the phone before it was made stay what they were.

        It need not be a number that is called, such as one in a country that is blocked. Raises InvalidPhone,
        InvalidRequest, NotGranted, and Conflict `already_test_number` or `too_many_test_numbers`.
        """
        actor = _acting_for(actor, wanted.owner_id)
        phone = parse_phone(wanted.phone, self._default_region)
        code = _make_code() if wanted.code is None else check_code(wanted.code)
        name = normalise_name(wanted.name)
        with self._db.write() as connection:
            now = self._clock()
            expires_at = end_after(now, wanted.expires_in_seconds, may_be_endless=self.may_be_endless)
            self._db.lock(connection, "test_numbers", actor.owner_id)
            if repository.find_of_phone(connection, actor.owner_id, phone.canonical) is not None:
                raise Conflict("This phone is a test number of this user_id already.", code="already_test_number")
            if repository.count_of_owner(connection, actor.owner_id) >= MAX_OF_OWNER:
                sentence = f"A user_id has at most {MAX_OF_OWNER} test numbers. Delete one first."
                raise Conflict(sentence, code="too_many_test_numbers")
            number = TestNumber(
                test_number_id=new_id(now),
                owner_id=actor.owner_id,
                phone=phone.canonical,
                phone_as_given=None if phone.e164 == phone.canonical else phone.e164,
                code_sealed=self._vault.encrypt(code.encode("ascii")),
                name=name,
                created_at=now,
                expires_at=expires_at,
            )
            repository.insert_test_number(connection, number)
            self._record(
                connection, actor, "created", number, {"name": name, "expires_at": iso_utc_or_none(expires_at)}
            )
        return ShownTestNumber(number, code, is_live=True)

    def list_test_numbers(
        self, actor: Actor, *, owner_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> TestNumberPage:
        """The test numbers of the actor's owners, newest first. Raises InvalidRequest for an invalid cursor."""
        before = None if cursor is None else decode_cursor(cursor)
        if owner_id is not None:
            check_owner_id(owner_id)
        owner_ids = actor.visible_owners if owner_id is None else frozenset({owner_id})
        if owner_id is not None and not actor.reaches(owner_id):
            return TestNumberPage((), None)
        with self._db.read() as connection:
            found = repository.list_test_numbers(connection, owner_ids, limit=limit + 1, before=before)
        page, next_cursor = cut_page(
            found, limit, lambda number: encode_cursor(number.created_at, number.test_number_id)
        )
        return TestNumberPage(tuple(map(self._show, page)), next_cursor)

    def get_test_number(self, actor: Actor, test_number_id: str) -> ShownTestNumber:
        """Raises NotFound, also for a test number of an owner that the actor does not act for."""
        with self._db.read() as connection:
            return self._show(_find(connection, actor, test_number_id))

    def find_named(self, actor: Actor, text: str) -> list[TestNumber]:
        """The test numbers with this id, or of this phone, of the owners that the actor reaches."""
        known_id = canonical_id(text)
        with self._db.read() as connection:
            if known_id is not None:
                found = repository.find_test_number(connection, known_id)
                numbers = [] if found is None else [found]
            else:
                try:
                    phone = parse_phone(text, self._default_region)
                except InvalidPhone:
                    return []
                numbers = repository.list_of_phone(connection, phone.canonical)
        return [number for number in numbers if actor.reaches(number.owner_id)]

    def update_test_number(self, actor: Actor, test_number_id: str, changes: NumberChanges) -> ShownTestNumber:
        """The test number with `changes`; `expires_in_seconds` is counted from now.

        With another code or end, what waits for the code is canceled. Raises InvalidRequest, NotFound.
        """
        with self._db.write() as connection:
            now = self._clock()
            old = self._lock(connection, actor, test_number_id)
            new = old
            changed: dict[str, str | None] = {}
            if not isinstance(changes.name, Unset):
                new = replace(new, name=normalise_name(changes.name))
                changed |= {} if new.name == old.name else {"name": new.name}
            if not isinstance(changes.code, Unset):
                sealed = self._vault.encrypt(check_code(changes.code).encode("ascii"))
                if changes.code != self._code_of(old):
                    new = replace(new, code_sealed=sealed)
                    changed["code"] = "changed"
            if not isinstance(changes.expires_in_seconds, Unset):
                end = end_after(now, changes.expires_in_seconds, may_be_endless=self.may_be_endless)
                new = replace(new, expires_at=end)
                changed |= {} if end == old.expires_at else {"expires_at": iso_utc_or_none(end)}
            if changed:
                repository.update_test_number(connection, new)
                self._record(connection, actor, "updated", new, changed)
            if changed.keys() - {"name"}:
                self._end_verifications(connection, old.owner_id, old.phone, now)
        return self._show(new)

    def delete_test_number(self, actor: Actor, test_number_id: str) -> None:
        """Delete it, and cancel what waits for its code: the next send calls the phone. Raises NotFound."""
        with self._db.write() as connection:
            now = self._clock()
            number = self._lock(connection, actor, test_number_id)
            repository.delete_test_number(connection, test_number_id)
            self._end_verifications(connection, number.owner_id, number.phone, now)
            self._record(connection, actor, "deleted", number, {"expires_at": iso_utc_or_none(number.expires_at)})

    def _lock(self, connection: Connection, actor: Actor, test_number_id: str) -> TestNumber:
        """The test number as it is when no send to its phone runs: a send reads it and writes under the same lock."""
        number = _find(connection, actor, test_number_id)
        self._db.lock(connection, "phone", number.phone)
        return _find(connection, actor, test_number_id)

    def _show(self, number: TestNumber) -> ShownTestNumber:
        is_live = number.is_live(self._clock(), may_be_endless=self.may_be_endless)
        return ShownTestNumber(number, self._code_of(number), is_live)

    def _code_of(self, number: TestNumber) -> str:
        return self._vault.decrypt(number.code_sealed).decode("ascii")

    def _record(
        self, connection: Connection, actor: Actor, what: str, number: TestNumber, about: dict[str, str | None]
    ) -> None:
        which = {"test_number_id": number.test_number_id, "phone": mask_phone(number.e164)}
        action = f"test_number.{what}"
        self._audit.record(connection, actor, action, owner_id=number.owner_id, detail=which | about)


def _acting_for(actor: Actor, owner_id: str | None) -> Actor:
    """The actor for the owner of a new test number. Raises InvalidRequest, NotGranted."""
    if owner_id is None and not actor.owner_id:
        raise InvalidRequest.in_field("user_id", "Give the user_id of the test number's owner.")
    return actor.act_for(None if owner_id is None else check_owner_id(owner_id))


def _find(connection: Connection, actor: Actor, test_number_id: str) -> TestNumber:
    known_id = canonical_id(test_number_id)
    number = None if known_id is None else repository.find_test_number(connection, known_id)
    if number is None or not actor.reaches(number.owner_id):
        raise NotFound("This test number does not exist.")
    return number


def _make_code() -> str:
    while True:
        code = f"{secrets.randbelow(10**CODE_LENGTH):0{CODE_LENGTH}d}"
        try:
            return check_code(code)
        except InvalidRequest:
            continue
