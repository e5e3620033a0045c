"""Others' software against a served application: Logto's connector, Auth0's Action, Supabase's signer, a jsonnet."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rjsonnet
from flask import Flask
from werkzeug.serving import make_server

from letstalk.connect.kinds import KINDS
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from tests.support.apps import TurnableClock, make_app
from tests.support.hooks import ConnectedSystem
from tests.support.npm_packages import installed_modules
from tests.support.recorded_hooks import RECORDED
from tests.support.services import needed, node_binary

PACKAGES = Path(__file__).parents[1] / "support" / "connected"
CODE = "048213"
Send = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass
class Served:
    app: Flask
    base: str
    key: str

    def connect(self, kind: str) -> ConnectedSystem:
        return ConnectedSystem(self.app, TurnableClock(), Vault((self.key,)), kind)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    key = make_encryption_key()
    app = make_app(tmp_path_factory.mktemp("served"), ENCRYPTION_KEYS=key, BLOCKED_COUNTRIES="KP")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Served(app, f"http://127.0.0.1:{server.server_port}", key)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def send() -> Send:
    """Has Node send messages as the systems do, and tells what each made of the answer."""
    modules = needed("@logto/connector-http-sms, by npm", installed_modules(PACKAGES))
    node = needed("Node", node_binary())

    def run(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        command: list[str | Path] = [node, PACKAGES / "send.mjs", modules]
        done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_logto_s_own_connector_has_its_codes_spoken(served: Served, send: Send) -> None:
    system = served.connect("logto")
    phone = system.phone()
    [endpoint, token] = [
        step.lines(f"{served.base}{system.path}", system.secrets[0]) for step in KINDS["logto"].guide[:2]
    ]
    config = {"endpoint": endpoint, "authorization": token}
    message = {"to": phone.removeprefix("+"), "type": "SignIn", "payload": {"code": CODE, "locale": "fr"}}
    blocked = {**message, "to": "85021234567"}
    invitation = {"to": message["to"], "type": "OrganizationInvitation", "payload": {"link": "https://x.example"}}
    answers = send(
        [
            {"logto": {"config": config, "message": message}},
            {"logto": {"config": config, "message": blocked}},
            {"logto": {"config": config, "message": invitation}},
            {"logto": {"config": {**config, "authorization": "Bearer wrong-secret"}, "message": message}},
        ]
    )
    assert [answer["sent"] for answer in answers] == [True, False, False, False]
    assert system.called() == [(phone, CODE, "fr")]
    told = json.dumps([answer.get("data") for answer in answers[1:]])
    for sentence in ("Calls to this country are not permitted.", "has no code", "does not have the secret"):
        assert sentence in told


def test_the_action_of_the_guide_has_auth0_s_codes_spoken(served: Served, send: Send) -> None:
    system = served.connect("auth0")
    phone = system.phone()
    action = KINDS["auth0"].guide[0].lines(f"{served.base}{system.path}", "")
    nowhere = KINDS["auth0"].guide[0].lines("http://127.0.0.1:9/", "")
    secrets = {"LETSTALK_KEY": system.secrets[0]}
    example = {  # of Auth0's documentation of the event of custom-phone-provider
        "as_text": f"Your verification code is: {CODE}",
        "as_voice": "Hello, your one time code is …",
        "delivery_method": "voice",
        "message_type": "otp_verify",
        "recipient": f"{phone[:4]}-{phone[4:7]}-{phone[7:]}",
        "code": CODE,
        "locale": "fr-FR",
    }
    blocked = {**example, "recipient": "+850-2-1234567"}
    without_code = {**example, "code": None, "message_type": "blocked_account"}
    told = send(
        [
            {"auth0": {"action": action, "notification": example, "secrets": secrets}},
            {"auth0": {"action": action, "notification": blocked, "secrets": secrets}},
            {"auth0": {"action": action, "notification": without_code, "secrets": secrets}},
            {"auth0": {"action": action, "notification": example, "secrets": {"LETSTALK_KEY": "wrong"}}},
            {"auth0": {"action": nowhere, "notification": example, "secrets": secrets}},
        ]
    )
    assert told == [
        {},
        {"dropped": "Calls to this country are not permitted."},
        {"dropped": "A call says codes only: blocked_account has none."},
        {"dropped": "The Authorization header does not have the secret of this connection."},
        {"retried": "The call service could not be reached."},
    ]
    assert system.called() == [(phone, CODE, "fr-FR")]


@pytest.mark.parametrize("separator", [", ", " "])
def test_supabase_s_signer_of_npm_is_accepted(served: Served, send: Send, separator: str) -> None:
    system, other = served.connect("supabase"), served.connect("supabase")
    url = f"{served.base}{system.path}"
    phone = system.phone()
    body = system.body(phone, CODE).decode()
    good = {"url": url, "body": body, "join": separator}
    answers = send(
        [
            {"supabase": {**good, "secrets": system.secrets}},
            {"supabase": {**good, "secrets": other.secrets + system.secrets}},
            {"supabase": {**good, "secrets": other.secrets}},
        ]
    )
    assert [answer["status"] for answer in answers] == [200, 200, 401]
    assert [answer["answer"] for answer in answers[:2]] == [{}, {}]
    assert [called for called, _, _ in system.called()] == [phone]


@pytest.mark.parametrize("field", ["login_code", "registration_code", "verification_code", "recovery_code"])
def test_the_jsonnet_of_the_guide_finds_each_of_kratos_s_codes(field: str) -> None:
    data = {field: CODE, "to": "+12025550142", "expires_in_minutes": 15}
    identity = {"identity": {"id": "x", "traits": {"phone": "+12025550142", "locale": "fr"}}}
    common = {"recipient": "+12025550142", "subject": "", "body": "", "template_type": "x", "message_type": "sms"}
    jsonnet = KINDS["kratos"].guide[0].code
    assert jsonnet is not None
    for extra, locale in (
        (identity, "fr"),
        ({"identity": None}, None),
        ({}, None),
        ({"identity": {"traits": 1}}, None),
    ):
        context = json.dumps({**common, "template_data": {**data, **extra}})
        made = json.loads(rjsonnet.evaluate_snippet("letstalk", jsonnet, tla_codes={"ctx": context}))
        assert made == {"phone": "+12025550142", "code": CODE, "locale": locale, "type": "x"}
    assert set(RECORDED["kratos"].body("+1", "1")) == {"phone", "code", "locale", "type"}
