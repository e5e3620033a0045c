"""The service under attack, and callers with tokens that are made for the attacks."""

from __future__ import annotations

import ipaddress
import itertools
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

Found = TypeVar("Found")

TIMEOUT_SECONDS = 15.0
MOST_WAIT_SECONDS = 60  # for a request limit
# 555-0100 to 555-0199 is reserved for fiction in each of these areas.
AREAS = (202, 206, 212, 213, 214, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 718, 808, 907)
_NUMBERS = [f"+1{area}55501{last:02}" for area in AREAS for last in range(100)]


class CannotRun(Exception):
    """Something that the attack needs is missing. The text says what."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with a token. Its requests wait if the service says that there were too many."""

    http: httpx.Client
    owner_id: str
    token: str
    token_id: str

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.ask("POST", path, json={} if body is None else body, headers=_named(headers))

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return self.ask("GET", path, params=query)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return patiently(self.http, method, path, **options)

    def send(self, phone: str, **fields: Any) -> str:
        """The id of a new verification. Raises CannotRun if the service does not accept the call."""
        answer = self.post("/calls/otp", {"phone": phone, **fields})
        if answer.status_code != 202:
            raise CannotRun(f"no call was accepted: {answer.status_code} {answer.text[:100]}")
        return str(answer.json()["verification_id"])


class _InTurn(httpx.BaseTransport):
    """Sends each request to the next of several servers, as a load balancer without sticky sessions does."""

    def __init__(self, bases: Sequence[httpx.URL]) -> None:
        self._named = _host_of(bases[0])
        self._turns = itertools.cycle(bases)
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        base = next(self._turns)
        if request.headers.get("Host") == self._named:  # a false one stays unchanged
            request.headers["Host"] = _host_of(base)
        request.url = request.url.copy_with(host=base.host, port=base.port)
        return self._wire.handle_request(request)

    def close(self) -> None:
        self._wire.close()


class Target:
    """One service on loopback. Use it in a `with` block, at the end of which all tokens that it made are revoked."""

    def __init__(
        self,
        base: str,
        admin_token: str,
        *,
        others: Sequence[str] = (),
        password: str | None = None,
        webhook_seed: bytes | None = None,
        thorough: bool = False,
    ) -> None:
        """`others` are further servers of the same service: requests go to each in turn, and what needs one
        connection, or a clock, stays with `base`. `password` opens the dashboard; `webhook_seed` is the Ed25519 key of
        a Telnyx that is played by a test.

        Raises ValueError for an address that is not on loopback.
        """
        self.bases = [_on_loopback(each) for each in (base, *others)]
        self.base = str(self.bases[0])
        self.host, self.port = self.bases[0].host, int(self.bases[0].port or 0)
        self.password, self.webhook_seed, self.thorough = password, webhook_seed, thorough
        self._run = secrets.token_hex(4)
        self._phones = itertools.cycle(_shuffled(_NUMBERS))
        self._clients: list[httpx.Client] = []
        self._made: list[str] = []
        self._owners: dict[str, Caller] = {}
        self.signed_in: httpx.Client | None = None  # a browser with a session; None until an attack needs it
        self.admin = Caller(self.client(Authorization=f"Bearer {admin_token}"), "admin", admin_token, "")

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        for token_id in self._made:
            self.admin.ask("DELETE", f"/api/tokens/{token_id}")
        for client in self._clients:
            client.close()

    def client(self, **headers: str) -> httpx.Client:
        """A client that follows no redirect and uses no proxy from the environment."""
        transport = _InTurn(self.bases) if len(self.bases) > 1 else None
        client = httpx.Client(
            base_url=self.base, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False, transport=transport
        )
        self._clients.append(client)
        return client

    def metrics(self) -> str:
        """The metrics of all servers, one after the other."""
        headers, texts = {"Authorization": f"Bearer {self.admin.token}"}, []
        for base in self.bases:
            with httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
                texts.append(patiently(http, "GET", "/metrics").text)
        return "\n".join(texts)

    def phone(self) -> str:
        """A number for fiction that this run has not used yet."""
        return next(self._phones)

    def owner_id(self, name: str) -> str:
        return f"attack-{self._run}-{name}"

    def issue(self, name: str, scopes: list[str], **fields: Any) -> Caller:
        """A client with a new token of the owner `name`. Raises CannotRun if the admin's token cannot make one."""
        owner_id = self.owner_id(name)
        answer = self.admin.post("/api/tokens", {"user_id": owner_id, "scopes": scopes, **fields})
        if answer.status_code != 201:
            raise CannotRun(f"no token was made: {answer.status_code} {answer.text[:100]}")
        made = answer.json()
        self._made.append(made["token_id"])
        return Caller(self.client(Authorization=f"Bearer {made['token']}"), owner_id, made["token"], made["token_id"])

    def owner(self, name: str) -> Caller:
        """A client of the owner `name` that may read and write; the same one each time."""
        if name not in self._owners:
            self._owners[name] = self.issue(name, ["read", "write"], rate_limit="100000 per minute")
        return self._owners[name]

    def exchange(self, data: bytes, *, seconds: float = 2.0) -> bytes:
        """Send `data` unchanged. Returns what arrives until the server closes, or sends nothing for `seconds`."""
        received = b""
        with self.connection(seconds) as wire:
            try:
                wire.sendall(data)
                while len(received) < 1_000_000 and (part := wire.recv(65536)):
                    received += part
            except OSError:
                pass  # it closed, or sends nothing more
        return received

    @contextmanager
    def connection(self, seconds: float = 5.0) -> Iterator[socket.socket]:
        with socket.create_connection((self.host, self.port), timeout=seconds) as wire:
            yield wire

    def seconds_to_health(self, limit_seconds: float) -> float | None:
        """How long a new client waits for `/health`; None if it gets no response within the limit."""
        started = time.monotonic()
        try:
            with httpx.Client(trust_env=False, timeout=limit_seconds) as client:
                client.get(f"{self.base}/health")
        except httpx.TransportError:
            return None
        return time.monotonic() - started


def patiently(http: httpx.Client, method: str, path: str | httpx.URL, **options: Any) -> httpx.Response:
    """The response, after waiting for a request limit if there is one."""
    answer = http.request(method, path, **options)
    if answer.status_code == 429 and '"rate_limited"' in answer.text:
        time.sleep(min(MOST_WAIT_SECONDS, int(answer.headers.get("Retry-After", "1"))))
        answer = http.request(method, path, **options)
    return answer


def at_once(tasks: Sequence[Callable[[], Found]]) -> list[Found]:
    """The results of the tasks, which run at the same time."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [started.result() for started in [pool.submit(task) for task in tasks]]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _on_loopback(base: str) -> httpx.URL:
    parts = urlsplit(base)
    if parts.scheme != "http" or not _is_loopback(parts.hostname) or parts.port is None:
        raise ValueError("only http://127.0.0.1:PORT, or another loopback address, may be attacked")
    return httpx.URL(f"http://{parts.netloc}")


def _host_of(base: httpx.URL) -> str:
    return base.netloc.decode("ascii")


def _is_loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _shuffled(items: list[str]) -> list[str]:
    # Random, so that two runs within ten minutes do not use the same phones and meet their limits.
    return secrets.SystemRandom().sample(items, len(items))
