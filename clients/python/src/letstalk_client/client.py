"""The client of programs that wait for each response."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import TypeVar

import httpx

from letstalk_client import requests
from letstalk_client.errors import LetsTalkError
from letstalk_client.events import AnyEvent, EventPage
from letstalk_client.models import (
    AcceptedCode,
    Approval,
    Languages,
    SentCode,
    SpokenCall,
    Verification,
    VerificationPage,
    VerificationStatus,
    VerificationSummary,
)
from letstalk_client.requests import Request
from letstalk_client.retries import Retries
from letstalk_client.transport import (
    DEFAULT_TIMEOUT_SECONDS,
    arguments_of,
    base_url_of,
    environment,
    failure_of,
    headers_of,
    result_of,
)

Result = TypeVar("Result")
Self = TypeVar("Self", bound="Client")


class Client:
    """Calls a Let's Talk service. One can be shared by all threads of a process.

    Every method raises a `LetsTalkError`: see `letstalk_client.errors` for the tree.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = 2,
        longest_wait_seconds: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`timeout_seconds` is for each try. A request is tried `max_retries` times more, with one idempotency key,
        where that can help; a Retry-After of more than `longest_wait_seconds` raises the error at once.
        `transport` is httpx's, for a proxy or own certificates.
        """
        self._url = base_url_of(url)
        self._retries = Retries(max_retries, longest_wait_seconds)
        self._sleep = sleep
        self._http = httpx.Client(headers=headers_of(token), timeout=timeout_seconds, transport=transport)

    @classmethod
    def from_environment(cls: type[Self]) -> Self:
        """A client with LETSTALK_URL and LETSTALK_TOKEN. Raises KeyError for one that is not set."""
        return cls(*environment())

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(
        self,
        phone: str,
        *,
        message: str | None = None,
        message_template: str | None = None,
        locale: str | None = None,
        locale_fallback: bool | None = None,
        code_length: int | None = None,
        expires_in: int | None = None,
        reference: str | None = None,
        session: str | None = None,
        idempotency_key: str | None = None,
    ) -> SentCode:
        """Call a phone and read it a new code. Ask the person for the code at once; there is nothing to wait for.

        `session` is an id of the browser session that asks, for forms that anybody can reach.
        """
        return self._run(
            requests.send(
                phone,
                message=message,
                message_template=message_template,
                locale=locale,
                locale_fallback=locale_fallback,
                code_length=code_length,
                expires_in=expires_in,
                reference=reference,
                session=session,
                idempotency_key=idempotency_key,
            )
        )

    def verify(
        self, phone: str | None = None, *, code: str, verification_id: str | None = None, session: str | None = None
    ) -> Approval:
        """Check what the person typed. Give the phone or the verification's id.

        Raises InvalidCode for a wrong code, and VerificationOver where no code can be right any more.
        """
        return self._run(requests.verify(phone, code=code, verification_id=verification_id, session=session))

    def replay(
        self,
        phone: str | None = None,
        *,
        verification_id: str | None = None,
        session: str | None = None,
        idempotency_key: str | None = None,
    ) -> SentCode:
        """Have the same code spoken again, in the call that is still on the line or in a new one."""
        return self._run(
            requests.replay(phone, verification_id=verification_id, session=session, idempotency_key=idempotency_key)
        )

    def get(self, verification_id: str) -> Verification:
        """A verification with its calls, by its id or that of one of its calls."""
        return self._run(requests.get(verification_id))

    def list(
        self,
        *,
        phone: str | None = None,
        status: VerificationStatus | None = None,
        reference: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> VerificationPage:
        """A page of verifications, newest first. httpx logs the address of a request, and so a `phone`, at INFO."""
        return self._run(
            requests.list_verifications(phone=phone, status=status, reference=reference, limit=limit, cursor=cursor)
        )

    def iterate(
        self, *, phone: str | None = None, status: VerificationStatus | None = None, reference: str | None = None
    ) -> Iterator[VerificationSummary]:
        """Every verification, newest first, fetched page by page."""
        page = self.list(phone=phone, status=status, reference=reference)
        yield from page.verifications
        while page.next_cursor is not None:
            page = self.list(phone=phone, status=status, reference=reference, cursor=page.next_cursor)
            yield from page.verifications

    def cancel(self, verification_id: str) -> Verification:
        """Its code stops working, and a live call is hung up."""
        return self._run(requests.cancel(verification_id))

    def speak(
        self,
        phone: str,
        code: str,
        *,
        locale: str | None = None,
        brand: str | None = None,
        reference: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
    ) -> AcceptedCode:
        """Call a phone and say a code of yours, which you check yourself. The token needs the scope otp:speak."""
        return self._run(
            requests.speak(
                phone,
                code,
                locale=locale,
                brand=brand,
                reference=reference,
                expires_in=expires_in,
                idempotency_key=idempotency_key,
            )
        )

    def report_outcome(self, call_id: str, *, approved: bool) -> SpokenCall:
        """Say whether a code of yours was typed rightly: the service learns which numbers are worth a call."""
        return self._run(requests.report_outcome(call_id, approved=approved))

    def get_spoken_call(self, call_id: str) -> SpokenCall:
        """What became of a call that spoke a code of yours."""
        return self._run(requests.get_spoken_call(call_id))

    def list_events(
        self,
        *,
        type: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        verification_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EventPage:
        """A page of what happened in the last 30 days, newest first."""
        return self._run(
            requests.list_events(
                type=type, since=since, before=before, verification_id=verification_id, limit=limit, cursor=cursor
            )
        )

    def get_event(self, event_id: str) -> AnyEvent:
        return self._run(requests.get_event(event_id))

    def list_languages(self) -> Languages:
        """What calls can speak."""
        return self._run(requests.list_languages())

    def _run(self, request: Request[Result]) -> Result:
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(request)
            except LetsTalkError as error:
                wait_seconds = self._retries.wait_before_next(request, error, tries)
                if wait_seconds is None:
                    raise
            self._sleep(wait_seconds)

    def _try(self, request: Request[Result]) -> Result:
        try:
            response = self._http.request(**arguments_of(self._url, request))
        except httpx.RequestError as error:
            # `from None`: httpx's error holds the request, whose body may be a code.
            raise failure_of(error) from None
        return result_of(request, response)
