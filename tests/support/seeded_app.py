"""An application in which a lot has happened, so that generated requests meet every answer that there is."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from sqlalchemy import select

from letstalk.audit.models import AuditFilter
from letstalk.calls import repository as call_storage
from letstalk.calls.lifecycle import end_call
from letstalk.calls.models import CallStatus
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.errors import Unavailable
from letstalk.core.scopes import Scope
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.tokens.models import NewToken
from letstalk.verifications.models import MAX_TTL_SECONDS, MIN_TTL_SECONDS, NewVerification
from letstalk.verifications.repository import verifications
from letstalk.worker import heartbeat as workers
from tests.support import described_connections, described_events
from tests.support.apps import TurnableClock, issue_token, make_app, services_of
from tests.support.seeded_accounts import SeededAccounts

Made = Any  # a case of Schemathesis, whose parts may be of any type
OWNER = trusted_actor(ActorKind.OWNER, "127.0.0.1")
USER_ID = OWNER.owner_id

# As the description names them: what each needs, so that it is called with just that.
SCOPES: dict[str, str | None] = {
    "send_otp": Scope.OTP_SEND,
    "verify_code": Scope.OTP_VERIFY,
    "replay_otp": Scope.OTP_REPLAY,
    "list_verifications": Scope.CALLS_READ,
    "get_verification": Scope.CALLS_READ,
    "cancel_verification": Scope.CALLS_CANCEL,
    "get_current_token": Scope.CALLS_READ,
    "list_tokens": Scope.ADMIN,
    "create_token": Scope.ADMIN,
    "get_token": Scope.ADMIN,
    "update_token": Scope.ADMIN,
    "rotate_token": Scope.ADMIN,
    "revoke_token": Scope.ADMIN,
    "get_trunk_status": Scope.ADMIN,
    "list_audit": Scope.ADMIN,
    "get_metrics": Scope.ADMIN,
    "get_token_usage": Scope.TOKENS_READ,
    "get_realtime_statistics": Scope.CALLS_READ,
    "get_statistics": Scope.CALLS_READ,
    "speak_code": Scope.OTP_SPEAK,
    "report_outcome": Scope.OTP_SPEAK,
    **{f"{verb}_test_number": Scope.TEST_NUMBERS_WRITE for verb in ("create", "get", "update", "delete")},
    "list_test_numbers": Scope.TEST_NUMBERS_WRITE,
    **{operation: Scope(scope) for operation, scope in described_events.SCOPES.items()},
    **{operation: Scope(scope) for operation, scope in described_connections.SCOPES.items()},
}


# Room for every case, and the headers of a limit in every answer.
LIMITS = dict.fromkeys(
    ("RATE_LIMIT_TOKEN", "RATE_LIMIT_ADDRESS", "RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK"),
    "1000000 per hour",
) | {"BLOCK_BREAKER": "off"}


def live_in(folder: Path) -> LivedIn:
    """An application that answers in this process, as in production, on SQLite, with nothing in the background."""
    clock, encryption_key = TurnableClock(), make_encryption_key()
    webhook_key = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    app = make_app(
        folder,
        clock,
        FLASK_ENV="production",
        ENCRYPTION_KEYS=encryption_key,
        MAX_CONCURRENT_CALLS="1",  # so that the queue is full now and then
        TELEPHONY_PROVIDER="telnyx",
        TELNYX_API_KEY="KEY0123",
        TELNYX_CONNECTION_ID="1293384261075731499",
        TELNYX_FROM_NUMBER="+15551234567",
        TELNYX_PUBLIC_KEY=base64.b64encode(webhook_key.public_key().public_bytes_raw()).decode(),
        PUBLIC_URL="https://calls.example.com",
        **LIMITS,
    )
    return LivedIn(app, clock, Vault((encryption_key,)), webhook_key)


class LivedIn:
    """An application, and what makes a generated request meet something real.

    What a case meets follows from how many of its operation came before it, whatever else has run.
    """

    def __init__(self, app: Flask, clock: TurnableClock, vault: Vault, webhook_key: Ed25519PrivateKey) -> None:
        self.app, self.clock = app, clock
        self._vault, self._key = vault, webhook_key
        self.services = services_of(self.app)
        self._db: Database = self.app.extensions["letstalk_db"]
        self._tokens = {scope: issue_token(self.app, scope, owner_id=USER_ID) for scope in {*SCOPES.values()} if scope}
        self._wrong = issue_token(self.app, Scope.TOKENS_READ, owner_id=USER_ID)
        self._elsewhere = issue_token(self.app, "admin", allowed_ips=("203.0.113.7",))
        self.people = SeededAccounts(self.app)
        self._phones = iter(f"+2567{number:08}" for number in range(1, 1_000_000))
        self._sends = count(1)
        self._counts: Counter[str] = Counter()
        self._count = 0  # of the operation at hand
        self.wsgi = self.app.wsgi_app
        self.app.wsgi_app = self._sign_when_asked  # type: ignore[method-assign]  # as middleware is put in front

    def headers_for(self, operation: str) -> dict[str, str]:
        """Credentials: most times the right ones, else none, dead ones, too narrow ones or ones for other addresses."""
        self._counts[operation] += 1
        self._count = self._counts[operation]
        if operation == "register":
            # The mails of one address are few, whichever operation asks for them.
            self.app.extensions["letstalk_limits"].limiter.reset()
        scope = SCOPES.get(operation)
        access_token = self.people.token_for(operation)
        if operation == "receive_telnyx_event":
            return {"X-Sign": "yes"} if self._count % 3 else {}
        # Of the requests about accounts there are fewer, and many of those have a malformed path.
        none, dead, narrow, elsewhere = (17, 19, 23, 29) if access_token is None else (7, 9, 10, 11)
        if self._count % none == 0 or (scope is None and access_token is None):
            return {}
        presented = self._tokens[scope] if scope else str(access_token)
        if self._count % dead == 0:
            presented = "lt_dead"
        elif self._count % narrow == 0:
            presented = self._wrong
        elif self._count % elsewhere == 0:
            presented = self._elsewhere
        return {"Authorization": f"Bearer {presented}"}

    def prepare(self, operation: str, case: Made) -> bool:
        """Let time pass, and put something real into a case that means to be right. Returns whether it means to be."""
        self._pass_time(operation)
        # Among the headers that Schemathesis makes up is this one; it can't build a request to most such hosts.
        (case.headers or {}).pop("Host", None)
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return False
        if "X-User-Id" in (case.headers or {}):
            case.headers["X-User-Id"] = USER_ID
        fill = getattr(self, f"_for_{operation}", None)
        if fill is not None:
            fill(case)
        self.people.prepare(operation, case, self._count)
        return True

    def _pass_time(self, operation: str) -> None:
        """What happens between two requests: time, calls that end, a worker that is there or not."""
        self.clock.move(0.5)
        if self._count % 40 == 0:
            self._end_waiting_calls()
        if operation == "get_readiness" and self._count % 2:
            with self._db.write() as connection:
                workers.beat(connection, "a worker elsewhere", self.clock())
        elif operation == "get_readiness":
            self.clock.move(16)

    def _let_age(self, verification_id: str, seconds: float) -> None:
        """Let it seem to this verification, at the least, that so much time has passed."""
        assert verification_id
        self.clock.move(seconds)

    def start_verification(self) -> tuple[str, str]:
        """The id and the phone of a new one, whose call has just ended."""
        phone = next(self._phones)
        self._end_waiting_calls()
        wanted = NewVerification(phone, None, None, 6, 600)
        return self.services.sends.start(OWNER, wanted).verification_id, phone

    def _let_calls_wait(self, count: int) -> None:
        """At the least so many calls wait for the only channel."""
        for _ in range(count):
            wanted = NewVerification(next(self._phones), None, None, 6, MAX_TTL_SECONDS)
            with suppress(Unavailable):  # as many as can wait already do
                self.services.sends.start(OWNER, wanted)

    def code_of(self, verification_id: str) -> str:
        statement = select(verifications.c.speech_sealed).where(verifications.c.verification_id == verification_id)
        with self._db.read() as connection:
            sealed = connection.execute(statement).scalar_one()
        code: str = json.loads(self._vault.decrypt(sealed))["code"]
        return code

    def _for_list_events(self, case: Made) -> None:
        case.query = {
            name: value for name, value in dict(case.query or {}).items() if name not in ("cursor", "user_id")
        }

    _for_list_endpoints = _for_list_deliveries = _for_list_test_numbers = _for_list_events
    _for_list_connections = _for_list_received = _for_list_events

    def _for_get_statistics(self, case: Made) -> None:
        for name in ("from", "to"):  # more rules than a schema has
            if isinstance(case.query, dict):
                case.query.pop(name, None)

    def _for_create_endpoint(self, case: Made) -> None:
        case.body["url"] = "https://93.184.215.14/hook"
        if self._count % 40 == 0:  # an owner can have 50
            for endpoint in self.services.app_events.endpoints.list_reached(None):
                self.services.app_events.endpoints.delete_endpoint(OWNER, endpoint.endpoint_id)

    def _for_create_connection(self, case: Made) -> None:
        case.body = {"kind": case.body["kind"], "name": "made for a case"}
        if self._count % 40 == 0:  # an owner can have 50
            for connection in self.services.connections.service.list_reached(None):
                self.services.connections.service.delete_connection(OWNER, connection.connection_id)

    def _for_speak_code(self, case: Made) -> None:
        case.body["phone"] = next(self._phones)
        case.body.pop("brand", None)  # only the operator's
        case.body.pop("locale", None)
        case.body["code"] = "048213"

    def _for_create_test_number(self, case: Made) -> None:
        case.body = {"phone": next(self._phones), "expires_in": 86_400}
        numbers = self.services.test_numbers.list_test_numbers(OWNER, limit=100).numbers
        for shown in numbers if len(numbers) > 90 else ():
            self.services.test_numbers.delete_test_number(OWNER, shown.number.test_number_id)

    def _for_update_endpoint(self, case: Made) -> None:
        if isinstance(case.body, dict) and "url" in case.body:
            case.body["url"] = "https://93.184.215.14/hook"

    def _for_send_otp(self, case: Made) -> None:
        """Of those that mean to be right, one in six is to nobody, to the same phone, too much, has a used key."""
        case.headers["Idempotency-Key"] = f"key {self._count // 2 if self._count % 3 else self._count}"
        case.body["phone"] = next(self._phones)
        match next(self._sends) % 6:
            case 0:
                case.body = {"phone": "+1 900 555 0123"}
                case.headers["Idempotency-Key"] = f"key of nobody {self._count}"
            case 3:
                self._end_waiting_calls()
                case.headers["Idempotency-Key"] = "the same key for another phone"
            case 1:
                case.body["phone"] = "+256700000000"  # too soon, too often
            case 2:
                self._let_calls_wait(2)
                case.body["expires_in"] = MIN_TTL_SECONDS  # less than those two calls take

    def _for_verify_code(self, case: Made) -> None:
        verification_id, phone = self.start_verification()
        case.body["code"] = self.code_of(verification_id) if self._count % 2 else "0000"
        self._end_somehow(verification_id)
        self._target(case, verification_id, next(self._phones) if self._count % 5 == 0 else phone)

    def _for_replay_otp(self, case: Made) -> None:
        verification_id, phone = self.start_verification()
        if self._count % 3:
            self._end_call_of(verification_id)
            self._let_age(verification_id, 21)
        self._end_somehow(verification_id)
        self._target(case, verification_id, phone)

    def _for_receive_telnyx_event(self, case: Made) -> None:
        if self._count % 2:
            event = {"event_type": "call.bridged", "id": f"event {self._count}", "payload": {"call_control_id": "v3:x"}}
            case.body = {"data": event}

    def _for_list_verifications(self, case: Made) -> None:
        (_, phone), _ = self.start_verification(), self.start_verification()  # two pages of one
        if "phone" in case.query:
            case.query["phone"] = phone
        if "cursor" in case.query:
            page = self.services.verifications.list_verifications(OWNER, phone=None, status=None, limit=1, cursor=None)
            case.query["cursor"] = page.next_cursor

    def _for_get_verification(self, case: Made) -> None:
        case.path_parameters["verification_id"] = self.start_verification()[0]

    def _for_cancel_verification(self, case: Made) -> None:
        verification_id, _ = self.start_verification()
        self._end_somehow(verification_id)
        case.path_parameters["verification_id"] = verification_id

    def _for_list_tokens(self, case: Made) -> None:
        if "user_id" in case.query:
            case.query["user_id"] = USER_ID
        if "cursor" in case.query:
            case.query["cursor"] = self.services.tokens.list_tokens(OWNER, limit=1).next_cursor

    def _for_get_health(self, case: Made) -> None:
        if isinstance(case.query, dict):
            case.query.pop("marker", None)

    def _for_list_audit(self, case: Made) -> None:
        if not isinstance(case.query, dict):
            return
        for name in ("from", "to", "actor", "action", "token_id"):  # more rules than a schema has
            case.query.pop(name, None)
        if "user_id" in case.query:
            case.query["user_id"] = USER_ID
        if "address" in case.query:
            case.query["address"] = OWNER.address
        if "cursor" in case.query:
            case.query["cursor"] = self.services.audit_search.list_entries(OWNER, AuditFilter(), limit=1).next_cursor

    def _for_create_token(self, case: Made) -> None:
        if isinstance(case.body, dict):
            if case.body.get("user_id"):
                case.body["user_id"] = "a shop"
            if case.body.get("allowed_ips"):
                case.body["allowed_ips"] = ["198.51.100.0/24", "2001:db8::1"]
            if case.body.get("rate_limit"):
                case.body["rate_limit"] = "100 per minute; 5000 per day"

    def _for_update_token(self, case: Made) -> None:
        self._for_create_token(case)
        self._put_token(case)

    def _put_token(self, case: Made) -> None:
        made = self.services.tokens.create_token(OWNER, NewToken(owner_id="a shop", name="made for a case"))
        token_id = made.record.token_id
        if self._count % 5 == 0:
            self.services.tokens.rotate_token(OWNER, token_id)
        if self._count % 7 == 0:
            self.services.tokens.revoke_token(OWNER, token_id)
        case.path_parameters["token_id"] = token_id

    _for_get_token = _for_rotate_token = _for_revoke_token = _put_token

    def _target(self, case: Made, verification_id: str, phone: str) -> None:
        if case.body.get("phone") is not None:
            case.body["phone"] = phone
        else:
            case.body["verification_id"] = verification_id

    def _end_somehow(self, verification_id: str) -> None:
        if self._count % 7 == 0:
            self.services.verifications.cancel_verification(OWNER, verification_id)
        elif self._count % 11 == 0:
            self._let_age(verification_id, 601)

    def _end_waiting_calls(self) -> None:
        with self._db.write() as connection:
            waiting = connection.execute(select(call_storage.calls).where(call_storage.calls.c.ended_at.is_(None)))
            for row in waiting.all():
                end_call(
                    connection, call_storage.call_from(row), CallStatus.NO_ANSWER, "Nobody answered.", self.clock()
                )

    def _end_call_of(self, verification_id: str) -> None:
        assert verification_id
        self._end_waiting_calls()

    def _sign_when_asked(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Sign a request that says X-Sign, as Telnyx would: its bytes are known only here."""
        if environ.pop("HTTP_X_SIGN", None):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"].seek(0)
            for name, value in self.signature(body).items():
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return self.wsgi(environ, start_response)

    def signature(self, body: bytes) -> dict[str, str]:
        """The headers with which Telnyx would send `body`."""
        timestamp = str(int((self.clock() + timedelta(seconds=1)).timestamp()))
        signature = self._key.sign(timestamp.encode() + b"|" + body)
        return {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": base64.b64encode(signature).decode()}
