"""A connected system: it signs what it sends as the real one does, and sees the call that comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.calls.repository import calls
from letstalk.connect.models import DeliveryWithCall
from letstalk.connect.service import NewConnection
from letstalk.core.actors import Actor
from letstalk.db.crypto import Vault
from tests.support.apps import OWNER, TurnableClock, services_of
from tests.support.recorded_hooks import RECORDED, Headers

FOREIGN_SECRET = "a-signing-key-of-the-other-system"
NUMBERS = count(1)


@dataclass
class ConnectedSystem:
    """One system with a connection of an owner of its own, so that nothing of another test counts."""

    app: Flask
    clock: TurnableClock
    vault: Vault
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    owner: str | None = None
    client: FlaskClient = field(init=False)
    actor: Actor = field(init=False)
    secrets: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.actor = replace(OWNER, owner_id=self.owner or f"owner-{next(NUMBERS)}")
        secret = FOREIGN_SECRET if RECORDED[self.kind].makes_secret else None
        wanted = NewConnection(self.kind, secret=secret, **self.settings)
        issued = services_of(self.app).connections.service.create_connection(self.actor, wanted)
        self.connection_id, self.path = issued.connection.connection_id, issued.connection.path
        self.secrets = [str(issued.secret)]

    def phone(self) -> str:
        """A phone that no other test has."""
        return f"+2567011{next(NUMBERS):05d}"

    def body(self, phone: str, code: str, **changes: Any) -> bytes:
        return json.dumps({**RECORDED[self.kind].body(phone, code), **changes}).encode()

    def body_as(self, phone: str, form: str, code: str) -> bytes:
        """A request whose phone is written in another form."""
        body = self.body(phone, code).decode()
        for written in (f"{phone[:2]}-{phone[2:]}", phone, phone.removeprefix("+")):
            body = body.replace(f'"{written}"', f'"{form}"')
        assert f'"{form}"' in body
        return body.encode()

    def sign(self, body: bytes, secrets: list[str] | None = None, *, seconds: float = 0) -> Headers:
        """The headers with which the system sends `body`, `seconds` from now."""
        now = self.clock()
        signed_at = type(now).fromtimestamp(now.timestamp() + seconds, tz=now.tzinfo)
        return RECORDED[self.kind].sign(self.secrets if secrets is None else secrets, body, signed_at)

    def post(self, body: bytes, headers: Headers, path: str = "") -> TestResponse:
        number = next(NUMBERS)
        address = {"REMOTE_ADDR": f"198.18.{number // 250 % 250}.{number % 250 + 1}"}
        return self.client.post(path or self.path, data=body, headers=headers, environ_overrides=address)

    def send(self, phone: str, code: str) -> TestResponse:
        body = self.body(phone, code)
        return self.post(body, self.sign(body))

    def deliveries(self) -> list[DeliveryWithCall]:
        """Oldest first."""
        found, _ = services_of(self.app).connections.service.list_deliveries(self.actor, self.connection_id, limit=100)
        return found[::-1]

    def outcomes(self) -> list[tuple[str, str | None]]:
        """(what became of it, the code of the error) of each delivery, oldest first."""
        return [(found.delivery.outcome.value, found.delivery.code) for found in self.deliveries()]

    def called(self) -> list[tuple[str, str, str | None]]:
        """(phone, what is said, locale) of the calls of the owner, oldest first."""
        return list(self._calls())

    def _calls(self) -> Iterator[tuple[str, str, str | None]]:
        statement = sa.select(calls).where(calls.c.owner_id == self.actor.owner_id).order_by(calls.c.created_at)
        with self.app.extensions["letstalk_db"].read() as connection:
            for row in connection.execute(statement).mappings():
                sealed = row["script_sealed"]  # erased when the call is over
                said = "" if sealed is None else json.loads(self.vault.decrypt(sealed))["code"]
                yield row["phone"], said, row["locale"]
