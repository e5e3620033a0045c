"""A fake OpenID Connect provider, which also signs JWTs: an HTTP server on loopback that a test can misconfigure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

CLIENT_ID = "letstalk"
CLIENT_SECRET = "100%+/strange:secret"
KEYS = [RSAKey.generate_key(2048, {"kid": f"key-{number}", "use": "sig"}) for number in range(2)]

Claims = dict[str, Any]


@dataclass
class Person:
    """Someone who can sign in there, and what the provider says of them."""

    subject: str = "ada-1"
    email: str | None = "ada@example.com"
    email_verified: object = True
    more: Claims = field(default_factory=dict)

    def claims(self) -> Claims:
        return {"email": self.email, "email_verified": self.email_verified, "preferred_username": "ada", **self.more}


@dataclass(frozen=True)
class _Grant:
    nonce: str
    challenge: str
    redirect_uri: str
    person: Person


class FakeOpenIdProvider:
    """Correct in every response, unless a test changes an attribute.

    `spoil` changes the claims of the next ID tokens; `forge` signs them some other way; `answers` replaces the
    response at a path (a status and a body); `sends_email_later` keeps the e-mail for the userinfo endpoint.
    """

    def __init__(self) -> None:
        self.key = KEYS[0]
        self.published: list[Any] = [KEYS[0]]
        self.metadata: Claims = {}
        self.spoil: Callable[[Claims], Claims] = lambda claims: claims
        self.forge: Callable[[Claims], str] | None = None
        self.userinfo: Callable[[Claims], Claims] = lambda claims: claims
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.sends_email_later = False
        self.delay_seconds = 0.0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked: Counter[str] = Counter()
        self._grants: dict[str, _Grant] = {}
        self._access: dict[str, Person] = {}
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a service that signs in here."""
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "PUBLIC_URL": "http://127.0.0.1:5000",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sign_in(self, url: str, person: Person | None = None) -> dict[str, str]:
        """What a person's browser brings back once they have signed in at `url`."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT_ID)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._grants[code] = _Grant(query["nonce"], query["code_challenge"], query["redirect_uri"], person or Person())
        return {"code": code, "state": query["state"]}

    def id_token(self, claims: Claims) -> str:
        return sign(self.key, claims)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        self.asked[path] += 1
        if path in self.answers:
            return self.answers[path]
        time.sleep(self.delay_seconds)
        self.may_answer.wait(30)
        match (method, path):
            case ("GET", "/.well-known/openid-configuration"):
                return _json(200, {**self._own_metadata(), **self.metadata})
            case ("GET", "/jwks"):
                return _json(200, {"keys": [as_jwk(key) for key in self.published]})
            case ("POST", "/token"):
                return self._token({name: values[0] for name, values in parse_qs(body.decode()).items()}, headers)
            case ("GET", "/userinfo"):
                person = self._access.get(headers.get("Authorization", "").removeprefix("Bearer "))
                return _json(401, {}) if person is None else _json(200, self._userinfo(person))
        return _json(404, {})

    def _own_metadata(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _token(self, form: dict[str, str], headers: Any) -> tuple[int, bytes]:
        if _client_of(form, headers) != (CLIENT_ID, CLIENT_SECRET):
            return _json(401, {"error": "invalid_client"})
        grant = self._grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if grant is None or (grant.redirect_uri, grant.challenge) != (form.get("redirect_uri"), challenge):
            return _json(400, {"error": "invalid_grant"})
        access_token = secrets.token_urlsafe(16)
        self._access[access_token] = grant.person
        now = int(time.time())
        claims: Claims = {
            "iss": self.issuer,
            "sub": grant.person.subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": grant.nonce,
        }
        if not self.sends_email_later:
            claims |= grant.person.claims()
        id_token = (self.forge or self.id_token)(self.spoil(claims))
        return _json(200, {"access_token": access_token, "token_type": "Bearer", "id_token": id_token})

    def _userinfo(self, person: Person) -> Claims:
        return self.userinfo({"sub": person.subject, **person.claims()})


def sign(key: Any, claims: Claims, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(
        {"alg": algorithm, "kid": key.kid, **header},
        claims,
        key,
        registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False),
    )


def unsigned(claims: Claims) -> str:
    """`alg: none`, as a library that is asked for it writes it (RFC 7519, section 6.1)."""
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def signed_with_public_key(key: RSAKey, claims: Claims) -> str:
    """HS256 with the text of the public key as its secret: what a verifier that believes the header accepts."""
    text = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
    digest = hmac.digest(key.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def as_jwk(key: Any) -> Any:
    return key if isinstance(key, dict) else key.as_dict(private=False)


def _part(value: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _client_of(form: dict[str, str], headers: Any) -> tuple[str | None, str | None]:
    """The client's name and secret, each decoded on its own (RFC 6749, section 2.3.1)."""
    header = headers.get("Authorization", "")
    if not header.startswith("Basic "):
        return form.get("client_id"), form.get("client_secret")
    name, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return unquote(name), unquote(secret)


def _json(status: int, body: Claims) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Some tests are about clients that give up in the middle of a response."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler_for(provider: FakeOpenIdProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = provider.answer(self.command, self.path.split("?")[0], self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400:
                self.send_header("Location", f"{provider.issuer}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
