"""Requests to Twilio's API without an SDK: who may make them, and what no SDK would send."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from letstalk.core.scopes import Scope
from letstalk.twilio.models import MAX_SERVICES
from tests.support.apps import TurnableClock, issue_token, make_app, services_of
from tests.support.fixtures.logs import LogOutput

PHONE = "+12025550142"
SERVICES = "/twilio/v2/Services"
NOT_OURS = "VA" + "0" * 32


@dataclass
class Verify:
    """A program that uses the API without an SDK."""

    client: FlaskClient
    token: str
    service_sid: str = ""
    user_name: str = "AC" + "1" * 32

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        return self.client.post(path, data=form or {}, headers={**self.headers, **headers})

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(path, query_string=query, headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        pair = base64.b64encode(f"{self.user_name}:{self.token}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    @property
    def path(self) -> str:
        return f"{SERVICES}/{self.service_sid}"

    def with_service(self, **fields: Any) -> Verify:
        made = self.post(SERVICES, {"FriendlyName": "Acme", **fields})
        assert made.status_code == 201, made.text
        return replace(self, service_sid=made.get_json()["sid"])

    def send(self, to: str = PHONE, **form: Any) -> TestResponse:
        return self.post(f"{self.path}/Verifications", {"To": to, "Channel": "call", **form})

    def check(self, code: str, to: str = PHONE) -> TestResponse:
        return self.post(f"{self.path}/VerificationCheck", {"To": to, "Code": code})


def code_of(answer: TestResponse) -> tuple[int, int]:
    body = answer.get_json()
    assert set(body) == {"code", "message", "more_info", "status"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture(params=["sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path, clock: TurnableClock) -> Iterator[Flask]:
    own = {}
    if request.param == "postgresql":
        own["DATABASE_URL"] = request.getfixturevalue("migrated_postgresql_url")
    app = make_app(tmp_path, clock, BRAND_NAMES="Acme, Acme Bank", **own)
    yield app
    app.extensions["letstalk_db"].close()


on_both_databases = pytest.mark.parametrize("app", ["sqlite", "postgresql"], indirect=True)


def api_of(app: Flask, *scopes: str, owner_id: str = "acme") -> Verify:
    return Verify(app.test_client(), issue_token(app, *(scopes or ("read", "write", "otp:speak")), owner_id=owner_id))


@pytest.fixture
def api(app: Flask) -> Verify:
    return api_of(app).with_service()


def test_the_token_is_the_password_whatever_the_user_name_is(api: Verify) -> None:
    for user_name in ("AC" + "a" * 32, "SK" + "b" * 32, ""):
        named = replace(api, user_name=user_name)
        assert named.get(SERVICES).status_code == 200
        assert code_of(replace(named, token="lt_nothing_real").get(SERVICES)) == (401, 20003)


def test_without_readable_credentials_nothing_is_shown(api: Verify) -> None:
    no_colon = base64.b64encode(b"no colon").decode()
    for header in ("Basic", "Basic !!!", f"Basic {no_colon}", "Digest x", "Bearer ", "\u00e9"):
        answer = api.client.get(SERVICES, headers={"Authorization": header})
        assert code_of(answer) == (401, 20003)
        assert answer.get_json()["message"].startswith("Authenticate. ")
    assert code_of(api.client.post(SERVICES, data=b"\xff" * 100)) == (401, 20003)


def test_a_bearer_token_is_as_good_here_and_a_password_is_taken_nowhere_else(api: Verify) -> None:
    bearer = {"Authorization": f"Bearer {api.token}"}
    assert api.client.get(SERVICES, headers=bearer).status_code == 200
    assert api.client.get("/calls", headers=bearer).status_code == 200
    assert api.client.get("/calls", headers=api.headers).status_code == 401


def test_each_scope_allows_its_part_and_no_other(app: Flask, api: Verify) -> None:
    sid = api.send().get_json()["sid"]
    calls: dict[str, Callable[[Verify], TestResponse]] = {
        "otp:send": lambda one: one.send("+12025550143"),
        "otp:verify": lambda one: one.check("000000000"),
        "calls:read": lambda one: one.get(f"{one.path}/Verifications/{sid}"),
        "calls:cancel": lambda one: one.post(f"{one.path}/Verifications/{sid}", {"Status": "canceled"}),
    }
    for scope in [each.value for each in Scope if each is not Scope.ADMIN]:
        other = replace(api, token=issue_token(app, scope))
        for needed, call in calls.items():
            if scope != needed:
                assert code_of(call(other)) == (403, 70051), (scope, needed)
    for needed, call in calls.items():
        assert call(replace(api, token=issue_token(app, needed))).status_code in (200, 201), needed


def test_speaking_again_and_deciding_for_the_person_need_scopes_of_their_own(app: Flask, clock: TurnableClock) -> None:
    api = api_of(app, "otp:send", "calls:read", "calls:cancel").with_service(CustomCodeEnabled="true")
    sid = api.send().get_json()["sid"]
    clock.move(21)
    assert "otp:replay" in api.send().get_json()["message"]
    for refused in (
        api.send("+12025550143", CustomCode="4711"),
        api.post(f"{api.path}/Verifications/{sid}", {"Status": "approved"}),
    ):
        assert code_of(refused) == (403, 70051)
        assert "otp:speak" in refused.get_json()["message"]
    assert api.get(f"{api.path}/Verifications/{sid}").get_json()["status"] == "pending"
    assert api.get(f"{api.path}/Verifications/+12025550143").status_code == 404


@on_both_databases
def test_nothing_of_another_owner_is_found(app: Flask, api: Verify) -> None:
    sent = api.send().get_json()
    sid, attempt = sent["sid"], sent["send_code_attempts"][0]["attempt_sid"]
    limit = api.post(f"{api.path}/RateLimits", {"UniqueName": "ip"}).get_json()["sid"]
    bucket = api.post(f"{api.path}/RateLimits/{limit}/Buckets", {"Max": 1, "Interval": 1}).get_json()["sid"]
    theirs = api_of(app, "read", "write", "otp:speak", owner_id="globex").with_service()
    intruder = replace(theirs, service_sid=api.service_sid)
    buckets = f"RateLimits/{limit}/Buckets"
    for one in (intruder, theirs):  # by the other owner's service, and by their own
        gets = [f"{one.path}/{part}" for part in (f"Verifications/{sid}", f"Verifications/{PHONE}")]
        gets += [f"{one.path}/{part}" for part in (f"RateLimits/{limit}", f"{buckets}/{bucket}", buckets)]
        gets += [f"/twilio/v2/Attempts/{attempt}"]
        for path in gets:
            assert code_of(one.get(path)) == (404, 20404), path
        for path, form in (
            (f"{one.path}/Verifications/{sid}", {"Status": "canceled"}),
            (f"{one.path}/Verifications/{sid}", {"Status": "approved"}),
            (f"{one.path}/VerificationCheck", {"VerificationSid": sid, "Code": "000000"}),
            (f"{one.path}/{buckets}", {"Max": 1, "Interval": 2}),
            (f"{one.path}/{buckets}/{bucket}", {"Max": 9}),
        ):
            assert code_of(one.post(path, form)) == (404, 20404), path
        for path in (f"{one.path}/RateLimits/{limit}", f"{one.path}/{buckets}/{bucket}"):
            assert code_of(one.client.delete(path, headers=one.headers)) == (404, 20404)
    assert code_of(intruder.send()) == (404, 20404)
    assert code_of(intruder.client.delete(intruder.path, headers=intruder.headers)) == (404, 20404)
    assert theirs.get("/twilio/v2/Attempts").get_json()["attempts"] == []
    assert theirs.get("/twilio/v2/Attempts/Summary").get_json()["total_attempts"] == 0
    assert [one["sid"] for one in theirs.get(SERVICES).get_json()["services"]] == [theirs.service_sid]
    assert theirs.get(theirs.path).get_json()["account_sid"] != sent["account_sid"]
    assert api.get(f"{api.path}/Verifications/{sid}").get_json()["status"] == "pending"


def test_the_same_phone_in_two_services_is_two_verifications(api: Verify, app: Flask) -> None:
    other = api_of(app).with_service()
    first, second = api.send().get_json(), other.send().get_json()
    assert first["sid"] != second["sid"]
    assert first["account_sid"] == second["account_sid"]
    assert other.get(f"{other.path}/Verifications/{PHONE}").get_json()["sid"] == second["sid"]
    assert code_of(other.get(f"{other.path}/Verifications/{first['sid']}")) == (404, 20404)
    wrong = {"VerificationSid": first["sid"], "Code": "000000"}
    assert code_of(other.post(f"{other.path}/VerificationCheck", wrong)) == (404, 20404)


def test_channels_are_read_in_any_case_and_an_sms_becomes_a_call_where_the_operator_says_so(
    api: Verify, tmp_path: Path
) -> None:
    assert api.send(Channel="CaLl").get_json()["channel"] == "call"
    for channel in ("sms", "auto", "email", "whatsapp", "sna", "", "☎"):
        assert code_of(api.send("+12025550143", Channel=channel)) == (400, 60200)
    folder = tmp_path / "calls"
    folder.mkdir()
    lenient = api_of(make_app(folder, TWILIO_SMS="call")).with_service()
    assert lenient.send(Channel="sms").get_json()["channel"] == "call"
    assert code_of(lenient.send("+12025550143", Channel="email")) == (400, 60200)


def test_a_code_is_dead_after_ten_minutes(api: Verify, clock: TurnableClock) -> None:
    sid = api.send().get_json()["sid"]
    clock.move(601)
    assert code_of(api.check("000000")) == (404, 20404)
    assert api.get(f"{api.path}/Verifications/{sid}").get_json()["status"] == "expired"
    assert code_of(api.post(f"{api.path}/Verifications/{sid}", {"Status": "approved"})) == (404, 20404)


def test_a_repeated_request_with_the_same_key_is_one_call(api: Verify, clock: TurnableClock) -> None:
    key = {"Idempotency-Key": "order-4711"}
    path, form = f"{api.path}/Verifications", {"To": PHONE, "Channel": "call"}
    first, again = api.post(path, form, **key), api.post(path, form, **key)
    assert (again.status_code, again.get_json()["sid"]) == (201, first.get_json()["sid"])
    assert len(again.get_json()["send_code_attempts"]) == 1
    assert code_of(api.post(path, {**form, "Locale": "de"}, **key)) == (422, 20422)
    assert code_of(api.post(path, form)) == (429, 20429)
    clock.move(700)
    assert api.post(path, form).get_json()["sid"] != first.get_json()["sid"]


@on_both_databases
def test_two_requests_at_once_call_once(app: Flask, api: Verify) -> None:
    def send(_number: int) -> tuple[int, str | None]:
        answer = replace(api, client=app.test_client()).send()
        return answer.status_code, answer.get_json().get("sid")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted(status for status, _ in answers) == [201, 429, 429, 429]
    assert len(api.get("/twilio/v2/Attempts").get_json()["attempts"]) == 1


@on_both_databases
def test_requests_at_once_do_not_exceed_a_rate_limit(app: Flask, api: Verify) -> None:
    api.post(f"{api.path}/RateLimits", {"UniqueName": "ip"})
    assert api.post(f"{api.path}/RateLimits/ip/Buckets", {"Max": 2, "Interval": 60}).status_code == 201

    def send(number: int) -> int:
        own = replace(api, client=app.test_client())
        return own.send(f"+120255501{number:02d}", RateLimits='{"ip": "192.0.2.1"}').status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(50, 56))) == [201, 201, 429, 429, 429, 429]
    services_of(app).twilio.rate_limits.forget_old()
    assert api.send("+12025550160", RateLimits='{"ip": "192.0.2.1"}').status_code == 429


@on_both_databases
def test_attempts_of_both_kinds_are_paged_in_one_order(api: Verify) -> None:
    api.post(api.path, {"CustomCodeEnabled": "true"})
    sids = [
        api.send(f"+120255501{number}", **({"CustomCode": "4711"} if number % 2 else {})).get_json()["sid"]
        for number in range(70, 75)
    ]
    api.post(f"{api.path}/Verifications/{sids[1]}", {"Status": "approved"})
    found, path, query = [], "/twilio/v2/Attempts", {"PageSize": "2", "Channel": "call"}
    for page in range(3):
        listed = api.get(path, **query).get_json()
        assert (listed["meta"]["page"], listed["meta"]["key"]) == (page, "attempts")
        found += [attempt["verification_sid"] for attempt in listed["attempts"]]
        following = urlsplit(listed["meta"]["next_page_url"] or "")
        query = dict(parse_qsl(following.query))
    assert (found, query) == (sids[::-1], {})
    converted = api.get(path, Status="CONVERTED").get_json()["attempts"]
    assert [attempt["verification_sid"] for attempt in converted] == [sids[1]]
    assert [attempt["channel_data"]["status"] for attempt in converted] == ["confirmed"]
    summary = api.get(f"{path}/Summary", DestinationPrefix="+1202").get_json()
    assert (summary["total_attempts"], summary["conversion_rate_percentage"]) == (5, "20.0")
    assert api.get(f"{path}/Summary", DestinationPrefix="%").get_json()["total_attempts"] == 0


def test_a_wait_is_said_in_seconds(api: Verify) -> None:
    api.send()
    refused = api.send()
    assert code_of(refused) == (429, 20429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 30


HOSTILE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Verifications", {}),
    ("Verifications", {"To": PHONE}),
    ("Verifications", {"To": "☎️" * 10, "Channel": "call"}),
    ("Verifications", {"To": "+1 202", "Channel": "call"}),
    ("Verifications", {"To": "+" + "9" * 5000, "Channel": "call"}),
    ("Verifications", {"To": PHONE, "Channel": "call", "Locale": "x" * 36}),
    ("Verifications", {"To": PHONE, "Channel": "call", "CustomFriendlyName": "\x00"}),
    ("Verifications", {"To": PHONE, "Channel": "call", "RateLimits": "[1]"}),
    ("Verifications", {"To": PHONE, "Channel": "call", "RateLimits": '{"ip": {"a": 1}}'}),
    ("Verifications", {"To": PHONE, "Channel": "call", "RateLimits": '{"ip": ""}'}),
    ("Verifications", {"To": PHONE, "Channel": "call", "RateLimits": '{"\\u0000": "1"}'}),
    ("Verifications", {"To": PHONE, "Channel": "call", "RateLimits": "{" * 3000}),
    ("VerificationCheck", {"Code": "123456"}),
    ("VerificationCheck", {"To": PHONE}),
    ("VerificationCheck", {"To": PHONE, "Code": "🔑🔑🔑🔑"}),
    ("VerificationCheck", {"To": PHONE, "Code": "1" * 11}),
    ("VerificationCheck", {"VerificationSid": "VE1", "Code": "123456"}),
    ("RateLimits", {}),
    ("RateLimits", {"UniqueName": "ip", "Description": "x" * 256}),
    ("RateLimits/ip/Buckets", {"Max": 1}),
    ("RateLimits/ip/Buckets", {"Max": "-1", "Interval": 60}),
    ("RateLimits/ip/Buckets", {"Max": "1e3", "Interval": 60}),
    ("RateLimits/ip/Buckets", {"Max": "٣", "Interval": 60}),
    ("RateLimits/ip/Buckets", {"Max": 0, "Interval": 60}),
    ("RateLimits/ip/Buckets", {"Max": 1, "Interval": 99_999_999_999}),
    ("", {"CodeLength": 11}),
    ("", {"CodeLength": "six"}),
    ("", {"CustomCodeEnabled": "maybe"}),
    ("", {"FriendlyName": "<b>Acme</b>"}),
    ("", {"FriendlyName": "x" * 61}),
)


def test_what_is_wrong_is_a_clear_400_and_nothing_is_called(api: Verify) -> None:
    api.post(f"{api.path}/RateLimits", {"UniqueName": "ip"})
    for part, form in HOSTILE:
        answer = api.post(f"{api.path}/{part}".rstrip("/"), form)
        assert code_of(answer) == (400, 60200), (part, form, answer.text)
        assert answer.get_json()["message"].startswith("Invalid parameter: "), answer.text
    assert api.get("/twilio/v2/Attempts").get_json()["attempts"] == []


WRONG_QUERIES = (
    (SERVICES, {"PageSize": "0"}),
    (SERVICES, {"PageSize": "many"}),
    (SERVICES, {"PageToken": "x"}),
    ("/twilio/v2/Attempts", {"PageToken": "x"}),
    ("/twilio/v2/Attempts", {"DateCreatedAfter": "yesterday"}),
    ("/twilio/v2/Attempts", {"Country": "Germany"}),
    ("/twilio/v2/Attempts", {"Status": "maybe"}),
    ("/twilio/v2/Attempts", {"Channel": "email"}),
    ("/twilio/v2/Attempts", {"VerifyServiceSid": "me"}),
    ("/twilio/v2/Attempts", {"ChannelData.To": "me"}),
    ("/twilio/v2/Attempts/Summary", {"DateCreatedBefore": "🕰"}),
)


def test_a_wrong_query_is_named(api: Verify) -> None:
    for path, query in WRONG_QUERIES:
        answer = api.get(path, **query)
        assert code_of(answer) == (400, 60200), (path, query)
        assert next(iter(query)).rpartition(".")[2] in answer.get_json()["message"]


@on_both_databases
def test_what_can_be_no_id_is_404_or_no_phone(api: Verify) -> None:
    for sid in ("VE", NOT_OURS, "x" * 2000, "☎", "%00", "..%2f", "+1"):
        assert code_of(api.get(f"{api.path}/Verifications/{sid}")) in ((404, 20404), (400, 60200)), sid
        for path in (f"{SERVICES}/{sid}", f"{api.path}/RateLimits/{sid}", f"/twilio/v2/Attempts/{sid}"):
            assert code_of(api.get(path)) == (404, 20404), path


def test_other_methods_addresses_types_and_sizes_are_refused_in_twilio_s_shape(api: Verify) -> None:
    assert code_of(api.client.put(SERVICES, headers=api.headers)) == (405, 20004)
    assert code_of(api.get("/twilio/v2/Nothing")) == (404, 20404)
    assert code_of(api.get("/twilio/2010-04-01/Accounts")) == (404, 20404)
    huge = {"To": PHONE, "Channel": "call", "CustomMessage": "x" * 10_000_000}
    assert code_of(api.post(f"{api.path}/Verifications", huge)) == (413, 60200)
    json = api.client.post(f"{api.path}/Verifications", json={"To": PHONE, "Channel": "call"}, headers=api.headers)
    assert code_of(json) == (400, 60200)


def test_parameters_that_are_not_known_are_ignored(api: Verify) -> None:
    assert (
        api.send(Tags='{"a":"b"}', AppHash="x", TemplateSid="HJ1", RiskCheck="enable", Whatever="🙂").status_code == 201
    )


def test_an_owner_has_no_more_services_than_it_may(app: Flask) -> None:
    api = api_of(app)
    for _ in range(MAX_SERVICES):
        api = api.with_service()
    assert code_of(api.post(SERVICES, {"FriendlyName": "One more"})) == (409, 20409)


def test_no_code_token_or_whole_phone_reaches_the_log(api: Verify, log_output: LogOutput) -> None:
    api.post(api.path, {"CustomCodeEnabled": "True"})
    api.send("+12025550177", CustomCode="83291")
    api.get(f"{api.path}/Verifications/+12025550177")
    replace(api, token="lt_nothing_real").get(f"{api.path}/Verifications/+12025550177")
    api.send()
    api.check("918273")
    written = log_output.getvalue()
    assert "/twilio/v2/Services/<service_sid>/Verifications" in written
    for secret in ("83291", "918273", "2025550177", "2025550142", api.token):
        assert secret not in written


def test_changes_are_in_the_audit_trail(app: Flask, api: Verify) -> None:
    sid = api.send().get_json()["sid"]
    api.post(api.path, {"CodeLength": 8})
    api.post(f"{api.path}/RateLimits", {"UniqueName": "ip"})
    api.post(f"{api.path}/Verifications/{sid}", {"Status": "approved"})
    api.client.delete(api.path, headers=api.headers)
    services_of(app).audit.flush()
    listed = (
        app.test_client().get("/api/audit", headers={"Authorization": f"Bearer {issue_token(app, 'admin')}"}).get_json()
    )
    actions = [entry["action"] for entry in listed["entries"]]
    for action in ("created", "updated", "deleted"):
        assert f"verify_service.{action}" in actions
    assert {"verify_rate_limit.created", "verification.approved"} <= set(actions)
    assert code_of(api.get(f"{api.path}/Verifications/{sid}")) == (404, 20404)
