"""The dashboard's pages about verifications, without scripts: the list, a verification's page, and its actions."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from letstalk.calls.models import CallStatus
from letstalk.calls.repository import update_call
from letstalk.core.clock import utc_now
from letstalk.verifications.models import NewVerification
from tests.support.apps import OWNER, PHONE, Api, TurnableClock, issue_token, make_app, services_of
from tests.support.pages import Visitor, a_visitor, audited_in, the_owner

LIST = "/dashboard/verifications"
OTHER_PHONE = "+256700123457"
ROW = re.compile(r'<tr role="row" id="v-([0-9a-f-]{36})"')


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def app(tmp_path: Path, clock: TurnableClock) -> Flask:
    return make_app(tmp_path, clock)


def send(app: Flask, phone: str = PHONE, owner_id: str = "acme") -> str:
    wanted = NewVerification(phone=phone, message=None, locale=None, code_length=6, ttl_seconds=300)
    return services_of(app).sends.start(replace(OWNER, owner_id=owner_id), wanted).verification_id


def rows_of(visitor: Visitor, path: str = LIST) -> list[str]:
    page = visitor.get(path)
    assert page.status_code == 200, page.text
    return ROW.findall(page.text)


def person(app: Flask, role: str = "viewer", owner_id: str = "acme") -> Visitor:
    return a_visitor(app, f"{role}-{owner_id}", role, owner_ids=(owner_id,))


def test_the_list_shows_the_newest_first_and_no_whole_phone(app: Flask, clock: TurnableClock) -> None:
    first = send(app)
    clock.move(0.002)
    second = send(app, OTHER_PHONE)
    page = the_owner(app).get(LIST)
    assert ROW.findall(page.text) == [second, first]
    assert "+2567…56" in page.text
    assert PHONE not in page.text


def test_an_empty_list_says_what_to_do_and_an_empty_search_how_to_see_all(app: Flask) -> None:
    owner = the_owner(app)
    assert "/dashboard/try" in owner.get(LIST).text
    send(app)
    assert "Show all" in owner.get(f"{LIST}?country=DE").text


def test_filters_find_what_they_name(app: Flask, clock: TurnableClock) -> None:
    token = issue_token(app, owner_id="acme", name="Web shop")
    api = Api(app.test_client(), token)
    by_token = api.post("/calls/otp", {"phone": PHONE}).get_json()["verification_id"]
    clock.move(0.002)
    other = send(app, OTHER_PHONE, "globex")
    token_id = api.get("/api/tokens/current").get_json()["token_id"]
    owner = the_owner(app)
    for query, found in (
        ("phone=%2B256+700-123-456", [by_token]),
        (f"token={token_id}", [by_token]),
        ("owner=globex", [other]),
        ("country=ug", [other, by_token]),
        ("status=pending&reason=pending", [other, by_token]),
        ("status=approved", []),
        ("span=hour", [other, by_token]),
        ("since=2100-01-01T00:00", []),
        ("until=2100-01-01T00:00", [other, by_token]),
        ("owner=%F0%9F%98%80", []),
    ):
        assert rows_of(owner, f"{LIST}?{query}") == found, query
    assert "Web shop" in owner.get(LIST).text


def end_call(app: Flask, verification_id: str, status: CallStatus) -> None:
    """The only call of a verification has come to this."""
    call_id = services_of(app).browsing.tell(OWNER, verification_id).history.calls[0].call.call_id
    with app.extensions["letstalk_db"].write() as connection:
        update_call(connection, call_id, status=status.value, ended_at=utc_now(), script_sealed=None)


def test_while_the_code_is_valid_a_call_that_failed_is_said_beside_it(app: Flask) -> None:
    verification_id = send(app)
    owner = the_owner(app)
    assert '<span class="state info">pending</span>' in owner.get(LIST).text
    end_call(app, verification_id, CallStatus.BUSY)
    for path in (LIST, f"{LIST}/live", f"{LIST}/{verification_id}"):
        assert '<span class="state warn">pending · line busy</span>' in owner.get(path).text, path
    end_call(app, verification_id, CallStatus.COMPLETED)
    assert '<span class="state info">pending</span>' in owner.get(f"{LIST}/{verification_id}").text


def csv_of(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    answer = visitor.get(f"{LIST}.csv?{query}")
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    assert re.fullmatch(r'attachment; filename="verifications-[0-9-]{10}\.csv"', answer.headers["Content-Disposition"])
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_the_list_has_the_references_and_can_be_downloaded_within_the_owner(app: Flask, clock: TurnableClock) -> None:
    api = Api(app.test_client(), issue_token(app, owner_id="acme", name="=SUM(A1)"))
    answer = api.post("/calls/otp", {"phone": PHONE, "reference": "@order-4711"})
    clock.move(0.002)
    theirs = send(app, OTHER_PHONE, "globex")
    viewer, owner = person(app), the_owner(app)
    assert "@order-4711" in viewer.get(LIST).text
    assert f'href="{LIST}.csv?country=UG"' in owner.get(f"{LIST}?country=UG").text
    (line,) = csv_of(viewer)
    assert (line["reference"], line["token_name"], line["phone"]) == ("'@order-4711", "'=SUM(A1)", "'+2567…56")
    assert (line["status"], line["last_call"], line["user_id"]) == ("pending", "queued", "acme")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert [found["verification_id"] for found in csv_of(owner)] == [theirs, line["verification_id"]]
    assert [found["verification_id"] for found in csv_of(owner, "owner=globex")] == [theirs]
    assert csv_of(viewer, "owner=globex") == []
    assert PHONE not in owner.get(f"{LIST}.csv").text
    wrong = owner.get(f"{LIST}.csv?phone=12")
    assert (wrong.status_code, wrong.mimetype) == (400, "text/html")


def test_a_download_goes_on_where_a_batch_ends_and_stops_at_its_limit(
    app: Flask, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    for number in range(9):
        clock.move(0.002)
        sent.insert(0, send(app, f"+2567001{number:05d}"))
    monkeypatch.setattr("letstalk.verifications.browsing.EXPORT_BATCH", 4)
    owner = the_owner(app)
    assert [line["verification_id"] for line in csv_of(owner)] == sent
    monkeypatch.setattr("letstalk.verifications.browsing.MOST_EXPORTED", 6)
    assert [line["verification_id"] for line in csv_of(owner)] == sent[:6]


@pytest.mark.parametrize(
    "query", ["phone=12", "status=x", "reason=x", "country=xxxx", "token=x", "since=x", "until=x", "span=x"]
)
def test_a_filter_that_can_not_be_read_says_so_beside_its_field(app: Flask, query: str) -> None:
    send(app)
    page = the_owner(app).get(f"{LIST}?{query}")
    assert page.status_code == 400
    assert f'id="{query.split("=")[0]}-error"' in page.text
    assert ROW.findall(page.text) == []


def test_a_bad_place_is_a_clear_error(app: Flask) -> None:
    assert the_owner(app).get(f"{LIST}?before=x").status_code == 400


def test_pages_lead_to_older_rows_and_back(app: Flask, clock: TurnableClock) -> None:
    sent: list[str] = []
    for number in range(30):
        clock.move(0.002)  # within a millisecond the order is left to chance
        sent.insert(0, send(app, f"+2567001{number:05d}"))
    owner = the_owner(app)
    first = owner.get(LIST).text
    assert ROW.findall(first) == sent[:25]
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = owner.get(older[1]).text
    assert ROW.findall(second) == sent[25:]
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer
    assert ROW.findall(owner.get(newer[1]).text) == sent[:25]
    assert 'data-live="' in first
    assert 'data-live="' not in second  # what is old does not change


def test_people_see_their_owners_verifications_only(app: Flask) -> None:
    ours, theirs = send(app), send(app, OTHER_PHONE, "globex")
    viewer = person(app)
    assert rows_of(viewer) == [ours]
    for query in ("owner=globex", f"phone={OTHER_PHONE.replace('+', '%2B')}", "country=UG&owner=globex"):
        assert rows_of(viewer, f"{LIST}?{query}") == []
    assert viewer.get(f"{LIST}/live").text.count('id="v-') == 1
    for path in ("", "/live"):
        assert viewer.get(f"{LIST}/{theirs}{path}").status_code == 404
    assert viewer.post(f"{LIST}/{theirs}/phone").status_code == 404
    developer = person(app, "developer")
    for action in ("cancel", "replay"):
        assert developer.post(f"{LIST}/{theirs}/{action}").status_code == 404
    assert audited_in(app, "phone.shown") == []


def test_people_of_other_owners_do_not_share_what_is_kept_for_their_tabs(app: Flask) -> None:
    ours, theirs = send(app), send(app, OTHER_PHONE, "globex")
    for owner_id, own, other in (("acme", ours, theirs), ("globex", theirs, ours)):
        live = person(app, owner_id=owner_id).get(f"{LIST}/live").text
        assert (own in live, other in live) == (True, False)


def test_a_tab_is_told_only_of_changes_and_when_to_ask_again(app: Flask) -> None:
    verification_id = send(app)
    owner = the_owner(app)
    tag = re.search(r'data-tag="([0-9a-f]+)"', owner.get(LIST).text)
    assert tag
    headers = {"If-None-Match": f'"{tag[1]}"', "X-Tab": "one"}
    unchanged = owner.client.get(f"{LIST}/live", headers=headers)
    assert (unchanged.status_code, unchanged.data, unchanged.headers["Retry-After"]) == (304, b"", "2")

    story = f"{LIST}/{verification_id}"
    tag = re.search(r'data-tag="([0-9a-f]+)"', owner.get(story).text)
    assert tag
    headers["If-None-Match"] = f'W/"{tag[1]}"'  # a proxy that compresses makes it weak
    assert owner.client.get(f"{story}/live", headers=headers).status_code == 304
    assert owner.post(f"{story}/cancel").status_code == 302
    changed = owner.client.get(f"{story}/live", headers=headers)
    assert (changed.status_code, "Canceled." in changed.text, "data-settled" in changed.text) == (200, True, True)


def test_a_phone_is_shown_once_to_who_asks_and_the_audit_trail_keeps_it(app: Flask) -> None:
    verification_id = send(app)
    viewer = person(app)
    page = f"{LIST}/{verification_id}"
    assert PHONE not in viewer.get(page).text
    assert viewer.client.post(f"{page}/phone").status_code == 403  # no form of ours
    asked = viewer.post(f"{page}/phone")
    assert (asked.status_code, asked.location) == (302, page)
    assert PHONE in viewer.get(page).text
    assert PHONE not in viewer.get(page).text
    (event,) = audited_in(app, "phone.shown")
    assert (event.actor_account_id, event.detail["verification_id"]) == (viewer.account_id, verification_id)
    assert PHONE not in repr(event)


def test_cancel_and_replay_follow_the_rules_of_the_api(app: Flask) -> None:
    verification_id = send(app)
    developer = person(app, "developer")
    page = f"{LIST}/{verification_id}"
    early = developer.post(f"{page}/replay")
    assert early.status_code == 429
    assert "The code was spoken a moment ago." in early.text
    assert developer.post(f"{page}/cancel").status_code == 302
    told = developer.get(page).text
    assert "The verification is canceled." in told
    assert "Call again" not in told
    again = developer.post(f"{page}/cancel")
    assert (again.status_code, "over already" in again.text) == (409, True)
    assert [event.detail["verification_id"] for event in audited_in(app, "verification.canceled")] == [verification_id]
    assert audited_in(app, "verification.replayed") == []


def test_a_viewer_is_offered_no_action(app: Flask) -> None:
    page = person(app).get(f"{LIST}/{send(app)}").text
    assert ("/replay" in page, "/cancel" in page) == (False, False)


def test_the_id_of_a_call_leads_to_its_verification(app: Flask) -> None:
    verification_id = send(app)
    owner = the_owner(app)
    call_id = services_of(app).browsing.tell(OWNER, verification_id).history.calls[0].call.call_id
    assert owner.get(f"{LIST}/{call_id}").location == f"{LIST}/{verification_id}"
    assert owner.get(f"{LIST}/nothing").status_code == 404
