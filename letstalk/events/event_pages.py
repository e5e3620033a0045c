"""The dashboard's page about events: the newest ones, live."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from letstalk.core.actors import Actor
from letstalk.core.scopes import Scope
from letstalk.events.models import MEANINGS, AppEvent, AppEventType
from letstalk.events.repository import MOST_SEARCHED
from letstalk.events.service import EventLog
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.live import Fragment, Fragments, Pace, answer_tab, tag_of

ROWS = 50


def make_blueprint(log: EventLog) -> Blueprint:
    blueprint = Blueprint("event_pages", __name__)
    fragments, pace = Fragments(), Pace()

    def newest(type_: AppEventType | None) -> Fragment:
        """The rows. People who see the same owners share them."""
        actor = current_actor()

        def load() -> tuple[str, Callable[[], str]]:
            events = log.list_newest(actor.visible_owners, after=None, limit=ROWS, type_=type_)
            return json.dumps([event.event_id for event in events]), lambda: render_rows(events, type_)

        return fragments.get(_key_of(actor, type_), load)

    def render_rows(events: list[AppEvent], type_: AppEventType | None) -> str:
        rows = [_row(event, content) for event, content in zip(events, log.describe(events), strict=True)]
        return render_template("events/_events.html", rows=rows, type=type_, searched=MOST_SEARCHED)

    @blueprint.get("/dashboard/events")
    @require_signed_in(Scope.CALLS_READ)
    def index() -> ResponseReturnValue:
        type_ = _type_asked_for()
        fragment = newest(type_)
        return render_template(
            "events/events.html", rows_html=fragment.html, tag=fragment.tag, type=type_, meanings=MEANINGS
        )

    @blueprint.get("/dashboard/events/live")
    @require_signed_in(Scope.CALLS_READ)
    def live() -> ResponseReturnValue:
        """The rows for a page that is open; 304 where nothing has changed."""
        return answer_tab(pace, newest(_type_asked_for()))

    return blueprint


def _type_asked_for() -> AppEventType | None:
    """The type of `?type=`; None where there is none, or an unknown one."""
    asked = request.args.get("type", "")
    return AppEventType(asked) if asked in set(AppEventType) else None


def _key_of(actor: Actor, type_: AppEventType | None) -> str:
    return tag_of(json.dumps([type_, None if actor.is_admin else sorted(actor.owner_ids)]))


def _row(event: AppEvent, content: dict[str, Any]) -> dict[str, Any]:
    """What a row shows. Only what was not deleted since has an address."""
    data = content["data"] or {}
    verification_id, token_id = data.get("verification_id"), data.get("token_id")
    return {
        "event": event,
        "meaning": MEANINGS[event.type],
        "content": json.dumps(content, indent=2, ensure_ascii=False),
        "verification_id": verification_id,
        "token_id": token_id if event.type.startswith("token.") else None,
    }
