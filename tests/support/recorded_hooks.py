"""What connected systems send: a request of each kind, as its own source or documentation has it, named in `source`.

Only the phone and the code are ours, so that tests can tell calls apart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import standardwebhooks

Headers = dict[str, str]
Sign = Callable[[list[str], bytes, datetime], Headers]
Body = Callable[[str, str], dict[str, Any]]

UUID = "9d3f6c1a-8e35-4a39-9c5f-0b5f6f2f7a11"


@dataclass(frozen=True, slots=True)
class Recorded:
    """`body` is for a phone in E.164 and a code. `sign` makes the headers that prove it, with each of some secrets."""

    source: str
    body: Body
    sign: Sign
    shows: str  # what its user is shown of a refusal: see `shown_to_user`
    sends_plus: bool = True
    has_timestamp: bool = False
    is_text: bool = False
    makes_secret: bool = False


def bearer(secrets: list[str], _body: bytes, _now: datetime) -> Headers:
    return {"Authorization": f"Bearer {secrets[0]}", "Content-Type": "application/json"}


def basic(secrets: list[str], _body: bytes, _now: datetime) -> Headers:
    credentials = base64.b64encode(f"letstalk:{secrets[0]}".encode()).decode()
    return {"Authorization": f"Basic {credentials}", "Content-Type": "application/json", "User-Agent": "otpgateway"}


def as_supabase(secrets: list[str], body: bytes, now: datetime, joined_by: str = ", ") -> Headers:
    """As hookshttp.go does, with the library of Standard Webhooks: a new id for each try."""
    message_id, timestamp = str(uuid4()), now
    signatures = []
    for secret in secrets:
        assert secret.startswith("v1,whsec_"), "Supabase takes no other secret"
        webhook = standardwebhooks.Webhook(secret.removeprefix("v1,"))
        signatures.append(webhook.sign(message_id, timestamp, body.decode()))
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(timestamp.timestamp())),
        "webhook-signature": joined_by.join(signatures),
        "Accept-Encoding": "identity",
    }


def as_zitadel(secrets: list[str], body: bytes, now: datetime) -> Headers:
    """As ComputeSignatureHeader of zitadel/pkg/actions does."""
    seconds = int(now.timestamp())
    signed = f"{seconds}.".encode() + body
    parts = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return {"ZITADEL-Signature": ",".join([f"t={seconds}", *parts]), "Content-Type": "application/json"}


def as_authgear(secrets: list[str], body: bytes, _now: datetime) -> Headers:
    signature = hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()
    return {"x-authgear-body-signature": signature, "Content-Type": "application/json"}


RECORDED: dict[str, Recorded] = {
    "supabase": Recorded(
        source="supabase/auth, internal/hooks/v0hooks/v0hooks.go, SendSMSInput, snapshot of 2026-08-20",
        body=lambda phone, code: {
            "metadata": {"uuid": str(uuid4()), "time": "2026-11-29T10:00:00Z", "name": "send-sms", "ip_address": "::1"},
            "user": {
                "id": UUID,
                "aud": "authenticated",
                "role": "authenticated",
                "email": "",
                "phone": phone.removeprefix("+"),
                "app_metadata": {"provider": "phone", "providers": ["phone"]},
                "user_metadata": {"locale": "de"},
                "identities": [],
                "created_at": "2026-11-29T10:00:00Z",
                "updated_at": "2026-11-29T10:00:00Z",
                "is_anonymous": False,
            },
            "sms": {"otp": code, "phone": phone.removeprefix("+"), "sms_type": "mfa"},
        },
        sign=as_supabase,
        shows="gotrue",
        sends_plus=False,
        has_timestamp=True,
    ),
    "logto": Recorded(
        source="@logto/connector-http-sms 0.2.1 (npm), lib/index.js; run for real in test_real_systems.py",
        body=lambda phone, code: {
            "to": phone.removeprefix("+"),
            "type": "SignIn",
            "payload": {"code": code, "locale": "de", "uiLocales": "de en"},
            "ip": "203.0.113.7",
        },
        sign=bearer,
        shows="status",
        sends_plus=False,
    ),
    "authentik": Recorded(
        source="goauthentik/authentik, authentik/stages/authenticator_sms/models.py, send_generic, at 048be7d",
        body=lambda phone, code: {
            "From": "1234",
            "To": phone,
            "Body": code,
            "Message": f"Use this code to authenticate in authentik: {code}",
        },
        sign=bearer,
        shows="body",
    ),
    "zitadel": Recorded(
        source="ZITADEL's documentation of HTTP providers, and two receivers that read these names",
        body=lambda phone, code: {
            "contextInfo": {
                "eventType": "user.human.phone.code.added",
                "provider": {"id": "285181292935381355", "description": "test"},
                "recipientPhoneNumber": phone,
            },
            "templateData": {
                "title": "Zitadel - Verify phone",
                "preHeader": "Verify phone",
                "subject": "Verify phone",
                "greeting": "Hello Ada,",
                "text": f"A new phone number has been added. Please use the following code to verify it {code}.",
            },
            "args": {"changeDate": "2026-11-29T10:00:00Z", "code": code, "displayName": "Ada", "lastPhone": phone},
        },
        sign=as_zitadel,
        shows="nothing",
        has_timestamp=True,
        makes_secret=True,
    ),
    "kratos": Recorded(
        source="what our jsonnet makes of ory/kratos, courier/http_channel.go; run for real in test_real_systems.py",
        body=lambda phone, code: {"phone": phone, "code": code, "locale": "de", "type": "login_code_valid"},
        sign=bearer,
        shows="nothing",
    ),
    "authgear": Recorded(
        source="authgear/authgear-server, pkg/lib/infra/sms/custom/model.go at afb28d1, docs/specs/sms_gateway.md",
        body=lambda phone, code: {
            "to": phone,
            "body": f"{code} is your Myapp verification code",
            "app_id": "myapp",
            "template_name": "verification_sms.txt",
            "language_tag": "de",
            "template_variables": {"code": code},
        },
        sign=as_authgear,
        shows="authgear",
        makes_secret=True,
    ),
    "fusionauth": Recorded(
        source="FusionAuth's documentation of the Generic Messenger, version 1.65",
        body=lambda phone, code: {
            "code": code,
            "phoneNumber": phone,
            "message": f"Your verification code is {code}",
            "textMessage": f"Two Factor Code: {code}",
            "type": "Voice",
            "userId": "00000000-0000-0001-0000-000000000001",
        },
        sign=basic,
        shows="status",
    ),
    "otpgateway": Recorded(
        source="knadh/otpgateway, internal/providers/webhook/webhook.go at 7574dc8, pkg/models",
        body=lambda phone, code: {
            "otp": {
                "namespace": "MyApp",
                "id": "uniqueIDForJohnDoe",
                "to": phone,
                "channel_description": "",
                "address_description": "",
                "extra": {},
                "provider": "voice",
                "otp": code,
                "max_attempts": 5,
                "attempts": 1,
                "generate": 1,
                "max_generate": 3,
                "closed": False,
                "ttl": 300,
            },
            "subject": "MyApp: verification",
            "body": f"Your code is {code}",
        },
        sign=basic,
        shows="nothing",
    ),
    "keycloak": Recorded(
        source="netzbegruenung/keycloak-mfa-plugins, gateway/ApiSmsService.java, json_request, at 20e56da",
        body=lambda phone, code: {
            "": "changeme",
            "text": f"Your SMS code is {code} and is valid for 5 minutes.",
            "to": phone,
            "from": "Keycloak",
        },
        sign=basic,
        shows="nothing",
        is_text=True,
    ),
    "auth0": Recorded(
        source="our own Action; run for real in test_real_systems.py",
        body=lambda phone, code: {"phone": f"{phone[:2]}-{phone[2:]}", "code": code, "locale": "de-DE"},
        sign=bearer,
        shows="status",
    ),
    "generic": Recorded(
        source="our own guide",
        body=lambda phone, code: {"phone": phone, "code": code, "locale": "de"},
        sign=bearer,
        shows="status",
    ),
}


def shown_to_user(kind: str, status: int, content_type: str | None, text: str) -> tuple[int, str] | None:
    """(status, words) that the user of the other system gets of a refusal, as its source makes it; None: nothing.

    For supabase, supabase/auth's runHTTPHook; for authentik, ValidationError(response.text); for authgear,
    handleResponse. The others show words of their own: there it is our status, and what they log.
    """
    recorded = RECORDED[kind]
    if recorded.shows == "nothing":
        return None
    if recorded.shows == "gotrue":
        return _by_gotrue(status, content_type, text)
    if recorded.shows == "body":
        assert status >= 400
        return status, text
    if recorded.shows == "authgear":
        answer = json.loads(text)
        assert answer["code"] != "ok"
        return status, f"{answer['code']}: {answer['description']}"
    assert status >= 400
    return status, json.loads(text)["error"]


def _by_gotrue(status: int, content_type: str | None, text: str) -> tuple[int, str]:
    if status in (200, 202):
        assert (content_type or "").partition(";")[0] == "application/json", "Invalid Content-Type"
        error = json.loads(text).get("error")
        assert error is not None, "it was accepted"
        return error["http_code"], error["message"]
    sentences = {400: "Invalid payload sent to hook", 401: "Hook requires authorization token"}
    return 500, sentences.get(status, f"Unexpected status code returned from hook: {status}")
