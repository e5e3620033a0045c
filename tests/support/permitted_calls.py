"""One request for each call of `permissions.py`: its target, its body, and the status for those who may make it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from letstalk.accounts.account_sessions import SignedIn
from letstalk.accounts.authentication import ACCOUNT_PREFIX
from letstalk.accounts.models import Account, AccountChanges
from letstalk.connect.service import NewConnection
from letstalk.core.actors import Actor
from letstalk.core.scopes import Scope
from letstalk.events.models import AppEventType, EventFilter
from letstalk.speaking.models import NewSpokenCode
from letstalk.test_numbers.models import NewTestNumber
from letstalk.tokens.models import NewToken
from letstalk.twilio.models import NewTwilioVerification, Sid
from letstalk.twilio.service import ServiceChanges
from letstalk.verifications.models import NewVerification
from tests.support.account_services import DEVICE, OTHER_PASSWORD, someone
from tests.support.apps import OWNER as OWNER_ACTOR
from tests.support.apps import PASSWORD, issue_token, services_of
from tests.support.pages import Visitor
from tests.support.permissions import NOBODY, OTHER, OWNER, Asker, Row

OURS, THEIRS = "acme", "globex"
UNKNOWN_CALL = "019a2f6e-8c21-7d3a-9f55-2b7c4d5e6f70"
NOT_GRANTED = "of an owner that is not granted"
NAMED_IN_BODIES = {"verification_id", "verification_sid"}
# What others belong to is made before them.
MADE_FIRST = ("endpoint_id", "service_sid", "rate_limit_sid")
NEEDS_PASSWORD = {"PUT /api/auth/password", "POST /dashboard/profile/password"}

Body = Callable[["World", dict[str, str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """`done` is the response for those who may: the status, and the code of an error of the call's own rules.

    `else_status` is the other status, of a page that redirects people who are already signed in.
    """

    body: Body = lambda _world, _ids: {}
    done: tuple[int, str | None] = (200, None)
    else_status: int | None = None


def _new_token(_world: World, _ids: dict[str, str]) -> dict[str, Any]:
    return {"scopes": ["tokens:write"]}


def _a_link(_world: World, _ids: dict[str, str]) -> dict[str, Any]:
    return {"token": "x" * 32, "username": "ada", "password": OTHER_PASSWORD, "new_password": OTHER_PASSWORD}


def _some(*fields: str) -> Body:
    return lambda world, ids: {name: value for name, value in _a_link(world, ids).items() if name in fields}


def _passwords(_world: World, _ids: dict[str, str]) -> dict[str, Any]:
    return {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}


REQUESTS: dict[str, Request] = {
    "POST /calls/otp": Request(lambda world, _: {"phone": world.phone()}, (202, None)),
    "POST /calls/verify": Request(lambda _, ids: {**ids, "code": "0000"}, (400, "invalid_code")),
    # Nothing has been read out yet.
    "POST /calls/replay": Request(lambda _, ids: ids, (429, "replay_too_soon")),
    "POST /api/tokens": Request(_new_token, (201, None)),
    "PATCH /api/tokens/{token_id}": Request(lambda *_: {"name": "renamed"}),
    "POST /api/tokens/{token_id}/rotate": Request(done=(201, None)),
    "POST /calls/speak": Request(lambda world, _: {"phone": world.phone(), "code": "0042"}, (202, None)),
    "POST /calls/{call_id}/outcome": Request(lambda *_: {"approved": True}),
    "POST /twilio/v2/Services": Request(lambda *_: {"FriendlyName": "Acme"}, (201, None)),
    "POST /twilio/v2/Services/{service_sid}": Request(),
    "DELETE /twilio/v2/Services/{service_sid}": Request(done=(204, None)),
    "POST /twilio/v2/Services/{service_sid}/Verifications": Request(
        lambda world, _: {"To": world.phone(), "Channel": "call"}, (201, None)
    ),
    "POST /twilio/v2/Services/{service_sid}/Verifications/{verification_sid}": Request(
        lambda *_: {"Status": "canceled"}
    ),
    "POST /twilio/v2/Services/{service_sid}/VerificationCheck": Request(
        lambda _, ids: {"VerificationSid": ids["verification_sid"], "Code": "0000"}
    ),
    "POST /twilio/v2/Services/{service_sid}/RateLimits": Request(
        lambda world, _: {"UniqueName": world.name()}, (201, None)
    ),
    "POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}": Request(),
    "DELETE /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}": Request(done=(204, None)),
    "POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets": Request(
        lambda world, _: {"Max": 1, "Interval": next(world.numbers)}, (201, None)
    ),
    "POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets/{bucket_sid}": Request(),
    "DELETE /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets/{bucket_sid}": Request(
        done=(204, None)
    ),
    "POST /api/test-numbers": Request(lambda world, _: {"phone": world.phone()}, (201, None)),
    "PATCH /api/test-numbers/{number_id}": Request(lambda *_: {"name": "renamed"}),
    "POST /api/webhook-endpoints": Request(lambda *_: {"url": "http://127.0.0.1:9/"}, (201, None)),
    "PATCH /api/webhook-endpoints/{endpoint_id}": Request(lambda *_: {"description": "renamed"}),
    "POST /api/webhook-endpoints/{endpoint_id}/send-example": Request(done=(202, None)),
    "POST /api/webhook-endpoints/{endpoint_id}/replay": Request(
        lambda *_: {"since": "2026-11-20T10:00:00Z"}, (202, None)
    ),
    "POST /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": Request(done=(202, None)),
    "POST /api/connections": Request(lambda *_: {"kind": "logto"}, (201, None)),
    "PATCH /api/connections/{connection_id}": Request(lambda *_: {"name": "renamed"}),
    "POST /api/connections/{connection_id}/send-test": Request(lambda world, _: {"phone": world.phone()}),
    "POST /connect/{kind}/{address_key}": Request(done=(404, "not_found")),
    "POST /dashboard/connections/new/{kind_name}": Request(lambda *_: {"user_id": OURS}),
    "POST /dashboard/connections/{connection_id}": Request(lambda *_: {"rate_limit": "5 per minute"}, (302, None)),
    "POST /dashboard/connections/{connection_id}/rotate": Request(lambda *_: {"grace_seconds": "0"}),
    "POST /dashboard/connections/{connection_id}/test": Request(lambda world, _: {"phone": world.phone()}),
    "POST /api/auth/phone": Request(done=(400, "invalid_request")),  # no phone is named, and none is pending
    "POST /api/auth/phone/verify": Request(lambda *_: {"code": "042917"}, (404, "no_pending_verification")),
    "POST /api/auth/phone/call-again": Request(done=(404, "no_pending_verification")),
    "POST /api/auth/recovery-codes": Request(done=(409, "no_phone")),
    "PUT /api/auth/password": Request(_passwords),
    "POST /api/auth/invite": Request(lambda world, _: {"email": world.email(), "role": "viewer"}, (201, None)),
    "PATCH /api/accounts/{account_id}": Request(lambda world, _: {"username": world.name()}),
    "PATCH /api/accounts/{account_id}, one's own role": Request(lambda *_: {"role": "admin"}),
    "PATCH /api/accounts/roles/{role}": Request(lambda *_: {"requires_second_factor": False}),
    "POST /api/webhooks/telnyx": Request(done=(403, "invalid_signature")),
    # Nothing has been read out yet.
    "POST /dashboard/verifications/{verification_id}/replay": Request(done=(429, None)),
    "POST /dashboard/try": Request(lambda world, _: {"phone": world.phone()}),
    "POST /dashboard/try/token": Request(done=(302, None)),
    "POST /dashboard/try/check": Request(lambda *_: {"code": "042917"}),
    "POST /dashboard/try/replay": Request(),
    "POST /dashboard/tokens": Request(lambda *_: {"scopes": "tokens:write", "user_id": OURS}),
    "GET /dashboard/tokens/revoke": Request(done=(302, None)),  # no token is selected
    "POST /dashboard/tokens/revoke": Request(lambda *_: {"token_id": "x"}),
    "POST /dashboard/tokens/{token_id}/rotate": Request(),
    # Nothing is recorded.
    "GET /dashboard/languages/{locale}/example.wav": Request(done=(404, None)),
    "POST /dashboard/webhooks": Request(lambda *_: {"url": "http://127.0.0.1:9/", "user_id": OURS}),
    "POST /dashboard/webhooks/{endpoint_id}": Request(lambda *_: {"url": "http://127.0.0.1:9/new"}, (302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/rotate": Request(lambda *_: {"grace_seconds": "0"}),
    "POST /dashboard/webhooks/{endpoint_id}/enable": Request(done=(302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/disable": Request(done=(302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/example": Request(lambda *_: {"type": "call.ended"}, (302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/replay": Request(lambda *_: {"span": "hour"}, (302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/delete": Request(done=(302, None)),
    "POST /dashboard/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver": Request(done=(302, None)),
    "POST /dashboard/test-numbers": Request(lambda world, _: {"phone": world.phone(), "user_id": OURS}, (302, None)),
    "POST /dashboard/test-numbers/{number_id}": Request(
        lambda *_: {"code": "408213", "expires_in": "keep"}, (302, None)
    ),
    "POST /dashboard/tokens/{token_id}/edit": Request(
        lambda *_: {"name": "renamed", "scopes": "tokens:write", "expires_in": "keep"}, (302, None)
    ),
    "POST /dashboard/people/{account_id}": Request(
        lambda world, _: {"email": world.email(), "role": "viewer"}, (302, None)
    ),
    "POST /dashboard/people/invite": Request(lambda world, _: {"email": world.email(), "role": "viewer"}),
    "POST /dashboard/profile/name": Request(lambda world, _: {"username": world.name()}, (302, None)),
    "POST /dashboard/profile/password": Request(_passwords, (302, None)),
    "POST /dashboard/profile/phone/call-again": Request(done=(404, None)),
    "POST /dashboard/profile/recovery-codes": Request(done=(409, None)),
    "POST /dashboard/profile/phone/verify": Request(lambda *_: {"code": "042917"}, (404, None)),
    "POST /simulator/leave": Request(done=(204, None)),
    "GET /": Request(done=(302, None)),
    "POST /api/auth/login": Request(lambda world, _: {"username": world.with_password, "password": PASSWORD}),
    "POST /api/auth/second-factor": Request(
        lambda *_: {"challenge": "x" * 32, "code": "042917"}, (401, "invalid_challenge")
    ),
    "POST /api/auth/second-factor/phone": Request(lambda *_: {"challenge": "x" * 32}, (401, "invalid_challenge")),
    "POST /api/auth/second-factor/call-again": Request(lambda *_: {"challenge": "x" * 32}, (401, "invalid_challenge")),
    "POST /api/auth/second-factor/recovery": Request(
        lambda *_: {"challenge": "x" * 32, "recovery_code": "7K3M-9QXB-0TZ4"}, (401, "invalid_challenge")
    ),
    "POST /api/auth/refresh": Request(lambda world, _: {"refresh_token": world.refresh_token()}),
    "POST /api/auth/register": Request(
        lambda world, _: {"username": "bob", "email": world.email(), "password": "short"}, (400, "weak_password")
    ),
    "POST /api/auth/verify-email": Request(_some("token", "password"), (400, "invalid_link")),
    "POST /api/auth/resend-verification": Request(lambda world, _: {"email": world.email()}),
    "POST /api/auth/forgot-password": Request(lambda world, _: {"email": world.email()}),
    "POST /api/auth/reset-password": Request(_some("token", "new_password"), (400, "invalid_link")),
    "POST /api/auth/invitation-details": Request(_some("token"), (400, "invalid_link")),
    "POST /api/auth/register-invitation": Request(_some("token", "username", "password"), (400, "invalid_link")),
    "POST /api/auth/jwt": Request(done=(400, "invalid_request")),  # what names no issuer is 401 to everyone
    "POST /api/auth/sso/start": Request(lambda *_: {"redirect_uri": "https://a.example/"}, (404, "sso_not_configured")),
    "POST /api/auth/sso": Request(
        lambda *_: dict.fromkeys(("code", "redirect_uri", "state"), "x"), (404, "sso_not_configured")
    ),
    "GET /api/auth/sso/start": Request(done=(404, "sso_not_configured")),
    "GET /api/auth/sso/callback": Request(done=(404, "sso_not_configured")),
    "GET /health/ready": Request(done=(503, "not_ready")),  # nothing works in the background of this test
    "GET /sign-in": Request(else_status=302),
    "POST /sign-in": Request(lambda *_: {"password": PASSWORD}, (302, None)),
    "GET /sign-in/code": Request(done=(302, None)),
    "POST /accept-invitation": Request(_a_link, (400, None)),
    "POST /forgot-password": Request(lambda world, _: {"email": world.email()}),
    "POST /register": Request(lambda world, _: {"username": "bob", "email": world.email()}),
    "POST /resend-verification": Request(lambda world, _: {"email": world.email()}),
    "POST /reset-password": Request(_a_link, (400, None)),
    "POST /verify-email": Request(_a_link, (400, None)),
    "POST /theme": Request(lambda *_: {"theme": "dark"}, (303, None)),
}


def request_of(row: Row) -> Request:
    """The request for `row`; by default a form redirects and everything else responds with 200."""
    usual = Request(done=(302, None)) if is_form(row) else Request()
    return REQUESTS.get(row.name) or REQUESTS.get(row.call) or usual


def is_form(row: Row) -> bool:
    return row.method == "POST" and not row.rule.startswith(("/api/", "/calls", "/twilio/", "/connect/"))


@dataclass
class World:
    """An installation with all actors and data that the calls need. Calls that only read share it."""

    app: Flask
    numbers: count[int] = field(default_factory=lambda: count(1))
    shared: dict[tuple[str, str, str], str] = field(default_factory=dict)
    session_owners: dict[str, str] = field(default_factory=dict)
    with_password: str = ""

    def __post_init__(self) -> None:
        self.accounts = {role: self._account(role) for role in ("viewer", "developer", "admin")}
        self.with_password = self._account("viewer", password=PASSWORD).username or ""
        self.tokens = {
            OTHER.name: issue_token(
                self.app,
                "read",
                "write",
                "tokens:read",
                "tokens:write",
                "test_numbers:write",
                "otp:speak",
                owner_id=THEIRS,
            )
        }
        self._gone = self._account("developer")
        self._gone_token = self._sign_in(self._gone)
        self._gone_cookie = self._sign_in_browser(self._gone)
        services_of(self.app).accounts.service.update_account(
            OWNER_ACTOR, self._gone.account_id, AccountChanges(disabled=True)
        )

    def name(self) -> str:
        return f"someone-{next(self.numbers)}"

    def email(self) -> str:
        return f"{self.name()}@example.com"

    def phone(self) -> str:
        return f"+2567001{next(self.numbers):05d}"

    def refresh_token(self) -> str:
        return self._start_session(self.accounts["viewer"]).refresh_token

    def ask(self, row: Row, asker: Asker) -> TestResponse:
        """Have `asker` make the call. An actor who may change something gets data of their own to change."""
        account = self.accounts.get(asker.name) if asker.kind in ("person", "browser") else None
        if account is not None and row.call in NEEDS_PASSWORD:
            account = self._account(asker.name, password=PASSWORD)
        visitor, headers = self._visitor(asker, account)
        ids = self._targets(row, asker, account)
        body = request_of(row).body(self, {name: value for name, value in ids.items() if name in NAMED_IN_BODIES})
        if row.about.startswith("for an owner"):
            headers["X-User-Id"] = THEIRS
        elif asker.kind == "person":
            headers["X-User-Id"] = OURS
        path = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], row.rule)
        if row.about == NOT_GRANTED and path == row.rule:
            path += f"?owner={THEIRS}"
        sent: dict[str, Any] = {"json": body}
        if is_form(row):
            sent = {"data": {"csrf_token": visitor.csrf_token(), **body}}
        elif row.rule.startswith("/twilio/"):
            sent = {} if row.method == "GET" else {"data": body}
        elif row.method == "GET":
            sent = {}
        elif asker.kind == "browser":
            headers["X-CSRFToken"] = visitor.csrf_token()
        number = next(self.numbers)
        address = {"REMOTE_ADDR": f"198.18.{number // 250 % 250}.{number % 250 + 1}"}
        return visitor.client.open(
            path, method=row.method, headers=headers, environ_overrides=address, buffered=True, **sent
        )

    def _visitor(self, asker: Asker, account: Account | None) -> tuple[Visitor, dict[str, str]]:
        nobody = Visitor(self.app)
        if asker == NOBODY:
            return nobody, {}
        if asker == OWNER:
            return self._browser(services_of(self.app).owner_sessions.sign_in(PASSWORD, DEVICE.address)), {}
        if asker.kind == "browser":
            return self._browser(self._gone_cookie if account is None else self._sign_in_browser(account)), {}
        if asker.kind == "token":
            token = self.tokens.get(asker.name) or issue_token(self.app, asker.name, owner_id=OURS)
            self.tokens[asker.name] = token
        else:
            token = self._gone_token if account is None else self._sign_in(account)
        return nobody, {"Authorization": f"Bearer {token}"}

    def _browser(self, session_id: str) -> Visitor:
        visitor = Visitor(self.app)
        with visitor.client.session_transaction() as session:
            session.update(_user_id=session_id, _fresh=True)
        return visitor

    def _targets(self, row: Row, asker: Asker, account: Account | None) -> dict[str, str]:
        ids = {"call_id": UNKNOWN_CALL} if row.rule.startswith("/simulator/") else {}
        ids |= {"kind_name": "logto", "kind": "logto", "address_key": "ltc_unknown"}
        ids |= {"action": "answer", "role": "viewer", "name": "css/swagger-ui.css", "filename": "style.css"}
        names = set(re.findall(r"\{(\w+)\}", row.rule))
        names |= {"verification_id"} if row.rule in ("/calls/verify", "/calls/replay") else set()
        names |= {"verification_sid"} if row.rule.endswith("/VerificationCheck") else set()
        is_own = row.about.startswith("one's own")
        for name in [*(name for name in MADE_FIRST if name in names), *sorted(names - set(ids) - set(MADE_FIRST))]:
            if is_own and name == "account_id" and account is not None:
                ids[name] = account.account_id
            elif is_own and name == "session_id" and account is not None:
                ids[name] = self._start_session(account).session_id
            elif row.method != "GET" and row.outcome(asker) == "yes":
                ids[name] = self._make(name, row, asker, ids)
            else:
                key = (name, self._scope(row), self._owner(row))
                if key not in self.shared:
                    self.shared[key] = self._make(name, row, OWNER, ids)
                ids[name] = self.shared[key]
        return ids

    def shared_of(self, kind: str) -> list[str]:
        """The data that calls without permission find, of one kind."""
        return [made for (name, _, _), made in self.shared.items() if name == kind]

    def _make(self, name: str, row: Row, asker: Asker, ids: dict[str, str]) -> str:
        services = services_of(self.app)
        ours = replace(OWNER_ACTOR, owner_id=OURS)
        endpoints = services.app_events.endpoints
        if name == "endpoint_id":
            for used in endpoints.list_reached(frozenset({OURS})):  # an owner can have 50
                if used.endpoint_id not in self.shared_of("endpoint_id"):
                    endpoints.delete_endpoint(ours, used.endpoint_id)
            return endpoints.create_endpoint(ours, "http://127.0.0.1:9/").endpoint.endpoint_id
        if name == "connection_id":
            return self._connect(self._owner(row))
        if name == "delivery_id":
            example = services.app_events.make_example(AppEventType.CALL_ENDED, OURS)
            return endpoints.send_example(ours, ids["endpoint_id"], example).delivery_id
        if name == "event_id":
            services.sends.start(ours, self._wanted())
            events, _ = services.app_events.log.list_events(ours, EventFilter(), limit=1, cursor=None)
            return str(events[0]["event_id"])
        if name == "verification_id":
            actor = replace(OWNER_ACTOR, owner_id=self._owner(row))
            return services.sends.start(actor, self._wanted()).verification_id
        if name == "token_id":
            wanted = NewToken(owner_id=self._owner(row), scopes=(self._scope(row),))
            creator = OWNER_ACTOR
            if asker.kind == "token" and row.about != "another's":
                creator = services.tokens.authenticator.authenticate(self.tokens[asker.name], DEVICE.address)
            return services.tokens.create_token(creator, wanted).record.token_id
        if name.endswith("_sid"):
            return self._make_of_twilio(name, ours, ids)
        if name == "call_id":
            actor = replace(OWNER_ACTOR, owner_id=OURS)
            return services.speaking.speak(actor, NewSpokenCode(self.phone(), "0042")).call_id
        if name == "number_id":
            wanted_number = NewTestNumber(self.phone(), owner_id=self._owner(row))
            return services.test_numbers.create_test_number(OWNER_ACTOR, wanted_number).number.test_number_id
        account = self._account("developer")
        if name == "account_id":
            return account.account_id
        session_id = self._start_session(account).session_id
        self.session_owners[session_id] = account.account_id
        return session_id

    def _make_of_twilio(self, name: str, ours: Actor, ids: dict[str, str]) -> str:
        twilio = services_of(self.app).twilio
        if name == "service_sid":
            return Sid.SERVICE.of(twilio.directory.create_service(ours, "Acme", ServiceChanges()).service_id)
        if name == "rate_limit_sid":
            limit = twilio.rate_limits.create_rate_limit(ours, ids["service_sid"], self.name(), None)
            return Sid.RATE_LIMIT.of(limit.rate_limit_id)
        if name == "bucket_sid":
            bucket = twilio.rate_limits.create_bucket(ours, ids["service_sid"], ids["rate_limit_sid"], 1, 60)
            return Sid.BUCKET.of(bucket.bucket_id)
        sid = ids.get("service_sid") or self._make_of_twilio("service_sid", ours, ids)
        wanted = NewTwilioVerification(self.phone(), None, None, None, {})
        started = twilio.verifications.start(ours, twilio.directory.get_service(ours, sid), wanted)
        if name == "attempt_sid":
            return Sid.ATTEMPT.of(started.attempts[0][0])
        return Sid.VERIFICATION.of(started.verification_id)

    def _connect(self, owner_id: str) -> str:
        service, actor = services_of(self.app).connections.service, replace(OWNER_ACTOR, owner_id=owner_id)
        for used in service.list_reached(frozenset({owner_id})):  # an owner can have 50
            if used.connection_id not in self.shared_of("connection_id"):
                service.delete_connection(actor, used.connection_id)
        return service.create_connection(actor, NewConnection("logto")).connection.connection_id

    def _wanted(self) -> NewVerification:
        return NewVerification(phone=self.phone(), message=None, locale=None, code_length=6, ttl_seconds=300)

    @staticmethod
    def _scope(row: Row) -> str:
        """The scopes that a token without `admin` must have to see the requested one, and has if it may."""
        return (Scope.TOKENS_READ if row.method == "GET" else Scope.TOKENS_WRITE).value

    @staticmethod
    def _owner(row: Row) -> str:
        return THEIRS if row.about.startswith("of an owner") else OURS

    def _account(self, role: str, password: str | None = None) -> Account:
        grants = () if role == "admin" else (OURS,)
        wanted = someone(self.name(), role, owner_ids=grants, password=password)
        return services_of(self.app).accounts.service.create_account(wanted)

    def _start_session(self, account: Account) -> SignedIn:
        return services_of(self.app).accounts.sessions.start_session(account.account_id, DEVICE, "password")

    def _sign_in(self, account: Account) -> str:
        return self._start_session(account).access_token

    def _sign_in_browser(self, account: Account) -> str:
        return ACCOUNT_PREFIX + services_of(self.app).accounts.sessions.start_browser_session(
            account.account_id, DEVICE, "password"
        )
