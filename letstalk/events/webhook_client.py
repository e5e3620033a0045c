"""One POST of a webhook: to a checked address, without redirects, within 15 seconds, reading 4 kB of the response."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from types import TracebackType
from typing import Self

import httpcore

from letstalk.core.ip_addresses import Address
from letstalk.events.endpoint_models import MAX_RESPONSE_BYTES, TIMEOUT_SECONDS, Answer
from letstalk.events.targets import TargetPolicy, read_url, resolve

MOST_CONNECTIONS = 600
USER_AGENT = "letstalk-webhooks"

SocketOptions = Iterable[httpcore.SOCKET_OPTION]


class TargetRefused(httpcore.ConnectError):
    """The name leads to an address that no webhook is sent to."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that `allows` accepts, and to no other, however a name is resolved."""

    def __init__(self, allows: Callable[[Address], bool]) -> None:
        self._allows = allows
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # httpcore's interface
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.to_thread(resolve, host, port)
        except OSError as error:
            raise httpcore.ConnectError("the host has no address") from error
        # One that is refused spoils all: a name for two networks is a mistake or an attack.
        if not all(self._allows(address) for address in addresses):
            raise TargetRefused("the host leads to an address that is not public")
        connect = partial(
            self._network.connect_tcp,
            port=port,
            timeout=timeout,
            local_address=local_address,
            socket_options=socket_options,
        )
        for address in addresses[:-1]:
            try:
                return await connect(str(address))
            except httpcore.ConnectError:
                continue
        return await connect(str(addresses[-1]))

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class WebhookClient:
    """Connections to endpoints, kept for the next delivery. To be used within `async with`, in one event loop."""

    def __init__(self, policy: TargetPolicy) -> None:
        over_http = policy.is_opened if policy.needs_https else policy.allows
        self._pools = {"https": _pool(policy.allows), "http": _pool(over_http)}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a webhook once. Raises nothing."""
        started = time.monotonic()
        sent = {**headers, "content-type": "application/json", "user-agent": USER_AGENT}
        pool = self._pools[read_url(url).scheme]
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
            ):
                start = await _read_start(response)
                retry_after = _retry_after_seconds(dict(response.headers).get(b"retry-after"))
                return Answer(_since(started), response.status, start, retry_after_seconds=retry_after)
        except TimeoutError:
            return Answer(_since(started), error=f"No response within {TIMEOUT_SECONDS:.0f} seconds.")
        except TargetRefused as error:
            return Answer(_since(started), error=f"Not sent: {error}.")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
            return Answer(_since(started), error=_in_words(error))


def _pool(allows: Callable[[Address], bool]) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=_trusted(),
        max_connections=MOST_CONNECTIONS,
        max_keepalive_connections=100,
        keepalive_expiry=30.0,
        network_backend=CheckedNetwork(allows),
    )


@cache
def _trusted() -> ssl.SSLContext:
    # Cached, because reading the certificates of all authorities takes longer than most requests.
    return httpcore.default_ssl_context()


async def _read_start(response: httpcore.Response) -> str:
    start = bytearray()
    async for chunk in response.aiter_stream():
        start += chunk
        if len(start) >= MAX_RESPONSE_BYTES:
            break
    return bytes(start[:MAX_RESPONSE_BYTES]).decode("utf-8", "replace").replace("\x00", "\ufffd")


def _retry_after_seconds(value: bytes | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    text = "" if value is None else value.decode("ascii", "replace").strip()
    if text.isdecimal() and len(text) <= 9:
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _in_words(error: Exception) -> str:
    words = str(error)[:150]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _since(started: float) -> int:
    """Milliseconds."""
    return round((time.monotonic() - started) * 1000)
