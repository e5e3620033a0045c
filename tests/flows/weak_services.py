"""A service with the same routes that keeps no promise. Each family of attacks must find something in it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

from tools.attacks.tokens import checksum

LOOKUP_SECONDS = 0.002  # how much longer a known token or phone takes


class Weaknesses:
    """All data, readable by every caller."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.verifications: list[dict[str, Any]] = []
        self.paths: set[str] = set()

    def make_token(self, fields: dict[str, Any]) -> dict[str, Any]:
        body = f"lt_{secrets.token_hex(6)}_{secrets.token_hex(15)}"
        made = {"user_id": "default_user", "name": None, "scopes": ["read", "write"], **fields}
        made |= {"token_id": secrets.token_hex(16), "token": body + checksum(body)}
        self.tokens[body.split("_")[1]] = made
        return made

    def caller(self) -> dict[str, Any] | None:
        """The token with this public part. Neither the secret nor a revocation is checked."""
        presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = self.tokens.get(presented.partition("lt_")[2].partition("_")[0])
        if found:
            time.sleep(LOOKUP_SECONDS)
        return found


def make_weak_app() -> Flask:
    app, known = Flask(__name__), Weaknesses()
    known.make_token({"scopes": ["admin"]})

    @app.before_request
    def fall_over() -> ResponseReturnValue | None:
        known.paths.add(request.path)
        if "'" in request.get_data(as_text=True) + request.url:
            return {"error": "sqlite3.OperationalError: unrecognized token"}, 500
        return None

    @app.post("/api/tokens")
    def make() -> ResponseReturnValue:
        return known.make_token(request.get_json(silent=True) or {}), 201

    @app.get("/api/tokens")
    def list_tokens() -> ResponseReturnValue:
        return {"tokens": list(known.tokens.values()), "next_cursor": None}

    @app.get("/api/tokens/current")
    def current() -> ResponseReturnValue:
        found = known.caller()
        return found or ({"error": "There is no such token", "code": "invalid_token"}, 401)

    @app.route("/api/tokens/<token_id>", methods=["GET", "PATCH", "DELETE"])
    @app.post("/api/tokens/<token_id>/rotate")
    def manage(token_id: str) -> ResponseReturnValue:
        return next(token for token in known.tokens.values() if token["token_id"] == token_id)

    @app.post("/calls/otp")
    def send() -> ResponseReturnValue:
        ids = {"verification_id": secrets.token_hex(16), "call_id": secrets.token_hex(16)}
        known.verifications.append({**(request.get_json(silent=True) or {}), **ids, "calls": [ids]})
        return ids, 202

    @app.post("/calls/verify")
    def verify() -> ResponseReturnValue:
        wanted = request.get_json(silent=True) or {}
        if any(wanted.get("phone") == item.get("phone") for item in known.verifications):
            time.sleep(LOOKUP_SECONDS)
        return {"error": "wrong", "code": "invalid_code", "attempts_remaining": 5}, 400

    @app.get("/calls/<verification_id>")
    def see(verification_id: str) -> ResponseReturnValue:
        return next(item for item in known.verifications if item["verification_id"] == verification_id)

    @app.route("/twilio/v2/<path:path>", methods=["GET", "POST", "DELETE"])
    def answer_as_twilio(**_path: str) -> ResponseReturnValue:
        attempts = [{"attempt_sid": "VL" + secrets.token_hex(16)}]
        found = {"sid": "VA" + secrets.token_hex(16), "status": "approved", "send_code_attempts": attempts}
        return found, 201 if request.method == "POST" else 200

    @app.post("/api/webhooks/telnyx")
    def hear() -> ResponseReturnValue:
        return {"received": True}

    @app.get("/metrics")
    def metrics() -> str:
        return "\n".join(f'requests{{path="{path}"}} 1' for path in known.paths)

    @app.route("/sign-in", methods=["GET", "POST"])
    @app.route("/dashboard/<path:path>", methods=["GET", "POST"])
    @app.get("/api/tokens/dashboard")
    def page(path: str = "") -> ResponseReturnValue:
        if request.method == "POST" and not path:
            return redirect(request.args.get("next", "/"))
        return f"<p>{path} {request.args.get('q')}</p>"

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return {"status": "ok"}

    return app


@contextmanager
def weak_service() -> Iterator[str]:
    """Its address, while it runs."""
    server = make_server("127.0.0.1", 0, make_weak_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
