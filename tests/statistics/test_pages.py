"""The Overview: figures of those owners whom the person may see, in words, without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask

from letstalk.accounts.models import AccountChanges
from letstalk.statistics.charts import choose_scale
from letstalk.statistics.models import DAY, HOUR, Figures, Funnel
from letstalk.statistics.views import percent, show_countries
from letstalk.tokens.models import NewToken
from tests.statistics.stored import NOW, approved, not_entered, store, unanswered, waiting
from tests.support.apps import OWNER, issue_token, make_app, services_of
from tests.support.pages import a_visitor, the_owner
from tests.support.world import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOW)


@pytest.fixture
def app(tmp_path: Path, clock: StandingClock) -> Iterator[Flask]:
    app = make_app(tmp_path, clock)
    yield app
    app.extensions["letstalk_db"].close()


def text_of(page: str) -> str:
    """What a person reads of the content of a page."""
    main = page.split("<main")[-1].split("</main>", 1)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main).replace("\u00a0", " "))


def test_an_empty_installation_says_what_to_do_next(app: Flask) -> None:
    owner = the_owner(app)
    assert owner.client.get("/").location == "/dashboard"
    page = owner.get("/dashboard")
    said = text_of(page.text)
    assert page.status_code == 200
    assert "No code was sent yet" in said
    assert "Create a token" in said
    assert "From request to approval" not in said


def test_the_figures_of_a_day(app: Flask) -> None:
    db = app.extensions["letstalk_db"]
    store(
        db,
        *(approved(NOW - HOUR, country="DE") for _ in range(6)),
        *(unanswered(NOW - 2 * HOUR) for _ in range(3)),
        not_entered(NOW - timedelta(minutes=5)),
        waiting(NOW - timedelta(seconds=40)),
        approved(NOW, is_test=True, call_status=None),
        approved(NOW - 2 * DAY),
    )
    said = text_of(the_owner(app).get("/dashboard").text)
    assert "Sent 11 all Rang 10 90.9 % kept Answered 7 70.0 % kept Heard to the end 7 100 % kept Approved 6" in said
    assert "1 of them still waits for the code." in said
    assert "test numbers, which are not counted here: 1." in said
    assert re.search(r"From request to ring 2\.[01] s median", said)
    assert "No answer Say in your app which number will call, and offer to call again. 3 30.0 %" in said
    assert "1 call waits, the first one for 40 seconds." in said
    assert said.index("Needs attention") < said.index("Live calls")
    assert "Approved today 6 60.0 % of the finished ones, 1 still wait" in said
    assert re.search(r"DE 6 0 100 %", said)
    assert re.search(r"UG 5 4 0 %", said), "the one that waits is not lost yet"
    assert "still being counted" in text_of(the_owner(app).get("/dashboard?period=week").text)
    while services_of(app).rollups.roll_up():
        pass
    for period, sent in (("hour", 2), ("week", 12), ("month", 12), ("nonsense", 11)):
        assert f"Sent {sent} all" in text_of(the_owner(app).get(f"/dashboard?period={period}").text)


def test_the_chart_has_a_scale_and_times_and_the_filters_stand_above_the_figures(app: Flask) -> None:
    store(app.extensions["letstalk_db"], *(approved(NOW - HOUR) for _ in range(7)), approved(NOW, owner_id="globex"))
    page = the_owner(app).get("/dashboard").text
    scale = page.split('class="scale"')[1].split("</ol>")[0]
    assert re.findall(r"<li>([\d,]+)</li>", scale) == ["8", "6", "4", "2", "0"]
    ticks = page.split('class="ticks"')[1].split("</div>")[0]
    assert ticks.count("<span") == 24
    assert re.findall(r">(\d\d:\d\d)</time>", ticks)[-1] == "10:00"
    assert page.index('name="owner"') < page.index('class="tiles"')


@pytest.mark.parametrize("most", [0, 1, 2, 5, 7, 40, 41, 99, 1_234, 987_654])
def test_a_scale_is_of_few_round_numbers_and_holds_the_highest(most: int) -> None:
    scale = choose_scale(most)
    steps = {after - before for before, after in pairwise(scale)}
    assert (scale[0], len(steps), 2 <= len(scale) <= 5) == (0, 1, True)
    assert scale[-1] >= max(1, most) > scale[-2] - (most == 0)
    assert str(steps.pop()).strip("0") in {"1", "2", "5"}


def test_suspended_tokens_are_told_to_those_who_may_see_them(app: Flask) -> None:
    accounts = services_of(app).accounts.service
    for owner_id in ("acme", "globex"):
        maker = a_visitor(app, f"maker-{owner_id}", "developer", owner_ids=(owner_id,))
        made = maker.post("/dashboard/tokens", name=f"App of {owner_id}", scopes="read", user_id=owner_id)
        assert made.status_code == 200
        accounts.update_account(OWNER, maker.account_id, AccountChanges(disabled=True))
    said = a_visitor(app, "vera", "viewer", owner_ids=("acme",)).get("/dashboard/live").text
    assert "The token App of acme of acme is suspended: the account of maker-acme is disabled." in said
    assert "globex" not in said
    assert "App of globex" in the_owner(app).get("/dashboard/live").text


PATHS = ("/dashboard", "/dashboard?owner=acme", "/dashboard/live")


def test_a_person_sees_the_granted_owners_and_can_choose_one_and_a_token(app: Flask) -> None:
    db, tokens = app.extensions["letstalk_db"], services_of(app).tokens
    made = {
        name: tokens.create_token(OWNER, NewToken(owner_id=name, name=f"{name} app", scopes=("read",))).record
        for name in ("acme", "initech")
    }
    ids = {name: token.token_id for name, token in made.items()}
    store(
        db,
        approved(NOW, token_id=ids["acme"]),
        *(approved(NOW) for _ in range(2)),
        *(approved(NOW, owner_id="globex", country="FR") for _ in range(7)),
        *(approved(NOW, owner_id="initech", country="GB", token_id=ids["initech"]) for _ in range(20)),
    )
    viewer = a_visitor(app, "vera", "viewer", owner_ids=("acme", "globex"))
    pages = [text_of(viewer.get(path).text) for path in PATHS]
    assert "Sent 10 all" in pages[0]
    assert "Sent 3 all" in pages[1]
    assert f"acme app ({made['acme'].prefix}…)" in pages[1]
    assert not any("GB" in page or "initech" in page for page in pages)
    assert "Sent 1 all" in text_of(viewer.get(f"/dashboard?token={ids['acme']}").text)
    assert viewer.get("/dashboard?owner=initech").status_code == 403
    assert viewer.get("/dashboard/live?owner=initech").status_code == 403
    assert viewer.get(f"/dashboard?token={ids['initech']}").status_code == 404
    assert "Sent 30 all" in text_of(the_owner(app).get("/dashboard").text)
    assert "Nothing was sent in this time" not in pages[0]


@pytest.mark.parametrize(
    "query", ["owner=%00", "owner=" + "x" * 900, "token=%F0%9F%92%A5", "period=", "token=../x", "owner=%20"]
)
def test_strange_filters_are_no_failure(app: Flask, query: str) -> None:
    store(app.extensions["letstalk_db"], approved(NOW))
    assert the_owner(app).get(f"/dashboard?{query}").status_code in (200, 400, 404)


def test_tokens_that_expire_soon_are_told_to_those_who_may_see_them(app: Flask) -> None:
    for owner, days in (("acme", 5), ("globex", 6), ("acme", 30)):
        issue_token(app, "read", owner_id=owner, name=f"{owner} {days}", expires_in_seconds=days * 86_400)
    issue_token(app, "read", owner_id="acme", name="forever")
    said = a_visitor(app, "vera", "viewer", owner_ids=("acme",)).get("/dashboard/live").text
    assert "The token acme 5 of acme expires in 5 days." in said
    assert "globex" not in said
    assert "acme 30" not in said
    assert "forever" not in said
    assert "globex 6" in the_owner(app).get("/dashboard/live").text


def test_a_silent_worker_is_told_to_admins_only(app: Flask) -> None:
    assert "worker" in the_owner(app).get("/dashboard/live").text.lower()
    assert "worker" not in a_visitor(app, "vera", "viewer", owner_ids=("acme",)).get("/dashboard/live").text.lower()


def test_the_worst_country_comes_first_and_those_with_few_last() -> None:
    counts = {"DE": (100, 90), "FR": (50, 10), "GB": (2, 0), "UG": (80, 60)}
    figures = Figures(countries={name: Funnel([sent, sent, sent, sent, good]) for name, (sent, good) in counts.items()})
    assert [one.key for one in show_countries(figures)] == ["FR", "UG", "DE", "GB"]


def test_percent_is_never_all_or_nothing_by_rounding() -> None:
    shown = [percent(part, 10_000).replace("\u00a0", " ") for part in (0, 1, 4_567, 9_999, 10_000)]
    assert shown == ["0 %", "< 0.1 %", "45.7 %", "> 99.9 %", "100 %"]
    assert percent(0, 0) == "–"  # noqa: RUF001
