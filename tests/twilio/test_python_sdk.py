"""A program written for Twilio's SDK for Python, with one line more: `client.verify.base_url = …`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.verify.v2.service import ServiceContext

from letstalk.core.clock import utc_now
from tests.support.apps import issue_token
from tests.support.documents import ROOT, read
from tests.twilio.served import ACCOUNT, ServedVerify

GUIDE = ROOT / "docs" / "connect" / "twilio.md"
OTHER_CODE = "000000000"
REPLAY_SECONDS = 21


@contextmanager
def client_with(verify: ServedVerify, token: str, user_name: str = ACCOUNT) -> Iterator[Client]:
    http = TwilioHttpClient()
    client = Client(user_name, token, ACCOUNT, http_client=http)
    client.verify.base_url = f"{verify.base}/twilio"
    yield client
    if http.session is not None:
        http.session.close()  # the SDK never does


@pytest.fixture
def client(verify: ServedVerify) -> Iterator[Client]:
    with client_with(verify, verify.token) as client:
        yield client


@pytest.fixture
def service(client: Client) -> ServiceContext:
    made = client.verify.v2.services.create(friendly_name="Acme", custom_code_enabled=True)
    return client.verify.v2.services(made.sid)


def refused(code: int, status: int, message: str) -> pytest.RaisesExc[TwilioRestException]:
    def is_it(error: TwilioRestException) -> bool:
        return (error.code, error.status) == (code, status) and message in error.msg

    return pytest.raises(TwilioRestException, check=is_it)


def test_a_phone_is_called_guessed_at_wrongly_and_approved(verify: ServedVerify, service: ServiceContext) -> None:
    phone = verify.phone()
    sent = service.verifications.create(to=phone, channel="call", locale="en")
    assert (sent.to, sent.channel, sent.status, sent.valid) == (phone, "call", "pending", False)
    [attempt] = sent.send_code_attempts
    code = verify.heard(attempt["attempt_sid"])
    wrong = service.verification_checks.create(to=phone, code=OTHER_CODE)
    assert (wrong.sid, wrong.status, wrong.valid) == (sent.sid, "pending", False)
    found = service.verifications(phone).fetch()
    assert (found.sid, found.status, found.url) == (sent.sid, "pending", sent.url)
    right = service.verification_checks.create(verification_sid=sent.sid, code=code)
    assert (right.sid, right.status, right.valid) == (sent.sid, "approved", True)
    assert service.verifications(sent.sid).fetch().status == "approved"
    with refused(20404, 404, "/VerificationCheck was not found"):
        service.verification_checks.create(to=phone, code=code)
    with refused(20404, 404, f"/Verifications/{sent.sid} was not found"):
        service.verifications(sent.sid).update(status="canceled")


def test_a_second_request_while_one_is_pending_has_the_same_code_spoken_again(
    verify: ServedVerify, service: ServiceContext
) -> None:
    phone = verify.phone()
    first = service.verifications.create(to=phone, channel="call")
    code = verify.heard(first.send_code_attempts[0]["attempt_sid"])
    with refused(20429, 429, "Too many requests"):
        service.verifications.create(to=phone, channel="call")
    verify.clock.move(REPLAY_SECONDS)
    second = service.verifications.create(to=phone, channel="call")
    assert second.sid == first.sid
    assert len(second.send_code_attempts) == 2
    assert verify.heard(second.send_code_attempts[1]["attempt_sid"]) == code
    for _ in range(2):
        verify.clock.move(REPLAY_SECONDS)
        again = service.verifications.create(to=phone, channel="call")
        verify.heard(again.send_code_attempts[-1]["attempt_sid"])
    verify.clock.move(REPLAY_SECONDS)
    with refused(60203, 429, "Max send attempts reached"):
        service.verifications.create(to=phone, channel="call")
    canceled = service.verifications(phone).update(status="canceled")
    assert (canceled.sid, canceled.status) == (first.sid, "canceled")
    with refused(20404, 404, "was not found"):
        service.verification_checks.create(to=phone, code=code)
    verify.clock.move(31)
    assert service.verifications.create(to=phone, channel="call").sid != first.sid


def test_after_five_wrong_codes_there_are_no_more_checks(verify: ServedVerify, service: ServiceContext) -> None:
    phone = verify.phone()
    sent = service.verifications.create(to=phone, channel="call")
    code = verify.heard(sent.send_code_attempts[0]["attempt_sid"])
    guesses = [service.verification_checks.create(to=phone, code=OTHER_CODE) for _ in range(5)]
    assert {(guess.status, guess.valid) for guess in guesses} == {("pending", False)}
    with refused(60202, 429, "Max check attempts reached"):
        service.verification_checks.create(to=phone, code=code)
    assert service.verifications(sent.sid).fetch().status == "max_attempts_reached"


def test_a_code_of_the_app_s_own_is_spoken_and_approved_by_the_app(
    verify: ServedVerify, service: ServiceContext
) -> None:
    phone = verify.phone()
    sent = service.verifications.create(to=phone, channel="call", custom_code="47119")
    assert verify.heard(sent.send_code_attempts[0]["attempt_sid"]) == "47119"
    assert service.verifications.create(to=phone, channel="call", custom_code="47119").sid == sent.sid
    with refused(20404, 404, "was not found"):  # only the app can check it
        service.verification_checks.create(to=phone, code="47119")
    assert service.verifications(phone).fetch().sid == sent.sid
    approved = service.verifications(sent.sid).update(status="approved")
    assert (approved.status, approved.valid) == ("approved", True)
    with refused(20404, 404, "was not found"):
        service.verifications(sent.sid).update(status="canceled")


def test_a_call_says_the_name_of_the_service_only_where_the_operator_allows_it(
    verify: ServedVerify, client: Client
) -> None:
    def said_by(name: str, **fields: str) -> str:
        made = client.verify.v2.services.create(friendly_name=name)
        sent = client.verify.v2.services(made.sid).verifications.create(to=verify.phone(), channel="call", **fields)
        return str(verify.call(sent.send_code_attempts[0]["attempt_sid"])["text"])

    assert "this is Acme." in said_by("Acme")
    assert "this is Acme Bank." in said_by("Acme", custom_friendly_name="Acme Bank")
    assert "this is Let's Talk." in said_by("Your bank at 202 555 0199")


def test_a_code_of_ours_can_be_approved_or_given_up_by_the_app(verify: ServedVerify, service: ServiceContext) -> None:
    own = service.verifications.create(to=verify.phone(), channel="call")
    assert service.verifications(own.sid).update(status="approved").status == "approved"
    custom = service.verifications.create(to=verify.phone(), channel="call", custom_code="4711")
    assert service.verifications(custom.sid).update(status="canceled").status == "canceled"
    assert service.verifications(custom.sid).fetch().status == "canceled"


def test_the_program_of_the_guide_does_what_it_says(
    verify: ServedVerify, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = read(GUIDE).blocks("python")
    program = program.replace("http://127.0.0.1:5000", verify.base).replace("+12025550142", verify.phone())
    monkeypatch.setenv("LETSTALK_TOKEN", verify.token)
    names: dict[str, Any] = {}
    names["input"] = lambda _question: verify.heard(names["sent"].send_code_attempts[0]["attempt_sid"])
    exec(compile(program, GUIDE.name, "exec"), names)  # noqa: S102  # the page's own program
    names["client"].http_client.session.close()
    printed = [line for line in capsys.readouterr().out.splitlines() if "☎" not in line]  # what the simulator tells
    assert printed == [f"{names['sent'].sid} pending", "approved"]


def test_services_are_made_listed_changed_and_deleted(verify: ServedVerify) -> None:
    with client_with(verify, issue_token(verify.app, owner_id="services")) as client:
        services = client.verify.v2.services
        made = [services.create(friendly_name=f"Shop {number}", code_length=8) for number in range(5)]
        assert {(one.code_length, one.custom_code_enabled) for one in made} == {(8, False)}
        assert len({one.account_sid for one in made}) == 1
        listed = services.list(page_size=2)
        assert [one.sid for one in listed] == [one.sid for one in reversed(made)]
        changed = services(made[0].sid).update(friendly_name="Acme", code_length=6, custom_code_enabled=True)
        assert services(made[0].sid).fetch().friendly_name == changed.friendly_name == "Acme"
        assert services(made[0].sid).delete() is True
        with refused(20404, 404, "was not found"):
            services(made[0].sid).fetch()
        with refused(60200, 400, "Invalid parameter: CodeLength"):
            services.create(friendly_name="Shop", code_length=4)


def test_the_calls_of_verifications_are_attempts_and_are_summed_up(verify: ServedVerify) -> None:
    with client_with(verify, issue_token(verify.app, "read", "write", "otp:speak", owner_id="attempts")) as client:
        made = client.verify.v2.services.create(friendly_name="Acme", custom_code_enabled=True)
        service, phones = client.verify.v2.services(made.sid), [verify.phone() for _ in range(3)]
        sent = [service.verifications.create(to=phone, channel="call") for phone in phones[:2]]
        sent.append(service.verifications.create(to=phones[2], channel="call", custom_code="4711"))
        service.verifications(sent[0].sid).update(status="approved")
        service.verifications(sent[2].sid).update(status="approved")
        attempts = client.verify.v2.verification_attempts
        listed = attempts.list(page_size=1)
        assert [one.verification_sid for one in listed] == [one.sid for one in reversed(sent)]
        assert [one.conversion_status for one in listed] == ["converted", "unconverted", "converted"]
        assert [one.channel_data["to"] for one in listed] == list(reversed(phones))
        assert attempts(listed[0].sid).fetch().verification_sid == sent[2].sid
        assert [one.verification_sid for one in attempts.list(status="unconverted")] == [sent[1].sid]
        assert [one.verification_sid for one in attempts.list(channel_data_to=phones[0])] == [sent[0].sid]
        assert [one.verification_sid for one in attempts.list(verification_sid=sent[1].sid)] == [sent[1].sid]
        assert attempts.list(verify_service_sid="VA" + "0" * 32) == attempts.list(country="DE") == []
        later = utc_now() + timedelta(days=2)
        assert attempts.list(date_created_after=later) == []
        assert len(attempts.list(date_created_before=later, channel="call")) == 3
        summary = client.verify.v2.verification_attempts_summary().fetch()
        assert (summary.total_attempts, summary.total_converted, summary.total_unconverted) == (3, 2, 1)
        assert float(summary.conversion_rate_percentage) == pytest.approx(66.6667)
        assert client.verify.v2.verification_attempts_summary().fetch(destination_prefix="+44").total_attempts == 0


def test_a_rate_limit_counts_what_the_app_names(verify: ServedVerify, service: ServiceContext) -> None:
    limit = service.rate_limits.create(unique_name="ip", description="By address")
    buckets = service.rate_limits(limit.sid).buckets
    bucket = buckets.create(max=2, interval=60)
    assert [one.sid for one in buckets.list()] == [bucket.sid]
    for _ in range(2):
        service.verifications.create(to=verify.phone(), channel="call", rate_limits={"ip": "192.0.2.1"})
    with refused(20429, 429, "A rate limit of this service is reached"):
        service.verifications.create(to=verify.phone(), channel="call", rate_limits={"ip": "192.0.2.1"})
    service.verifications.create(to=verify.phone(), channel="call", rate_limits={"ip": "192.0.2.2"})
    service.verifications.create(to=verify.phone(), channel="call")
    verify.clock.move(61)
    service.verifications.create(to=verify.phone(), channel="call", rate_limits={"ip": "192.0.2.1"})
    with refused(60200, 400, "Invalid parameter: RateLimits"):
        service.verifications.create(to=verify.phone(), channel="call", rate_limits={"adress": "192.0.2.1"})
    with refused(60208, 400, "already exists"):
        service.rate_limits.create(unique_name="ip")
    with refused(60209, 400, "UniqueName format is invalid"):
        service.rate_limits.create(unique_name="an address")
    with refused(60211, 400, "given Interval already exists"):
        buckets.create(max=3, interval=60)
    assert buckets(bucket.sid).update(max=5, interval=30).max == 5
    assert service.rate_limits("ip").update(description="Another").description == "Another"
    assert service.rate_limits(limit.sid).fetch().unique_name == "ip"
    assert buckets(bucket.sid).fetch().interval == 30
    assert buckets(bucket.sid).delete() is True
    assert service.rate_limits(limit.sid).delete() is True
    assert service.rate_limits.list() == []


def test_an_error_has_the_class_and_the_code_that_programs_catch(verify: ServedVerify, service: ServiceContext) -> None:
    phone, checks, verifications = verify.phone(), service.verification_checks, service.verifications
    for wrong, name in (
        ({"to": "not a phone", "channel": "call"}, "To"),
        ({"to": phone, "channel": "sms"}, "Channel"),
        ({"to": phone, "channel": "call", "locale": "?"}, "Locale"),
    ):
        with refused(60200, 400, f"Invalid parameter: {name}"):
            verifications.create(**wrong)
    with refused(60200, 400, "Invalid parameter: Code"):
        checks.create(to=phone, code="12")
    with refused(60605, 403, "Verification delivery attempt blocked"):
        verifications.create(to="+19002345678", channel="call")  # somebody earns money from this call
    with refused(60204, 403, "Service does not support this feature"):
        verifications.create(to=phone, channel="call", amount="€39.99", payee="Acme")
    with refused(20404, 404, "was not found"):
        verifications(phone).fetch()
    with client_with(verify, "lt_nothing_real") as stranger, refused(20003, 401, "Authenticate"):
        stranger.verify.v2.services.create(friendly_name="Acme")
    reader = issue_token(verify.app, "read")
    with client_with(verify, reader, "SK" + "1" * 32) as only_reads, refused(70051, 403, "otp:send"):
        only_reads.verify.v2.services.create(friendly_name="Acme")
