"""The HTTP server: Telnyx's paths, and the paths by which a test controls it from another process."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.fake_telnyx.deliveries import Deliveries, Habits
from tests.support.fake_telnyx.exchanges import Call, Exchange
from tests.support.fake_telnyx.parameters import find_violations
from tests.support.fake_telnyx.phones import Phone

API_KEY = "KEY-of-the-fake"
CONNECTION_ID = "1684641123236054244"


@dataclass(frozen=True)
class Response:
    status: int
    body: object
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a command, by `kind`.

    Not executed: `500`, `429` and `401` (the status), `voice` (the account may not use it), `refused` (the connection
    is closed). Executed: `500_done` (the response is a 500), `lost` (the connection is closed without a response),
    `garbage` and `empty` (the response is unusable), `slow` (the response comes after `seconds`).
    """

    kind: str
    seconds: float = 0.0


def _error(status: int, code: str, title: str, detail: str, *headers: tuple[str, str]) -> Response:
    return Response(status, {"errors": [{"code": code, "title": title, "detail": detail}]}, headers)


_REFUSALS: dict[str, Response] = {
    "500": _error(500, "10007", "Unexpected error", "An unexpected error occured."),
    "500_done": _error(500, "10007", "Unexpected error", "An unexpected error occured."),
    "429": _error(429, "10011", "Too many requests", "Slow down.", ("Retry-After", "1")),
    "401": _error(401, "10009", "Authentication failed", "The required authentication headers were invalid."),
    "voice": _error(422, "90012", "Invalid voice", "The account may not use this voice."),
}
_EXECUTED = frozenset({"500_done", "lost", "garbage", "empty", "slow"})


