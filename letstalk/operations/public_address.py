"""Whether PUBLIC_URL reaches this service, and not another one."""

from __future__ import annotations

import hmac
import json
import secrets
import time

from letstalk.operations.checks import CheckResult, failing, off, ok

MARKER_PATTERN = "^[A-Za-z0-9_-]{16,64}$"
STEP_SECONDS = 4.0  # to connect, and between two chunks of the response
RESPONSE_SECONDS = 6.0
MAX_RESPONSE_BYTES = 4096
NAME = "public_url"


class PublicAddress:
    """All instances of an installation have the same `key`, so that any of them may answer."""

    def __init__(self, public_url: str | None, key: bytes) -> None:
        self._public_url = public_url
        self._key = key

    def prove(self, marker: str) -> str:
        """What /health says about `marker`, and only this installation can say."""
        return hmac.digest(self._key, marker.encode(), "sha256").hex()

    def check(self) -> CheckResult:
        """Ask our own /health by way of PUBLIC_URL. It takes seconds if nothing answers there."""
        if self._public_url is None:
            return off(NAME, "PUBLIC_URL is not set: links in mails and invitations are paths only.")
        address, marker = self._public_url, secrets.token_urlsafe(24)
        # Imported only here, because it takes long and only some processes need it.
        import httpx

        try:
            status, content = _get(f"{address}/health?marker={marker}")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = type(error).__name__
            remedy = "Check the name in DNS, the certificate, the proxy, and that a server is running."
            return failing(NAME, f"Nothing answers at {address} ({reason}).", remedy)
        if hmac.compare_digest(self.prove(marker).encode(), _proof_in(content)):
            return ok(NAME, f"{address} reaches this service.")
        if 300 <= status < 400:
            remedy = "Set PUBLIC_URL to the address that it redirects to: webhooks do not follow redirects."
            return failing(NAME, f"{address} redirects to another address.", remedy)
        remedy = "Set PUBLIC_URL to the address of this service, or correct the proxy in front of it."
        return failing(NAME, f"Another service answers at {address} (status {status}).", remedy)


def _get(url: str) -> tuple[int, bytes]:
    """The status and the beginning of the response. Raises httpx.HTTPError, also for one that takes too long."""
    import httpx

    deadline = time.monotonic() + RESPONSE_SECONDS
    content = b""
    with (
        httpx.Client(timeout=STEP_SECONDS, follow_redirects=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as response,
    ):
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > MAX_RESPONSE_BYTES:
                break
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the response takes too long")
        return response.status_code, content[:MAX_RESPONSE_BYTES]


def _proof_in(content: bytes) -> bytes:
    """The value of `proof` in the JSON of /health; empty without one."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return b""
    proof = body.get("proof") if isinstance(body, dict) else None
    return proof.encode("utf-8", "replace") if isinstance(proof, str) else b""
