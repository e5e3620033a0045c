"""What both clients share: the settings of the HTTP client, and how its responses and errors are read."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import httpx

from letstalk_client.errors import ConnectionFailed, LetsTalkError, UnexpectedResponse, read_error
from letstalk_client.requests import Request
from letstalk_client.retries import NotReached

Result = TypeVar("Result")

DEFAULT_TIMEOUT_SECONDS = 10.0
URL_VARIABLE = "LETSTALK_URL"
TOKEN_VARIABLE = "LETSTALK_TOKEN"

try:
    VERSION = version("letstalk-client")
except PackageNotFoundError:  # run from its sources
    VERSION = "0"

# Failures of a connection that was not made: nothing was sent.
NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def base_url_of(url: str) -> str:
    """`url` without a slash at its end. Raises ValueError for what is no address of a service."""
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("The URL must be the address of Let's Talk, such as https://calls.example.com.")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError("The URL must have no user, query or fragment.")
    return url.rstrip("/")


def headers_of(token: str) -> dict[str, str]:
    """What every request carries. Raises ValueError for a token that can't be one, without showing it."""
    if not token.isascii() or not token.isprintable() or not token.strip() or " " in token:
        raise ValueError("The token must be an API token, without spaces.")
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "User-Agent": f"letstalk-client-python/{VERSION}",
    }


def environment() -> tuple[str, str]:
    """The URL and the token of the environment. Raises KeyError for one that is not set."""
    return os.environ[URL_VARIABLE], os.environ[TOKEN_VARIABLE]


def arguments_of(base_url: str, request: Request[Any]) -> dict[str, Any]:
    """What httpx sends for `request`."""
    headers = {} if request.idempotency_key is None else {"Idempotency-Key": request.idempotency_key}
    content = None
    if request.body is not None:
        # In ASCII: an error of another encoding would hold the whole body, with the code.
        content = json.dumps(request.body).encode("ascii")
        headers["Content-Type"] = "application/json"
    return {
        "method": request.method,
        "url": base_url + request.path,
        "content": content,
        "params": request.query or None,
        "headers": headers,
    }


def result_of(request: Request[Result], response: httpx.Response) -> Result:
    """What a response says. Raises the error that it tells of."""
    try:
        content = json.loads(response.content)
    except ValueError:
        content = None
    if response.status_code >= 400:
        raise read_error(response.status_code, response.headers, content)
    if response.status_code >= 300 or content is None:
        problem = f"The address answered {response.status_code}, and not as Let's Talk does. Check the URL."
        raise UnexpectedResponse(problem, response.status_code)
    return request.read(content)


def failure_of(error: httpx.RequestError) -> LetsTalkError:
    """Our error for a request without a response."""
    kind = NotReached if isinstance(error, NOTHING_SENT) else ConnectionFailed
    return kind(f"No response from the service: {type(error).__name__}: {error}")
