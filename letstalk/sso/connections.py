"""Requests to identity providers: over TLS, within bounds of time and size, following nobody elsewhere."""

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

STEP_SECONDS = 5.0  # to connect, and between two pieces of an answer
ANSWER_SECONDS = 10.0  # for a whole answer, in however many pieces it trickles in
MAX_ANSWER_BYTES = 1024 * 1024
USER_AGENT = "letstalk"


class ProviderClient(httpx.Client):
    """A client to be used for one exchange and closed. Proxies and certificates are those of the environment."""

    def __init__(self) -> None:
        # Uncompressed: a small answer that unpacks into a big one would pass the bound.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        super().__init__(timeout=STEP_SECONDS, follow_redirects=False, headers=headers, verify=_trusted())

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """The whole answer. Raises httpx.HTTPError, also for one that is too big or takes too long."""
        check_address(str(request.url))
        options["stream"] = True
        deadline = time.monotonic() + ANSWER_SECONDS
        answer = super().send(request, **options)
        content = bytearray()
        try:
            for piece in answer.iter_raw():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    raise httpx.ReadError("the answer is too big", request=request)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer takes too long", request=request)
        finally:
            answer.close()
        headers = {"Content-Type": answer.headers.get("Content-Type", "")}
        return httpx.Response(answer.status_code, headers=headers, content=bytes(content), request=request)


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the certificates of all authorities takes longer than most requests.
    return httpx.create_ssl_context()


def check_address(url: str) -> None:
    """Raises ProviderUnavailable for an address that is not https; http is good on loopback only."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    except ValueError:
        is_good = False
    if not is_good or not parts.hostname or parts.username is not None:
        raise ProviderUnavailable("an address that is not https")


def get_json(client: httpx.Client, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object at `url`. Raises ProviderUnavailable."""
    try:
        answer = client.get(url, headers=headers)
        body = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderUnavailable(type(error).__name__) from None
    except (ValueError, RecursionError):
        raise ProviderUnavailable("an answer that is no JSON") from None
    if not isinstance(body, dict):
        raise ProviderUnavailable(f"an answer of status {answer.status_code} that is no JSON object")
    return body


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
