"""letstalk_client against a served application: every call, and what each kind of refusal raises."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest

from letstalk_client import (
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    DestinationBlocked,
    Forbidden,
    InvalidCode,
    InvalidPhone,
    InvalidRequest,
    LetsTalkError,
    NoPendingVerification,
    NotAuthenticated,
    NotFound,
    TooManyRequests,
    UnexpectedResponse,
    VerificationOver,
)
from letstalk_client.events import CallEvent, VerificationEvent
from tests.clients.conftest import Service
from tests.support.ports import free_port
from tests.support.receivers import Reply, receiving


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def test_a_phone_is_proven_and_everything_about_it_can_be_read(client: Client, service: Service) -> None:
    sent = client.send("+1 202 555 0101", reference="order-4711", locale="de")
    assert (sent.phone, sent.spoken_locale, sent.reference) == ("+12025550101", "de-DE", "order-4711")
    assert sent.expires_at.utcoffset() == timedelta(0)
    code = service.heard(sent.call_id)

    with pytest.raises(InvalidCode) as wrong:
        client.verify("+1 202 555 0101", code=other_than(code))
    assert (wrong.value.code, wrong.value.status, wrong.value.attempts_remaining) == ("invalid_code", 400, 4)
    assert wrong.value.request_id

    approval = client.verify("+1 202 555 0101", code=code)
    assert approval.verified is True
    assert (approval.verification_id, approval.phone) == (sent.verification_id, "+12025550101")
    with pytest.raises(VerificationOver) as again:
        client.verify(verification_id=sent.verification_id, code=code)
    assert (again.value.code, again.value.status) == ("code_used", 410)

    found = client.get(sent.verification_id)
    assert (found.status, [call.call_id for call in found.calls]) == ("approved", [sent.call_id])
    assert found.calls[0].events[0].type == "queued"
    assert (
        client.list(reference="order-4711", status="approved").verifications[0].verification_id == found.verification_id
    )
    assert client.list(phone="+12025550199").verifications == ()
    events = client.list_events(verification_id=sent.verification_id)
    assert {type(event) for event in events.events} <= {VerificationEvent, CallEvent}
    assert {"verification.created", "verification.approved"} <= {event.type for event in events.events}
    assert client.get_event(events.events[0].event_id) == events.events[0]


def test_pages_are_fetched_as_they_are_needed(client: Client) -> None:
    ids = [client.send(f"+120255502{number:02}", reference="paged").verification_id for number in range(3)]
    first = client.list(reference="paged", limit=2)
    assert first.next_cursor is not None
    second = client.list(reference="paged", limit=2, cursor=first.next_cursor)
    assert [each.verification_id for each in (*first.verifications, *second.verifications)] == ids[::-1]
    assert [each.verification_id for each in client.iterate(reference="paged")] == ids[::-1]


def test_a_replay_a_cancellation_and_a_spoken_code(client: Client, service: Service) -> None:
    sent = client.send("+12025550102")
    with pytest.raises(TooManyRequests) as too_soon:
        client.replay(verification_id=sent.verification_id)
    assert too_soon.value.code == "replay_too_soon"
    assert too_soon.value.retry_after_seconds is not None
    assert 10 < too_soon.value.retry_after_seconds <= 20
    assert client.cancel(sent.verification_id).status == "canceled"
    with pytest.raises(Conflict) as over:
        client.cancel(sent.verification_id)
    assert over.value.code == "not_pending"

    accepted = client.speak("+12025550103", "048213", reference="login-1")
    assert client.speak("+12025550103", "048213", reference="login-1").call_id == accepted.call_id
    assert service.heard(accepted.call_id) == "048213"
    assert client.get_spoken_call(accepted.call_id).approved is None
    assert client.report_outcome(accepted.call_id, approved=True).approved is True
    with pytest.raises(UnexpectedResponse):
        client.get(accepted.call_id)  # a spoken call is no verification


def test_each_kind_of_refusal_is_an_exception_of_its_own(client: Client, service: Service) -> None:
    def refusal(call: Any, *arguments: Any, **named: Any) -> Any:
        with pytest.raises(LetsTalkError) as caught:
            call(*arguments, **named)
        return caught.value

    invalid = refusal(client.send, "12")
    assert (type(invalid), invalid.details[0].field) == (InvalidPhone, "phone")
    assert type(refusal(client.send, "+12025550104", code_length=99)) is InvalidRequest
    assert type(refusal(client.send, "+19005550104")) is DestinationBlocked
    assert type(refusal(client.verify, "+12025550105", code="048213")) is NoPendingVerification
    assert type(refusal(client.get, "0199a1f4-0000-7000-8000-000000000000")) is NotFound
    with Client(service.url, service.issue("read")) as reader:
        forbidden = refusal(reader.send, "+12025550104")
        assert (type(forbidden), forbidden.required_scopes) == (Forbidden, ("otp:send",))
    with Client(service.url, "lt_wrong") as stranger:
        unknown = refusal(stranger.list)
        assert (type(unknown), unknown.code) == (NotAuthenticated, "invalid_token")
        assert "lt_wrong" not in f"{unknown!r} {unknown} {stranger!r}"


def test_what_is_no_service_is_said_to_be_none(service: Service) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with Client(nowhere, "lt_x", max_retries=0) as client, pytest.raises(ConnectionFailed, match="No response"):
        client.list()
    with receiving() as proxy:
        proxy.reply = lambda _request: Reply(200, b"<html>Welcome</html>")
        with (
            Client(proxy.url, "lt_x", max_retries=0) as client,
            pytest.raises(UnexpectedResponse, match="Check the URL"),
        ):
            client.list()
        proxy.reply = lambda _request: Reply(302, b"", {"location": service.url})
        with Client(proxy.url, "lt_x", max_retries=0) as client, pytest.raises(UnexpectedResponse):
            client.list()
    for url in ("calls.example.com", "ftp://calls.example.com", "https://user:word@calls.example.com", ""):
        with pytest.raises(ValueError, match="The URL must"):
            Client(url, "lt_x")
    for token in ("", " ", "lt_a\nb", "lt_é"):
        with pytest.raises(ValueError, match="The token") as caught:
            Client(service.url, token)
        assert not token.strip() or token not in str(caught.value)


def test_an_empty_id_names_no_other_call(client: Client) -> None:
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="The id is empty"):
            client.get(name)
    with pytest.raises(NotFound):
        client.get("../api/tokens")


def test_the_client_of_an_event_loop_does_the_same(service: Service) -> None:
    async def prove() -> None:
        async with AsyncClient(service.url, service.token) as client:
            first, second = await asyncio.gather(client.send("+12025550106"), client.send("+12025550107"))
            code = await asyncio.to_thread(service.heard, first.call_id)
            with pytest.raises(InvalidCode):
                await client.verify(verification_id=first.verification_id, code=other_than(code))
            assert (await client.verify(verification_id=first.verification_id, code=code)).verified is True
            assert (await client.cancel(second.verification_id)).status == "canceled"
            assert len([each async for each in client.iterate(phone="+12025550106")]) == 1

    asyncio.run(prove())


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, str]:
        public = {name: each for name, each in vars(client).items() if not name.startswith("_") and callable(each)}
        return {name: str(inspect.signature(each).replace(return_annotation="")) for name, each in public.items()}

    sync, awaited = methods(Client), methods(AsyncClient)
    assert awaited.pop("aclose") == sync.pop("close")
    assert sync == awaited
    assert len(sync) >= 12
