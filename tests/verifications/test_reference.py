"""An app's own reference of a verification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.support.apps import Api, code_of, issue_token, make_app

KEY = "bXlrZXkxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc="
PHONE, OTHER_PHONE = "+12025550142", "+12025550143"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, ENCRYPTION_KEYS=KEY)


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app.test_client(), issue_token(app))


def send(api: Api, phone: str = PHONE, **fields: Any) -> dict[str, Any]:
    response = api.post("/calls/otp", {"phone": phone, **fields})
    assert response.status_code == 202, response.text
    return dict(response.get_json())


def test_every_response_has_the_reference(api: Api, tmp_path: Path) -> None:
    sent = send(api, reference="order-4711")
    assert sent["reference"] == "order-4711"
    verification_id = sent["verification_id"]
    assert api.get(f"/calls/{verification_id}").get_json()["reference"] == "order-4711"
    [listed] = api.get("/calls").get_json()["verifications"]
    assert listed["reference"] == "order-4711"
    code = code_of(tmp_path, KEY, verification_id)
    checked = api.post("/calls/verify", {"verification_id": verification_id, "code": code}).get_json()
    assert (checked["verified"], checked["reference"]) == (True, "order-4711")


def test_without_one_it_is_null(api: Api) -> None:
    sent = send(api)
    assert sent["reference"] is None
    canceled = api.post(f"/calls/{sent['verification_id']}/cancel").get_json()
    assert canceled["reference"] is None


def test_a_list_is_filtered_by_reference_and_shows_no_other_owners(app: Flask, api: Api) -> None:
    mine = send(api, reference="order-4711")["verification_id"]
    send(api, OTHER_PHONE, reference="order-4712")
    stranger = Api(app.test_client(), issue_token(app, owner_id="other"))
    send(stranger, "+12025550144", reference="order-4711")
    found = api.get("/calls", reference="order-4711").get_json()["verifications"]
    assert [item["verification_id"] for item in found] == [mine]
    assert api.get("/calls", reference="order-47").get_json()["verifications"] == []


def test_the_same_idempotency_key_with_another_reference_is_another_request(api: Api) -> None:
    first = api.post("/calls/otp", {"phone": PHONE, "reference": "one"}, Idempotency_Key="a key")
    again = api.post("/calls/otp", {"phone": PHONE, "reference": "one"}, Idempotency_Key="a key")
    assert (again.status_code, again.get_json()) == (202, first.get_json())
    other = api.post("/calls/otp", {"phone": PHONE, "reference": "two"}, Idempotency_Key="a key")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("reference", ["", "x" * 65, "a\nb", 4711, ["order"], {}, True])
def test_what_is_no_reference_is_refused_and_places_no_call(api: Api, reference: Any) -> None:
    refused = api.post("/calls/otp", {"phone": PHONE, "reference": reference})
    assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_request")
    assert [detail["field"] for detail in refused.get_json()["details"]] == ["reference"]
    assert api.get("/calls").get_json()["verifications"] == []
