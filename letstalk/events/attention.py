"""Webhook endpoints that need attention: they fail, or have failed for so long that they were disabled."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.core.actors import Actor
from letstalk.core.attention import Attention
from letstalk.core.scopes import Scope
from letstalk.events.endpoint_models import Endpoint
from letstalk.events.endpoints import EndpointService
from letstalk.http.timestamps import day_and_time

MOST_TO_LIST = 4
PATH = "/dashboard/webhooks"


def list_webhook_problems(endpoints: EndpointService, actor: Actor) -> Sequence[Attention]:
    if not actor.holds(Scope.WEBHOOKS_WRITE):
        return ()
    found = endpoints.list_troubled(actor.visible_owners, limit=MOST_TO_LIST + 1)
    problems = [_describe(endpoint) for endpoint in found[:MOST_TO_LIST]]
    if len(found) > MOST_TO_LIST:
        problems.append(Attention("More webhook endpoints fail.", "Look at all of them.", "Webhooks", PATH))
    return problems


def _describe(endpoint: Endpoint) -> Attention:
    name = endpoint.description or endpoint.url.partition("?")[0]
    page = f"{PATH}/{endpoint.endpoint_id}"
    if endpoint.disabled_at is not None:
        sentence = f"Webhooks of {endpoint.owner_id} to {name} are off. {endpoint.disabled_reason}"
        return Attention(sentence, "Repair it, then enable it and replay what it missed.", "the endpoint", page, True)
    since = "" if endpoint.failing_since is None else f" since {day_and_time(endpoint.failing_since)}"
    sentence = f"Webhooks of {endpoint.owner_id} to {name} fail{since}."
    return Attention(sentence, "Look at what it answers. After five days it is disabled.", "the endpoint", page)
