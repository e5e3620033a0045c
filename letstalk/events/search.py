"""Finding events and webhook endpoints for the dashboard's search, by id: an app sees `webhook-id` in its own log."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.core.actors import Actor
from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.scopes import Scope
from letstalk.core.search import Hit
from letstalk.events.endpoints import EndpointService
from letstalk.events.service import EventLog
from letstalk.http.timestamps import exact_time


def find_events(log: EventLog, actor: Actor, text: str) -> Sequence[Hit]:
    """The event with that id. It leads to what it is about, while that exists."""
    known_id = canonical_id(text)
    event = None if known_id is None else log.find_for(actor, known_id)
    if event is None:
        return ()
    (content,) = log.describe([event])
    data = content["data"] or {}
    path = "/dashboard/events"
    if data.get("verification_id"):
        path = f"/dashboard/verifications/{data['verification_id']}"
    elif event.type.startswith("token.") and data.get("token_id"):
        path = f"/dashboard/tokens/{data['token_id']}"
    return [Hit("Event", event.type.value, f"{event.owner_id}, {exact_time(event.created_at)}", path)]


def find_endpoints(endpoints: EndpointService, actor: Actor, text: str) -> Sequence[Hit]:
    known_id = canonical_id(text)
    if known_id is None or not actor.holds(Scope.WEBHOOKS_WRITE):
        return ()
    try:
        found = endpoints.get_endpoint(actor, known_id)
    except NotFound:
        return ()
    title = found.description or found.url.partition("?")[0]
    return [Hit("Webhook endpoint", title, found.owner_id, f"/dashboard/webhooks/{found.endpoint_id}")]
