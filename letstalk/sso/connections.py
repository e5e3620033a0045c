"""Requests to identity providers: over TLS, with limits of time and size, without redirects."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from letstalk.sso.provider import ProviderUnavailable

STEP_SECONDS = 5.0  # to connect, and between two chunks of a response
RESPONSE_SECONDS = 10.0  # for a whole response, in however many chunks
MAX_RESPONSE_BYTES = 1024 * 1024
USER_AGENT = "letstalk"


class ProviderClient(httpx.Client):
    """A client for one exchange. Proxies and certificates are those of the environment."""

    def __init__(self) -> None:
        # Uncompressed: a small response could unpack into a big one and evade the limit.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        super().__init__(timeout=STEP_SECONDS, follow_redirects=False, headers=headers, verify=_trusted())

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """The whole response. Raises httpx.HTTPError, also for a response that is too big or takes too long."""
        check_address(str(request.url))
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


def check_address(url: str) -> None:
    """Raises ProviderUnavailable for an address that is not https, or http on loopback."""
    try:
        parts = urlsplit(url)
        is_allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    except ValueError:
        is_allowed = False
    if not is_allowed or not parts.hostname or parts.username is not None:
        raise ProviderUnavailable("an address that is not https")


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
