"""A request of a connected system: is it from there, what does it ask for, may it, and what is it told."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson
from sqlalchemy import Connection

from letstalk.connect import repository
from letstalk.connect.kinds.base import Kind, Reply, example_of, read_wanted
from letstalk.connect.models import (
    FAILING_AFTER,
    FAULTS_OF_SETUP,
    TOO_MANY,
    Outcome,
    ReceivedDelivery,
    SystemConnection,
    Wanted,
    describe_event,
    read_phone,
)
from letstalk.connect.service import ConnectionService, find_kind
from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, InvalidRequest, InvalidSignature, LetsTalkError, NotFound, TooManyRequests
from letstalk.core.ids import new_id
from letstalk.core.scopes import Scope
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.db.rotating_secrets import open_secrets
from letstalk.events.models import AppEventType, NewEvent
from letstalk.events.recording import record_event
from letstalk.http.idempotency import IdempotencyKey
from letstalk.http.json_bodies import parse_object
from letstalk.observability.logs import get_logger
from letstalk.observability.redaction import mask_phone, redact_text
from letstalk.speaking.models import DEFAULT_TTL_SECONDS, NewSpokenCode
from letstalk.speaking.service import SpeakService
from letstalk.telephony.phone_numbers import INVALID_PHONE, MAX_PHONE_CHARACTERS

log = get_logger(__name__)

MAX_REASON_CHARACTERS = 300
MOST_FORM_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"
PATH = "/connect"  # under which the id of a message is remembered


class RequestCounter(Protocol):
    """Counts requests. Each method raises TooManyRequests for one too many."""

    def count_stranger(self) -> None:
        """One that does not prove that it comes from the connected system."""

    def count_connection(self, connection_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request as it came: names of headers in lower case, the body byte for byte."""

    headers: Mapping[str, str]
    body: bytes
    address: str | None = None


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What the other system is told, and the delivery as it was recorded. `error` is why it was refused."""

    reply: Reply
    delivery: ReceivedDelivery
    error: LetsTalkError | None = None


class NoCounter:
    """For a test that somebody asked for, who was counted already."""

    def count_stranger(self) -> None: ...

    def count_connection(self, connection_id: str) -> None: ...


class HookService:
    def __init__(
        self, db: Database, vault: Vault, clock: Clock, connections: ConnectionService, speaking: SpeakService
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._connections = connections
        self._speaking = speaking

    def receive(self, kind_name: str, address_key: str, request: HookRequest, counter: RequestCounter) -> HookAnswer:
        """Have the code of a request spoken, and record what became of it.

        1. The address names the connection. Raises NotFound.
        2. The secret or the signature is checked over the raw bytes, before anything is read.
        3. The kind's table says where the phone, the code and the language are.
        4. The limits of the connection and of its owner are those of every call.

        What is refused is an answer in the kind's own form. Raises TooManyRequests for a stranger who asks too often.
        """
        with self._db.read() as db:
            connection = repository.find_by_address(db, kind_name, address_key)
        if connection is None:
            counter.count_stranger()
            raise NotFound("There is no connection at this address.")
        return self._receive(connection, request, counter, is_test=False)

    def send_test(self, actor: Actor, connection_id: str, phone: str) -> HookAnswer:
        """Receive a request like one of the other system, signed with the connection's secret, for this phone.

        Its code is random, and nobody checks it. Raises NotFound, InvalidPhone, and Conflict `no_secret`.
        """
        connection = self._connections.get_connection(actor, connection_id)
        kind = find_kind(connection.kind)
        known = open_secrets(self._vault, connection, self._clock())
        if not known:
            raise Conflict(f"Give the secret that {kind.title} has made first.", code="no_secret")
        e164 = read_phone(phone, connection.default_region).e164
        content = example_of(kind, connection, e164, f"{secrets.randbelow(1_000_000):06}")
        body = orjson.dumps(content)
        headers = kind.scheme.sign(known[0], body, self._clock()) | {"content-type": "application/json"}
        return self._receive(connection, HookRequest(headers, body, actor.address), NoCounter(), is_test=True)

    def _receive(
        self, connection: SystemConnection, request: HookRequest, counter: RequestCounter, *, is_test: bool
    ) -> HookAnswer:
        kind, now = find_kind(connection.kind), self._clock()
        try:
            known = open_secrets(self._vault, connection, now)
            if not known:
                raise InvalidSignature(f"This connection waits for the secret that {kind.title} makes.")
            message_id = kind.scheme.ensure_from(known, request.headers, request.body, now)
        except InvalidSignature as error:
            counter.count_stranger()
            return self._refuse(kind, connection, error, None, is_test=is_test)
        phone: str | None = None
        try:
            counter.count_connection(connection.connection_id)
            wanted = read_wanted(kind, connection, read_content(kind, request))
            phone = "".join(re.findall(r"[+0-9]+", wanted.phone[:MAX_PHONE_CHARACTERS])) or None
            phone = read_phone(wanted.phone, connection.default_region).e164
            return self._speak(kind, connection, request, wanted, phone, message_id, is_test=is_test)
        except LetsTalkError as error:
            return self._refuse(kind, connection, error, phone, is_test=is_test)

    def _speak(
        self,
        kind: Kind,
        connection: SystemConnection,
        request: HookRequest,
        wanted: Wanted,
        phone: str,
        message_id: str | None,
        *,
        is_test: bool,
    ) -> HookAnswer:
        """Place the call, unless it is the same one again."""
        noted: list[ReceivedDelivery] = []

        def note_call(db: Connection, call_id: str, now: datetime) -> None:
            self._db.lock(db, "connection", connection.connection_id)
            ensure_rates(db, connection, now)
            delivery = self._make(connection, Outcome.CALLED, phone, now, call_id=call_id, is_test=is_test)
            repository.insert_delivery(db, delivery)
            repository.note_success(db, connection.connection_id)
            noted.append(delivery)

        actor = Actor(
            kind=ActorKind.CONNECTION,
            owner_id=connection.owner_id,
            scopes=frozenset({Scope.OTP_SPEAK}),
            address=request.address,
        )
        code = NewSpokenCode(
            phone,
            wanted.code,
            wanted.locale,
            reference=connection.connection_id,
            ttl_seconds=wanted.ttl_seconds or DEFAULT_TTL_SECONDS,
        )
        key = _key_of(connection, wanted, phone, wanted.repeats or message_id)
        accepted = self._speaking.speak(actor, code, key, on_accept=note_call)
        if not noted:
            with self._db.write() as db:
                now = self._clock()
                again = self._make(connection, Outcome.REPEATED, phone, now, call_id=accepted.call_id, is_test=is_test)
                repository.insert_delivery(db, again)
                repository.note_success(db, connection.connection_id)
            noted.append(again)
        log.info("hook_accepted", kind=kind.name, outcome=noted[0].outcome.value, call_id=accepted.call_id)
        return HookAnswer(kind.accept(accepted), noted[0])

    def _refuse(
        self, kind: Kind, connection: SystemConnection, error: LetsTalkError, phone: str | None, *, is_test: bool
    ) -> HookAnswer:
        """Record why, and tell the owner once where one delivery after the other is wrong."""
        error.owner_id = connection.owner_id
        with self._db.write() as db:
            now = self._clock()
            delivery = self._make(connection, Outcome.REFUSED, phone, now, error=error, is_test=is_test)
            current = repository.find_connection(db, connection.connection_id, for_update=True)
            if current is not None:
                repository.insert_delivery(db, delivery)
                self._note_failure(db, current, delivery, now)
        log.info("hook_refused", kind=kind.name, reason=error.code, connection_id=connection.connection_id)
        return HookAnswer(kind.refuse(error), delivery, error)

    @staticmethod
    def _note_failure(db: Connection, connection: SystemConnection, delivery: ReceivedDelivery, now: datetime) -> None:
        is_fault = delivery.code in FAULTS_OF_SETUP
        failures = connection.failures + 1 if is_fault else 0
        starts_to_fail = failures >= FAILING_AFTER and connection.failing_since is None
        if starts_to_fail:
            detail = describe_event(connection, delivery.reason or "")
            event = NewEvent(
                AppEventType.CONNECTION_FAILING, connection.owner_id, subject_id=connection.connection_id, detail=detail
            )
            record_event(db, event, now)
        failing_since = now if starts_to_fail else connection.failing_since
        repository.update_connection(db, replace(connection, failures=failures, failing_since=failing_since))

    @staticmethod
    def _make(
        connection: SystemConnection,
        outcome: Outcome,
        phone: str | None,
        now: datetime,
        *,
        error: LetsTalkError | None = None,
        call_id: str | None = None,
        is_test: bool,
    ) -> ReceivedDelivery:
        return ReceivedDelivery(
            delivery_id=new_id(now),
            connection_id=connection.connection_id,
            received_at=now,
            outcome=outcome,
            code=None if error is None else error.code,
            reason=None if error is None else _reason_of(error),
            phone=None if phone is None else mask_phone(phone),
            call_id=call_id,
            is_test=is_test,
        )


def _reason_of(error: LetsTalkError) -> str:
    # The example in that sentence is nobody's phone.
    sentence = error.message if error.message == INVALID_PHONE else redact_text(error.message)
    return sentence[:MAX_REASON_CHARACTERS]


def read_content(kind: Kind, request: HookRequest) -> Mapping[str, Any]:
    """The body as an object: JSON, whatever its type is called, or a form where the kind sends one.

    Raises InvalidRequest.
    """
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE
    if not (kind.takes_forms and is_form):
        return parse_object(request.body)
    try:
        pairs = parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FORM_FIELDS)
    except ValueError:
        raise InvalidRequest("The body is not a form, or has too many fields.") from None
    return dict(pairs)


def ensure_rates(db: Connection, connection: SystemConnection, now: datetime) -> None:
    """Raises TooManyRequests when one more call would exceed a rate of the connection."""
    for rate in connection.rates:
        window = timedelta(seconds=rate.window_seconds)
        at = repository.find_called_before(db, connection.connection_id, now - window, rate.amount)
        if at is not None:
            wait_seconds = max(1, math.ceil((at + window - now).total_seconds()))
            raise TooManyRequests(TOO_MANY, retry_after_seconds=wait_seconds)


def _key_of(connection: SystemConnection, wanted: Wanted, phone: str, message_id: str | None) -> IdempotencyKey | None:
    """By which a message that comes again is known for a day, whatever its signature; None without an id."""
    if message_id is None:
        return None
    digest = hashlib.sha256(f"{connection.connection_id}\0{message_id}".encode("utf-8", "replace")).hexdigest()
    asked = hashlib.sha256(f"{phone}\0{wanted.code}".encode("utf-8", "replace")).hexdigest()
    return IdempotencyKey(PATH, digest, asked)


@dataclass(frozen=True, slots=True)
class Connections:
    """The services about connections, as the wiring builds them."""

    service: ConnectionService
    hooks: HookService
