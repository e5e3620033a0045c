"""Requests to identity providers, over TLS and with limits of time and size, and a cache for what they publish."""

from __future__ import annotations

import contextvars
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from letstalk.http.request_threads import slow_work
from letstalk.observability.logs import get_logger
from letstalk.sso.models import ProviderUnavailable

STEP_SECONDS = 5.0  # to connect, and between two chunks of a response
RESPONSE_SECONDS = 10.0  # for a whole response, in however many chunks
PATIENCE_SECONDS = 12.0  # of a request for all that it asks a provider
PLACES = 8  # how many threads ask providers at a time
MAX_RESPONSE_BYTES = 1024 * 1024
USER_AGENT = "letstalk"

Value = TypeVar("Value")


class ProviderClient(httpx.Client):
    """A client for one exchange. Proxies and certificates are those of the environment."""

    def __init__(self) -> None:
        # Uncompressed: a small response could unpack into a big one and evade the limit.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        super().__init__(timeout=STEP_SECONDS, follow_redirects=False, headers=headers, verify=_trusted())

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """The whole response. Raises httpx.HTTPError, also for a response that is too big or takes too long."""
        ensure_https(str(request.url))
        options["stream"] = True
        deadline = time.monotonic() + RESPONSE_SECONDS
        response = super().send(request, **options)
        content = bytearray()
        try:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > MAX_RESPONSE_BYTES:
                    raise httpx.ReadError("the response is too big", request=request)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the response takes too long", request=request)
        finally:
            response.close()
        headers = {"Content-Type": response.headers.get("Content-Type", "")}
        return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=request)


@cache
def _trusted() -> ssl.SSLContext:
    # Cached, because reading the certificates of all authorities takes longer than most requests.
    return httpx.create_ssl_context()


def ensure_https(url: str) -> None:
    """Raises ProviderUnavailable for an address that is not https, or http on loopback."""
    try:
        parts = urlsplit(url)
        is_allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    except ValueError:
        is_allowed = False
    if not is_allowed or not parts.hostname or parts.username is not None:
        raise ProviderUnavailable("an address that is not https")


_places = threading.BoundedSemaphore(PLACES)
_thread = threading.local()


def ask_provider(ask: Callable[[], Value]) -> Value:
    """What `ask` returns or raises, which runs in a thread of its own, while other requests have this one's turn.

    Raises ProviderUnavailable at once while all places are taken, and when `ask` takes longer than PATIENCE_SECONDS. A
    thread that a provider keeps from ending keeps its place.
    """
    if getattr(_thread, "asks", False):  # within another question
        return ask()
    if not _places.acquire(blocking=False):
        raise ProviderUnavailable("too many requests wait for it")
    asked: Future[Value] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        _thread.asks = True
        try:
            asked.set_result(context.run(ask))
        except BaseException as error:
            asked.set_exception(error)
        finally:
            _places.release()

    threading.Thread(target=work, name="provider", daemon=True).start()
    try:
        with slow_work():
            return asked.result(PATIENCE_SECONDS)
    except TimeoutError:
        raise ProviderUnavailable("it takes too long") from None


def get_json(client: httpx.Client, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object at `url`. Raises ProviderUnavailable."""
    try:
        response = client.get(url, headers=headers)
        body = response.json() if response.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderUnavailable(type(error).__name__) from None
    except (ValueError, RecursionError):
        raise ProviderUnavailable("a response that is no JSON") from None
    if not isinstance(body, dict):
        raise ProviderUnavailable(f"a response of status {response.status_code} that is no JSON object")
    return body


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


log = get_logger(__name__)

FRESH_SECONDS = 3600.0
KEPT_SECONDS = 24 * 3600.0
# Tokens with invented key ids must not cause more requests than this.
REFRESH_PAUSE_SECONDS = 60.0
RETRY_PAUSE_SECONDS = 5.0


class TtlCache(Generic[Value]):
    """The value that `read` fetches over the network. Safe to use from many threads."""

    def __init__(self, read: Callable[[], Value], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`read` may raise ProviderUnavailable."""
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: tuple[Value, float] | None = None
        self._read_at: dict[float, float] = {}
        self._reason = "nothing was read"

    def get(self) -> Value:
        """The value, at most an hour old; at most a day while the provider is away. Raises ProviderUnavailable."""
        held = self._held
        if held is not None and (self._monotonic() - held[1] < FRESH_SECONDS or self._lock.locked()):
            return held[0]
        return self._load(RETRY_PAUSE_SECONDS)

    def refresh(self) -> Value:
        """The value, read again unless that was done within the last minute. Raises ProviderUnavailable."""
        return self._load(REFRESH_PAUSE_SECONDS)

    def _load(self, pause_seconds: float) -> Value:
        """Read the value, but at most once in `pause_seconds` for each of the two reasons to read."""
        if self._may_read(pause_seconds):
            ask_provider(lambda: self._read_once(pause_seconds))
        held = self._held
        if held is None or self._monotonic() - held[1] > KEPT_SECONDS:
            raise ProviderUnavailable(self._reason)
        return held[0]

    def _may_read(self, pause_seconds: float) -> bool:
        read_at = self._read_at.get(pause_seconds)
        return read_at is None or self._monotonic() - read_at >= pause_seconds

    def _read_once(self, pause_seconds: float) -> None:
        with self._lock:
            if self._may_read(pause_seconds):
                try:
                    self._held = (self._read(), self._monotonic())
                except ProviderUnavailable as error:
                    self._reason = error.reason
                    log.warning("identity_provider_away", reason=error.reason)
                # Counted from the end of the read: threads that waited for one that timed out must not repeat it.
                self._read_at[pause_seconds] = self._monotonic()
