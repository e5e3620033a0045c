"""Try it: a real verification from the browser, with the limits of the token, and each response as the API gives it."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from letstalk.calls.repository import update_call
from letstalk.core.actors import CustomMessage
from letstalk.core.clock import utc_now
from letstalk.core.secret_files import make_encryption_key
from letstalk.observability.redaction import mask_phone
from letstalk.tokens.models import NewToken
from letstalk.verifications.request_examples import ApiRequestExample, as_curl, in_every_language
from tests.support.apps import OWNER, PHONE, code_of, make_app, services_of
from tests.support.pages import Visitor, a_visitor, audited_in, the_owner

TRY = "/dashboard/try"
KEY = make_encryption_key()
RESPONSE = re.compile(r'id="response-body"[^>]*><code>(.*?)</code>', re.DOTALL)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=KEY)


def a_token(app: Flask, *scopes: str, owner_id: str = "acme", **fields: object) -> str:
    """The id of a new token."""
    wanted = NewToken(owner_id=owner_id, scopes=scopes or ("write",), **fields)  # type: ignore[arg-type]
    return services_of(app).tokens.create_token(OWNER, wanted).record.token_id


def developer(app: Flask) -> Visitor:
    return a_visitor(app, "dev", "developer", owner_ids=("acme",))


def response_of(page: TestResponse) -> dict[str, object]:
    """The response that the page shows, as it came."""
    assert page.status_code == 200, page.text
    found = RESPONSE.search(page.text)
    assert found, page.text
    content: dict[str, object] = json.loads(unescape(found[1]))
    return content


def test_a_code_is_sent_checked_wrong_and_checked_right(app: Flask, tmp_path: Path) -> None:
    token_id = a_token(app, name="Web shop")
    visitor = developer(app)
    page = visitor.post(TRY, token_id=token_id, phone=PHONE, reference="order-1", submission="one")
    sent = response_of(page)
    assert (sent["status"], sent["phone"], sent["reference"]) == ("pending", PHONE, "order-1")
    assert "202 Accepted" in page.text
    verification_id = str(sent["verification_id"])
    code = code_of(tmp_path, KEY, verification_id)
    assert code not in page.text

    kept = {"token_id": token_id, "verification_id": verification_id, "phone": PHONE}
    wrong = visitor.post(f"{TRY}/check", **kept, code=f"{(int(code) + 1) % 10**6:06d}")
    assert (response_of(wrong)["code"], response_of(wrong)["attempts_remaining"]) == ("invalid_code", 4)
    assert unescape(wrong.text).count("<the code that was typed>") == 3
    assert f"{(int(code) + 1) % 10**6:06d}" not in wrong.text
    assert response_of(visitor.post(f"{TRY}/replay", **kept))["code"] == "replay_too_soon"
    right = visitor.post(f"{TRY}/check", **kept, code=code)
    assert (response_of(right)["verified"], "200 OK" in right.text) == (True, True)
    told = services_of(app).browsing.tell(OWNER, verification_id)
    assert (told.verification.token_id, told.verification.owner_id) == (token_id, "acme")
    (event,) = audited_in(app, "verification.tried")
    assert (event.actor_account_id, event.token_id) == (visitor.account_id, token_id)


def test_a_form_that_is_sent_again_calls_nobody_twice(app: Flask) -> None:
    token_id, visitor = a_token(app), developer(app)
    form = {"token_id": token_id, "phone": PHONE, "submission": "one"}
    first, again = response_of(visitor.post(TRY, **form)), response_of(visitor.post(TRY, **form))
    assert first == again
    other = response_of(visitor.post(TRY, **{**form, "reference": "another"}))
    assert other["code"] == "resend_too_soon"  # another request, which the same submission does not hold back


def test_the_token_limits_the_trial_as_it_limits_its_program(app: Flask) -> None:
    visitor = developer(app)
    refused = {
        "insufficient_scope": a_token(app, "otp:send"),
        "address_not_allowed": a_token(app, allowed_ips=("198.51.100.7",)),
        "rate_limited": a_token(app, rate_limit="1 per hour"),
        "not_found": a_token(app, owner_id="globex"),
        "message_not_allowed": a_token(app, custom_message=CustomMessage.OFF),
    }
    given = {"verification_id": "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10", "code": "042917"}
    seen = {}
    for code, token_id in refused.items():
        if code == "insufficient_scope":
            seen[code] = response_of(visitor.post(f"{TRY}/check", token_id=token_id, **given))["code"]
            continue
        if code == "rate_limited":
            visitor.post(TRY, token_id=token_id, phone="12")
        seen[code] = response_of(visitor.post(TRY, token_id=token_id, phone=PHONE, message="Hello {code}"))["code"]
    assert seen == {code: code for code in refused}
    assert services_of(app).verifications.list_verifications(OWNER, limit=1, cursor=None).verifications == ()


def test_only_tokens_that_the_person_may_manage_are_offered(app: Flask) -> None:
    assert "You have no token that can send" in developer(app).get(TRY).text
    a_token(app, name="Ours")
    a_token(app, name="Theirs", owner_id="globex")
    a_token(app, "admin", name="An admin's")
    a_token(app, "read", name="A reader")
    page = a_visitor(app, "dev2", "developer", owner_ids=("acme",)).get(TRY).text
    assert [name in page for name in ("Ours", "Theirs", "An admin", "A reader")] == [True, False, False, False]
    revoked = a_token(app)
    services_of(app).tokens.revoke_token(OWNER, revoked)
    answer = response_of(the_owner(app).post(TRY, token_id=revoked, phone=PHONE))
    assert answer["code"] == "invalid_token"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"phone": ""}, "phone"),
        ({"phone": "12"}, "phone"),
        ({"phone": PHONE, "code_length": "99"}, "code_length"),
        ({"phone": PHONE, "expires_in": "😀"}, "expires_in"),
        ({"phone": PHONE, "locale": "x" * 40}, "locale"),
    ],
)
def test_a_field_that_is_wrong_is_named_beside_it_and_what_was_typed_stays(
    app: Flask, fields: dict[str, str], field: str
) -> None:
    page = the_owner(app).post(TRY, token_id=a_token(app), reference="kept-reference", **fields)
    details = response_of(page)["details"]
    assert isinstance(details, list)
    assert details[0]["field"] == field
    assert f'id="{field}-error"' in page.text
    assert "kept-reference" in page.text


def test_examples_quote_what_a_shell_or_a_program_would_read_otherwise() -> None:
    body = {"phone": PHONE, "message": 'It\'s "{code}" $HOME ✓', "code_length": 8, "locale_fallback": False}
    asked = ApiRequestExample("POST", "https://otp.example/calls/otp", body, {"Idempotency-Key": "try-1"})
    texts = dict(in_every_language(asked))
    assert "'\"'\"'" in texts["curl"]
    assert '"locale_fallback": False' in texts["Python"]
    compile(texts["Python"], "example", "exec")
    assert '"locale_fallback": false' in texts["JavaScript"]
    assert as_curl(ApiRequestExample("GET", "https://otp.example/calls")).startswith("curl https://otp.example/calls")
    assert all("Idempotency-Key" in text for text in texts.values())


def test_a_first_token_is_made_with_one_button_and_its_text_is_shown_to_nobody(app: Flask) -> None:
    visitor = developer(app)
    assert "Create one and go on" in visitor.get(TRY).text
    assert visitor.post(f"{TRY}/token").location == TRY
    page = visitor.get(TRY)
    assert "Try it (acme, lt_" in page.text
    assert re.search(r"lt_\w{12}_\w{36}", page.text) is None
    (token,) = services_of(app).trials.list_tokens(OWNER)
    assert (token.owner_id, token.scopes) == ("acme", ("read", "write"))
    nobodys = a_visitor(app, "new", "developer", owner_ids=())
    assert nobodys.post(f"{TRY}/token").status_code == 403


def test_an_admin_is_led_to_the_phone_on_which_the_call_then_waits(app: Flask) -> None:
    phone, token_id = services_of(app).phone, a_token(app)
    assert phone is not None
    page = developer(app).post(TRY, token_id=token_id, phone=PHONE)
    assert "Answer the phone" not in page.text
    assert not phone.attendance().is_by_hand
    page = the_owner(app).post(TRY, token_id=token_id, phone=PHONE, reference="refused")
    assert not response_of(page).get("verification_id")
    page = the_owner(app).post(TRY, token_id=token_id, phone="+256700123457")
    assert "Answer the phone" in page.text
    assert phone.attendance().is_by_hand


def test_the_phone_leads_back_to_the_field_for_the_code(app: Flask, tmp_path: Path) -> None:
    token_id, visitor = a_token(app), developer(app)
    sent = response_of(visitor.post(TRY, token_id=token_id, phone=PHONE))
    back = f"{TRY}?verification_id={sent['verification_id']}"
    page = visitor.get(back).text
    assert f'name="token_id" value="{token_id}"' in page
    assert (PHONE in page, mask_phone(PHONE) in page) == (False, True)
    stranger = a_visitor(app, "eve", "developer", owner_ids=("globex",))
    a_token(app, owner_id="globex")
    for unknown in (back, f"{TRY}?verification_id=🙂", f"{TRY}?verification_id="):
        assert 'name="code"' not in stranger.get(unknown).text
    code = code_of(tmp_path, KEY, str(sent["verification_id"]))
    kept = {"token_id": token_id, "verification_id": str(sent["verification_id"]), "phone": PHONE}
    approved = visitor.post(f"{TRY}/check", **kept, code=code).text
    assert "<strong>Approved.</strong>" in approved
    assert 'name="code"' not in approved
    assert 'name="code"' not in visitor.get(back).text


def test_once_the_call_is_over_nobody_is_asked_to_answer_it(app: Flask) -> None:
    token_id, owner = a_token(app), the_owner(app)
    sent = response_of(owner.post(TRY, token_id=token_id, phone=PHONE))
    live = f"{TRY}/{sent['verification_id']}/live"
    page = owner.get(f"{TRY}?verification_id={sent['verification_id']}").text
    assert f'data-live="{live}"' in page
    ringing = owner.get(live)
    assert ("Answer the phone" in ringing.text, "data-settled" in ringing.text) == (True, False)
    unchanged = {"If-None-Match": ringing.headers["ETag"]}
    assert owner.client.get(live, headers=unchanged).status_code == 304
    with app.extensions["letstalk_db"].write() as connection:
        update_call(connection, str(sent["call_id"]), status="busy", ended_at=utc_now(), script_sealed=None)
    over = owner.client.get(live, headers=unchanged)
    assert (over.status_code, "Answer the phone" in over.text, "data-settled" in over.text) == (200, False, True)
    assert "The line was busy. The code is still valid." in over.text
    page = owner.get(f"{TRY}?verification_id={sent['verification_id']}").text
    assert ("Answer the phone" in page, "data-live" in page, 'name="code"' in page) == (False, False, True)
    assert a_visitor(app, "eve", "developer", owner_ids=("globex",)).get(live).status_code == 404