class FakeTelnyx:
    """The fake. `webhook_key` is 32 bytes in base64, and random by default. Listens on loopback only."""

    def __init__(
        self,
        *,
        port: int = 0,
        speed: float = 20.0,
        channels: int | None = None,
        webhook_key: str | None = None,
        phones: dict[str, Phone] | None = None,
        speak_events: bool = False,
        **habits: Any,
    ) -> None:
        """`speak_events` adds call.speak.* to gathers, which Telnyx does not promise. For `habits`, see Habits."""
        seed = base64.b64decode(webhook_key) if webhook_key else None
        signing_key = Ed25519PrivateKey.from_private_bytes(seed) if seed else Ed25519PrivateKey.generate()
        self.public_key = base64.b64encode(signing_key.public_key().public_bytes_raw()).decode()
        self.api_key = API_KEY
        self.connection_id = CONNECTION_ID
        self.application: dict[str, Any] = {"active": True, "outbound": {"outbound_voice_profile_id": "2245"}}
        self.habits = Habits(**habits)
        self.deliveries = Deliveries(signing_key, self.habits)
        self.exchange = Exchange(self.deliveries, speed=speed, channels=channels, speak_events=speak_events)
        self.exchange.phones.update(phones or {})
        self.violations: list[str] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._faults: dict[str, deque[Fault]] = {}
        self._server = _Server(("127.0.0.1", port), _handler_for(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="fake-telnyx", daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    @property
    def phones(self) -> dict[str, Phone]:
        return self.exchange.phones

    @property
    def calls(self) -> list[Call]:
        return list(self.exchange.calls.values())

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.exchange.stop()
        self.deliveries.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # For tests, here or by POST /_control/<name>.

    def fail_next(self, command: str, kind: str, count: int = 1, seconds: float = 0.0) -> None:
        """Let the next `count` of `command` fail: dial, gather_using_speak, hangup, status, application. See Fault for
        `kind`.
        """
        self._faults.setdefault(command, deque()).extend([Fault(kind, seconds)] * count)

    def configure(self, **values: Any) -> None:
        """Change speed, channels, speak_events, least_limit_seconds, phones or any field of Habits while it runs."""
        names = {field.name for field in fields(Habits)}
        for name, value in values.items():
            if name == "phones":
                self.phones.update({ending: Phone(phone) for ending, phone in value.items()})
            elif name in names:
                setattr(self.habits, name, value)
            elif name in ("speed", "channels", "speak_events", "least_limit_seconds"):
                setattr(self.exchange, name, value)
            else:
                raise ValueError(f"there is no option {name}")

    def drop_next(self, event_type: str, count: int = 1) -> None:
        """Never deliver the next `count` events of that type."""
        self.habits.drops[event_type] += count

    def hang_up(self, to: str, cause: str = "normal_clearing") -> None:
        """The person at `to` ends the call."""
        for call in self.exchange.live:
            if call.dial["to"] == to:
                self.exchange.end(call, cause, source="callee")

    def state(self) -> dict[str, Any]:
        """Everything that has happened, as a JSON object."""
        with self.exchange.guard:
            log = list(self.deliveries.log)
            return {
                "live": len(self.exchange.live),
                "max_live": self.exchange.max_live,
                "max_live_per_phone": self.exchange.max_live_per_phone,
                "refused_over_channels": self.exchange.refused_over_channels,
                "violations": list(self.violations),
                "calls": [
                    {
                        "id": call.call_control_id,
                        "to": call.dial["to"],
                        "phone": call.phone,
                        "command_id": call.dial.get("command_id"),
                        "heard": list(call.heard),
                        "placed_at": call.placed_at,
                        "answered_at": call.answered_at,
                        "ended_at": call.ended_at,
                        "hangup_cause": call.hangup_cause,
                    }
                    for call in self.exchange.calls.values()
                ],
                "webhooks": log,
                "unanswered": dict(self.deliveries.unanswered),
            }

    # For the HTTP server.

    def respond(self, method: str, path: str, api_key: str | None, body: object) -> Response | None:
        """The response to a request. None closes the connection without a response."""
        parts = [part for part in path.split("?")[0].split("/") if part]
        if parts and parts[0].startswith("_"):
            return self._control(parts, body if isinstance(body, dict) else {})
        command: str
        perform: Callable[[dict[str, Any]], Response]
        match (method, parts[1:] if parts[:1] == ["v2"] else parts):
            case ("POST", ["calls"]):
                command, perform = "dial", self._dial
            case ("POST", ["calls", call_id, "actions", ("gather_using_speak" | "speak" | "hangup") as command]):
                perform = self._action(command, call_id)
            case ("GET", ["calls", call_id]):
                command, perform = "status", lambda _: self._status(call_id)
            case ("GET", ["call_control_applications", connection_id]):
                command, perform = "application", lambda _: self._application(connection_id)
            case _:
                return _error(404, "10005", "Resource not found", "The requested URL could not be found.")
        if api_key != self.api_key:
            return _REFUSALS["401"]
        return self._perform(command, perform, body)

    def _perform(self, command: str, perform: Callable[[dict[str, Any]], Response], body: object) -> Response | None:
        if command not in ("status", "application"):
            found = find_violations(command, body)
            self.violations.extend(found)
            if found:
                return _error(422, "10015", "Bad Request", "; ".join(found))
        content = body if isinstance(body, dict) else {}
        self.requests.append((command, content))
        faults = self._faults.get(command)
        fault = faults.popleft() if faults else None
        if fault is None:
            return perform(content)
        response = perform(content) if fault.kind in _EXECUTED else None
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            return response
        if fault.kind == "garbage":
            return Response(200, "<html>not what you expect</html>")
        if fault.kind == "empty":
            return Response(200, {"data": {}})
        return _REFUSALS.get(fault.kind)

    def _dial(self, body: dict[str, Any]) -> Response:
        call = self.exchange.dial(body)
        if call is None:
            detail = "User channel limit exceeded D1"
            return _error(403, "D1", "Forbidden", detail)
        return Response(200, {"data": {**_ids(call), "is_alive": False, "client_state": call.client_state}})

    def _action(self, command: str, call_id: str) -> Callable[[dict[str, Any]], Response]:
        def act(body: dict[str, Any]) -> Response:
            with self.exchange.guard:
                call = self.exchange.calls.get(call_id)
                if call is None or (command != "hangup" and call.answered_at is None and call.is_live):
                    return _error(404, "10005", "Resource not found", "The requested resource could not be found.")
                if not call.is_live:
                    return _error(422, "90018", "Call has already ended", "This call is no longer active.")
                if command == "hangup":
                    self.exchange.hang_up(call, body)
                else:
                    self.exchange.speak(call, body, gather=command == "gather_using_speak")
                return Response(200, {"data": {"result": "ok"}})

        return act

    def _status(self, call_id: str) -> Response:
        call = self.exchange.calls.get(call_id)
        if call is None:
            return _error(404, "10005", "Resource not found", "The requested resource could not be found.")
        return Response(200, {"data": {**_ids(call), "is_alive": call.is_live, "client_state": call.client_state}})

    def _application(self, connection_id: str) -> Response:
        if connection_id != self.connection_id:
            return _error(404, "10005", "Resource not found", "The requested resource could not be found.")
        return Response(
            200, {"data": {"id": connection_id, "record_type": "call_control_application", **self.application}}
        )

    def _control(self, parts: list[str], body: dict[str, Any]) -> Response:
        match parts:
            case ["_state"]:
                return Response(200, self.state())
            case ["_requests"]:
                return Response(200, list(self.requests))
            case ["_hearings", since]:
                return Response(200, self.exchange.hearings[int(since) :])
            case ["_control", ("fail_next" | "configure" | "drop_next" | "hang_up") as name]:
                try:
                    getattr(self, name)(**body)
                except (TypeError, ValueError) as error:
                    return Response(400, {"error": str(error)})
                return Response(200, {"done": name})
            case _:
                return Response(404, {"error": "no such control"})


def _ids(call: Call) -> dict[str, str]:
    identity = call.call_control_id
    return {"record_type": "call", "call_control_id": identity, "call_leg_id": identity, "call_session_id": identity}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: tests kill clients on purpose."""


def _handler_for(telnyx: FakeTelnyx) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True
        timeout = 30

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            if len(raw) < length:  # the sender died in the middle of its request
                self.close_connection = True
                return
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = None
            api_key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            response = telnyx.respond(self.command, self.path, api_key, body)
            if response is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = response.body.encode() if isinstance(response.body, str) else json.dumps(response.body).encode()
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in response.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
