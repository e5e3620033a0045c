"""Each kind of system: what is called for its requests, what is refused, and what its user is shown then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from letstalk.connect.kinds import KINDS
from letstalk.connect.models import Pointers
from letstalk.core.errors import InvalidRequest
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from tests.support.apps import TurnableClock, make_app, services_of
from tests.support.hooks import ConnectedSystem
from tests.support.recorded_hooks import RECORDED, as_supabase, shown_to_user

CODE, OTHER_CODE = "048213", "771204"
BLOCKED_PHONE = "+85021234567"  # North Korea
OFF = dict.fromkeys(("RATE_LIMIT_OWNER", "RATE_LIMIT_COUNTRY", "RATE_LIMIT_BLOCK", "RATE_LIMIT_PHONE_ALL"), "off")

Connect = Callable[..., ConnectedSystem]
every_kind = pytest.mark.parametrize("kind", KINDS)
stamped_kinds = pytest.mark.parametrize("kind", [kind for kind in KINDS if RECORDED[kind].has_timestamp])


@pytest.fixture(scope="module")
def key() -> str:
    return make_encryption_key()


@pytest.fixture(scope="module")
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, key: str, clock: TurnableClock) -> Flask:
    folder: Path = tmp_path_factory.mktemp("kinds")
    return make_app(folder, clock, ENCRYPTION_KEYS=key, BLOCKED_COUNTRIES="KP", MAX_CONCURRENT_CALLS="10000", **OFF)


@pytest.fixture
def connect(app: Flask, clock: TurnableClock, key: str) -> Connect:
    return lambda kind, **settings: ConnectedSystem(app, clock, Vault((key,)), kind, settings)


def test_every_kind_is_recorded_and_named_with_its_source() -> None:
    assert set(KINDS) == set(RECORDED)
    assert all(recorded.source for recorded in RECORDED.values())


@every_kind
def test_the_code_is_spoken_to_the_phone_and_the_system_is_told_so(
    connect: Connect, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    system = connect(kind)
    phone = system.phone()
    answer = system.send(phone, CODE)
    assert 200 <= answer.status_code < 300
    if kind == "supabase":
        assert (answer.mimetype, answer.get_json()) == ("application/json", {})
    if kind == "authgear":
        assert answer.get_json() == {"code": "ok"}
    [(called, said, locale)] = system.called()
    assert (called, said) == (phone, CODE)
    has_locale = kind in ("supabase", "logto", "kratos", "authgear", "auth0", "generic")
    assert (locale or "").startswith("de") is has_locale
    [found] = system.deliveries()
    assert (found.delivery.outcome.value, found.call_status) == ("called", "queued")
    assert found.delivery.phone == f"{phone[:5]}…{phone[-2:]}"
    written = "".join(capfd.readouterr()) + repr(system.deliveries()) + answer.text
    assert CODE not in written
    assert phone not in written
    assert system.path not in written


@every_kind
def test_a_wrong_secret_and_a_changed_body_call_nobody(connect: Connect, kind: str) -> None:
    system = connect(kind)
    other = connect(kind)
    body = system.body(system.phone(), CODE)
    wrong = ["not-the-signing-key-of-anybody"] if RECORDED[kind].makes_secret else other.secrets
    answers = [system.post(body, system.sign(body, wrong)), system.post(body, {"Content-Type": "application/json"})]
    if kind in ("supabase", "zitadel", "authgear"):
        changed = body.replace(CODE.encode(), OTHER_CODE.encode())
        answers.append(system.post(changed, system.sign(body)))
    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert set(system.outcomes()) == {("refused", "invalid_signature")}
    assert {found.delivery.phone for found in system.deliveries()} == {None}
    assert system.called() == []
    shown = shown_to_user(kind, 401, answers[0].mimetype, answers[0].text)
    if kind == "supabase":
        assert shown == (500, "Hook requires authorization token")
    elif kind == "authgear":
        assert shown is not None
        assert shown[1].startswith("authentication_failed: ")
    elif shown is not None:
        assert shown == (401, "The Authorization header does not have the secret of this connection.")


@every_kind
def test_a_secret_in_the_address_or_in_the_body_proves_nothing(connect: Connect, kind: str) -> None:
    system = connect(kind)
    [secret] = system.secrets
    body = system.body(system.phone(), CODE, secret=secret, token=secret, access_token=secret)
    named = urlencode(dict.fromkeys(("secret", "token", "access_token", "key", "Authorization"), secret))
    answer = system.post(body, {"Content-Type": "application/json"}, f"{system.path}?{named}")
    assert answer.status_code == 401
    assert system.called() == []


@stamped_kinds
@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_signature_and_one_of_the_future_are_refused(connect: Connect, kind: str, seconds: int) -> None:
    system = connect(kind)
    body = system.body(system.phone(), CODE)
    assert system.post(body, system.sign(body, seconds=seconds)).status_code == 401
    assert "300 s" in (system.deliveries()[0].delivery.reason or "")
    assert system.called() == []


@every_kind
def test_the_same_delivery_again_is_one_call(connect: Connect, kind: str, clock: TurnableClock) -> None:
    system = connect(kind)
    body = system.body(system.phone(), CODE)
    headers = system.sign(body)
    first = system.post(body, headers)
    again = system.post(body, headers)
    assert (first.status_code, first.text) == (again.status_code, again.text)
    if RECORDED[kind].has_timestamp:  # its signature still counts when the code no longer tells
        clock.move(200)
        assert system.post(body, headers).status_code == first.status_code
    assert len(system.called()) == 1
    assert [outcome for outcome, _ in system.outcomes()] == ["called"] + ["repeated"] * (len(system.outcomes()) - 1)


@every_kind
def test_a_retry_with_a_new_id_is_the_same_call(connect: Connect, kind: str, clock: TurnableClock) -> None:
    system = connect(kind)
    body = system.body(system.phone(), CODE)
    first = system.post(body, system.sign(body))
    clock.move(2)
    assert system.post(body, system.sign(body)).text == first.text
    assert len(system.called()) == 1


@every_kind
def test_both_secrets_count_while_one_replaces_the_other(connect: Connect, kind: str, clock: TurnableClock) -> None:
    system = connect(kind)
    service = services_of(system.app).connections.service
    given = "the-second-signing-key-of-theirs" if RECORDED[kind].makes_secret else None
    rotated = service.rotate_secret(system.actor, system.connection_id, 60, given)
    old, new = system.secrets[0], str(rotated.secret)

    def status(secrets: list[str]) -> int:
        body = system.body(system.phone(), CODE)
        return system.post(body, system.sign(body, secrets)).status_code

    assert [status([old]), status([new])] == [200, 200]
    clock.move(61)
    assert [status([old]), status([new])] == [401, 200]
    if kind in ("supabase", "zitadel"):  # they sign with both
        assert [status([old, new]), status([new, old])] == [200, 200]
        assert status([old, old]) == 401


@every_kind
def test_a_phone_is_read_with_and_without_its_plus(connect: Connect, kind: str) -> None:
    system = connect(kind)
    phones = [system.phone() for _ in range(3)]
    digits = phones[0].removeprefix("+")
    forms = [digits, phones[1], f"00{phones[2].removeprefix('+')}"]
    for phone, form in zip(phones, forms, strict=True):
        body = system.body_as(phone, form, CODE)
        assert system.post(body, system.sign(body)).status_code == 200
    assert [phone for phone, _, _ in system.called()] == phones


@every_kind
def test_a_national_number_needs_the_country_of_the_connection(connect: Connect, kind: str) -> None:
    if KINDS[kind].is_international:
        with pytest.raises(InvalidRequest, match="always sends international numbers"):
            connect(kind, default_region="UG")
        return
    system, international = connect(kind, default_region="UG"), connect(kind)
    phone = system.phone()
    for one, wanted in ((system, [phone]), (international, [])):
        body = one.body_as(phone, "0" + phone.removeprefix("+256"), CODE)
        one.post(body, one.sign(body))
        assert [called for called, _, _ in one.called()] == wanted
    assert international.outcomes() == [("refused", "invalid_phone")]


@every_kind
def test_a_refused_country_is_said_as_the_system_shows_it(connect: Connect, kind: str) -> None:
    system = connect(kind)
    answer = system.send(BLOCKED_PHONE, CODE)
    sentence = "Calls to this country are not permitted."
    shown = {"nothing": None, "authgear": (403, f"delivery_rejected: {sentence}")}.get(
        RECORDED[kind].shows, (403, sentence)
    )
    assert shown_to_user(kind, answer.status_code, answer.mimetype, answer.text) == shown
    assert system.outcomes() == [("refused", "destination_blocked")]
    assert system.called() == []


@every_kind
def test_asking_too_soon_says_when_to_ask_again(connect: Connect, kind: str) -> None:
    system = connect(kind)
    phone = system.phone()
    system.send(phone, CODE)
    answer = system.send(phone, OTHER_CODE)
    shown = shown_to_user(kind, answer.status_code, answer.mimetype, answer.text)
    if shown is not None:
        assert shown[0] == 429
        assert "Wait before asking again. You can try again in" in shown[1]
    if kind == "supabase":
        assert "Retry-After" not in answer.headers, "Supabase would ask again at once"
    else:
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert [called[1] for called in system.called()] == [CODE]


WRONG_BODIES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda _body: b""),
    ("no JSON", lambda body: body[:-1]),
    ("a list", lambda body: b"[" + body + b"]"),
    ("other types", lambda _body: b'{"to": 1, "phone": [], "code": {}, "sms": 7, "args": "x", "otp": null, "Body": 1}'),
    ("deep", lambda _body: b'{"a":' * 5000 + b"1" + b"}" * 5000),
    ("binary", lambda _body: bytes(range(256))),
    ("emoji", lambda body: body.replace(CODE.encode(), "📞".encode() * 6)),
    ("a long code", lambda body: body.replace(CODE.encode(), b"9" * 5000)),
    ("another language's digits", lambda body: body.replace(CODE.encode(), "٠٤٨٢١٣".encode())),
    ("a sentence", lambda body: body.replace(CODE.encode(), b"Call plus 900 now and pay")),
    ("a lone surrogate", lambda body: body.replace(CODE.encode(), b"\\ud800")),
]


@every_kind
def test_whatever_is_malformed_is_a_4xx_and_calls_nobody(connect: Connect, kind: str) -> None:
    system = connect(kind)
    for name, change in WRONG_BODIES:
        body = change(system.body(system.phone(), CODE))
        answer = system.post(body, system.sign(body) if name != "binary" or kind != "supabase" else {})
        assert 400 <= answer.status_code < 500, (name, answer.status_code, answer.text)
        assert answer.text.strip(), name
    assert system.called() == []
    huge = b"{" + b" " * 70_000 + b"}"
    assert system.post(huge, system.sign(huge)).status_code == 413


TEXTS = [
    ("Your code is 048213.", "048213"),
    ("048213 ist Ihr Code, gültig 5 Minuten", "048213"),
    ("Your code: 048213. @example.com #048213", "048213"),  # the same twice, as WebOTP has it
    ("G-048213 is your code", "048213"),
    ("Your code is valid for 5 minutes", None),
    ("Your code is 12 34 56", None),
    ("Your code is 048213. Questions? Call 5550142.", None),
    ("Codes 0482 and 7712", None),
    ("Your code is A48213B", None),
    ("Number 123456789012", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "said"), TEXTS)
@pytest.mark.parametrize("as_form", [False, True])
def test_exactly_one_code_is_found_in_a_text(connect: Connect, text: str, said: str | None, as_form: bool) -> None:
    system = connect("keycloak")
    fields = {"text": text, "to": system.phone(), "from": "Keycloak"}
    body = urlencode(fields).encode() if as_form else json.dumps(fields).encode()
    headers = system.sign(body)
    if as_form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    answer = system.post(body, headers)
    assert [code for _, code, _ in system.called()] == ([] if said is None else [said])
    assert answer.status_code == (400 if said is None else 200)
    assert ("refused", "invalid_request") in system.outcomes() or said is not None


@pytest.mark.parametrize("body", ["Body", None])
def test_authentik_s_text_is_read_where_it_has_no_code_alone(connect: Connect, body: str | None) -> None:
    system = connect("authentik")
    sent = json.loads(system.body(system.phone(), CODE))
    if body is not None:
        del sent[body]
    content = json.dumps(sent).encode()
    assert system.post(content, system.sign(content)).status_code == 200
    assert [code for _, code, _ in system.called()] == [CODE]


@pytest.mark.parametrize(
    ("types", "sent", "status"),
    [
        (None, "Voice", 200),
        (None, "SMS", 400),
        (("SMS", "Voice"), "SMS", 200),
        (("SMS",), "Voice", 400),
        (None, "Fax", 400),
        (None, None, 400),
    ],
)
def test_fusionauth_has_calls_for_the_types_that_are_allowed(
    connect: Connect, types: tuple[str, ...] | None, sent: str | None, status: int
) -> None:
    system = connect("fusionauth", message_types=types)
    body = system.body(system.phone(), CODE, type=sent)
    answer = system.post(body, system.sign(body))
    assert answer.status_code == status
    assert len(system.called()) == (1 if status == 200 else 0)


@pytest.mark.parametrize("joined_by", [", ", " "])
def test_supabase_may_join_its_signatures_either_way(connect: Connect, joined_by: str) -> None:
    system, other = connect("supabase"), connect("supabase")
    body = system.body(system.phone(), CODE)
    for secrets in (other.secrets + system.secrets, system.secrets + other.secrets):
        assert system.post(body, as_supabase(secrets, body, system.clock(), joined_by)).status_code == 200
    assert len(system.called()) == 1


def test_logto_invitations_have_no_code_and_are_refused(connect: Connect) -> None:
    system = connect("logto")
    invitation: dict[str, Any] = {
        "to": "256700000001",
        "type": "OrganizationInvitation",
        "payload": {"link": "https://x"},
    }
    body = json.dumps(invitation).encode()
    answer = system.post(body, system.sign(body))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    assert "no code" in answer.get_json()["error"]


def test_otpgateway_s_code_lives_as_long_as_it_says(connect: Connect) -> None:
    system = connect("otpgateway")
    sent = json.loads(system.body(system.phone(), CODE))
    sent["otp"]["ttl"] = 1
    body = json.dumps(sent).encode()
    assert system.post(body, system.sign(body)).status_code == 200


def test_any_json_can_be_read_by_pointers(connect: Connect) -> None:
    system = connect("generic", pointers=Pointers("/message/to/0", "/message/vars/a~1b", None))
    phone = system.phone()
    body = json.dumps({"message": {"to": [phone], "vars": {"a/b": CODE}}}).encode()
    assert system.post(body, system.sign(body)).status_code == 200
    assert system.called() == [(phone, CODE, None)]


@every_kind
def test_a_test_goes_all_the_way(connect: Connect, kind: str) -> None:
    system = connect(kind)
    phone = system.phone()
    hooks = services_of(system.app).connections.hooks
    answer = hooks.send_test(system.actor, system.connection_id, phone)
    assert (answer.error, answer.reply.status) == (None, 200)
    assert [called for called, _, _ in system.called()] == [phone]
    [found] = system.deliveries()
    assert (found.delivery.is_test, found.delivery.outcome.value) == (True, "called")
    refused = hooks.send_test(system.actor, system.connection_id, BLOCKED_PHONE)
    assert (refused.delivery.outcome.value, refused.delivery.code) == ("refused", "destination_blocked")
