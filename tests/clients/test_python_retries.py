"""When letstalk_client tries again, after how long, and that all tries are one call: against a real HTTP server."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from letstalk_client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    LetsTalkError,
    ServiceFailed,
    TooManyRequests,
    requests,
)
from letstalk_client.spoken import shared_client
from tests.support.receivers import Received, Receiver, Reply, receiving

SENT = {
    "verification_id": "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10",
    "call_id": "5a4d3f2b-9c1e-4b7a-a1d0-6e8f7c2b3a49",
    "status": "pending",
    "call_status": "queued",
    "phone": "+12025550142",
    "expires_at": "2026-11-20T10:05:00.000Z",
    "expires_in": 300,
    "attempts_remaining": 5,
    "replays_remaining": 3,
    "spoken_locale": "en-US",
    "reference": None,
    "is_test": False,
    "message": "+12025550142 is being called.",
    "a_field_of_a_later_version": {},
}
ACCEPTED = Reply(202, json.dumps(SENT).encode())


def refusal(status: int, code: str, retry_after: int | None = None) -> Reply:
    body = {"error": "A sentence.", "code": code, "request_id": "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11"}
    return Reply(status, json.dumps(body).encode(), {} if retry_after is None else {"retry-after": str(retry_after)})


@dataclass
class Api:
    """Answers with `replies`, one after the other; None hangs up without a reply. `waits` is what clients waited."""

    receiver: Receiver
    waits: list[float] = field(default_factory=list)

    def answer_with(self, *replies: Reply | None) -> None:
        waiting = list(replies)

        def reply(_request: Received) -> Reply:
            given = waiting.pop(0)
            if given is None:
                raise ConnectionAbortedError("hung up")
            return given

        self.receiver.reply = reply

    @property
    def url(self) -> str:
        return self.receiver.url.removesuffix("/hook")

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("idempotency-key") for request in self.receiver.received]

    def client(self, **options: Any) -> Client:
        return Client(self.url, "lt_x", sleep=self.waits.append, **options)


@pytest.fixture
def api() -> Iterator[Api]:
    with receiving() as receiver:
        yield Api(receiver)


def test_a_lost_response_is_asked_for_again_with_the_same_key(api: Api) -> None:
    api.answer_with(None, refusal(502, "internal_error"), ACCEPTED)
    with api.client() as client:
        assert client.send("+12025550142").verification_id == SENT["verification_id"]
        assert len(api.keys) == 3
        assert len(set(api.keys)) == 1
        assert api.keys[0]
        api.answer_with(ACCEPTED)
        client.send("+12025550142")
    assert api.keys[3] != api.keys[0], "another send is another call"
    assert 0.25 <= api.waits[0] <= 0.5
    assert 0.5 <= api.waits[1] <= 1


def test_a_key_of_the_app_is_used(api: Api) -> None:
    api.answer_with(None, ACCEPTED)
    with api.client() as client:
        client.send("+12025550142", idempotency_key="order-4711")
    assert api.keys == ["order-4711", "order-4711"]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_and_never_less(api: Api, status: int) -> None:
    api.answer_with(refusal(status, "rate_limited", 7), ACCEPTED)
    with api.client() as client:
        client.send("+12025550142")
    [waited] = api.waits
    assert 7 <= waited <= 7.7


def test_a_long_retry_after_is_for_the_app_to_decide(api: Api) -> None:
    api.answer_with(refusal(429, "phone_limit", 480))
    with api.client() as client, pytest.raises(TooManyRequests) as caught:
        client.send("+12025550142")
    assert (caught.value.code, caught.value.retry_after_seconds, api.waits) == ("phone_limit", 480, [])


def test_it_gives_up_with_the_last_error(api: Api) -> None:
    api.answer_with(*[refusal(503, "queue_full", 1)] * 3)
    with api.client() as client, pytest.raises(ServiceFailed) as caught:
        client.send("+12025550142")
    assert (caught.value.code, len(api.receiver.received), len(api.waits)) == ("queue_full", 3, 2)
    api.answer_with(refusal(503, "queue_full", 1))
    with api.client(max_retries=0) as client, pytest.raises(ServiceFailed):
        client.send("+12025550142")


@pytest.mark.parametrize("reply", [None, refusal(500, "internal_error")])
def test_a_check_that_may_have_been_carried_out_is_not_repeated(api: Api, reply: Reply | None) -> None:
    """The second try would use an attempt, or be told that the code was used."""
    api.answer_with(reply, ACCEPTED)
    with api.client() as client, pytest.raises(LetsTalkError):
        client.verify("+12025550142", code="048213")
    assert (len(api.receiver.received), api.waits, api.keys) == (1, [], [None])


def test_a_check_is_repeated_where_it_was_refused_for_now(api: Api) -> None:
    approved = {"verified": True, "status": "approved", "approved_at": "2026-11-20T10:00:41.000Z"}
    api.answer_with(refusal(429, "rate_limited", 1), Reply(200, json.dumps(SENT | approved).encode()))
    with api.client() as client:
        assert client.verify("+12025550142", code="048213").verified is True


@pytest.mark.parametrize(("status", "code"), [(400, "invalid_phone"), (403, "destination_blocked"), (410, "code_used")])
def test_what_stays_refused_is_not_tried_again(api: Api, status: int, code: str) -> None:
    api.answer_with(refusal(status, code))
    with api.client() as client, pytest.raises(LetsTalkError):
        client.send("+12025550142")
    assert len(api.receiver.received) == 1


def test_the_client_of_an_event_loop_waits_and_repeats_in_the_same_way(api: Api) -> None:
    api.answer_with(None, refusal(429, "rate_limited", 7), ACCEPTED)

    async def wait(seconds: float) -> None:
        api.waits.append(seconds)

    async def send() -> None:
        async with AsyncClient(api.url, "lt_x", sleep=wait) as client:
            await client.send("+12025550142")

    asyncio.run(send())
    assert len(set(api.keys)) == 1
    assert len(api.keys) == 3
    assert 7 <= api.waits[1] <= 7.7


def test_a_code_and_a_token_are_in_no_text(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def fail(call: Callable[[], object]) -> None:
        with pytest.raises(LetsTalkError) as caught:
            call()
        error: BaseException | None = caught.value
        while error is not None:
            texts.append(f"{error!r} {error} {vars(error)}")
            error = error.__cause__

    api.answer_with(None, refusal(400, "invalid_code"), None)
    with Client(api.url, "lt_secret", max_retries=0) as client:
        fail(lambda: client.verify("+12025550142", code="90482134"))
        fail(lambda: client.verify("+12025550142", code="90482134"))
        fail(lambda: client.speak("+12025550142", "90482134"))
        texts.append(f"{client!r} {client}")
    texts.append(repr(requests.speak("+12025550142", "90482134")))
    texts.append(repr(requests.verify("+12025550142", code="90482134")))
    everything = " ".join([*texts, caplog.text])
    assert "No response" in everything
    assert "90482134" not in everything
    assert "lt_secret" not in everything
    assert "5550142" not in everything


def test_the_adapters_try_once_more_since_a_person_waits(api: Api) -> None:
    api.answer_with(None, refusal(500, "internal_error"))
    with pytest.raises(ServiceFailed):
        shared_client(api.url, "lt_x").speak("+12025550142", "048213")
    assert len(set(api.keys)) == 1
    assert len(api.keys) == 2
    assert shared_client(api.url, "lt_x") is shared_client(api.url, "lt_x")


@pytest.mark.parametrize("key", ["", "a\nb", "ключ", "k" * 256])
def test_what_can_t_be_a_key_is_not_sent(api: Api, key: str) -> None:
    with api.client() as client, pytest.raises(ValueError, match="1 to 255 printable ASCII"):
        client.send("+12025550142", idempotency_key=key)
    assert (api.receiver.received, api.waits) == ([], [])


def test_text_that_is_no_unicode_is_for_the_service_to_refuse(api: Api) -> None:
    """An error of encoding would show the whole body, with the code."""
    api.answer_with(refusal(400, "invalid_request"))
    with api.client() as client, pytest.raises(LetsTalkError) as caught:
        client.verify("\ud800", code="90482134")
    assert "90482134" not in repr(caught.value)
    assert json.loads(api.receiver.received[0].body) == {"phone": "\ud800", "code": "90482134"}


def test_a_request_that_takes_too_long_ends(api: Api) -> None:
    released = threading.Event()

    def hang(_request: Received) -> Reply:
        released.wait(30)
        return ACCEPTED

    api.receiver.reply = hang
    try:
        with api.client(timeout_seconds=0.05, max_retries=1) as client, pytest.raises(ConnectionFailed):
            client.send("+12025550142")
        assert len(set(api.keys)) == 1
        assert len(api.keys) == 2
    finally:
        released.set()
