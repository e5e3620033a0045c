"""Connections that need attention: one request after the other had a wrong secret or form."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.connect.kinds import KINDS
from letstalk.connect.service import ConnectionService
from letstalk.core.actors import Actor
from letstalk.core.attention import Attention
from letstalk.core.scopes import Scope
from letstalk.http.timestamps import day_and_time

MOST_TO_LIST = 4
PATH = "/dashboard/connections"


def list_connection_problems(connections: ConnectionService, actor: Actor) -> Sequence[Attention]:
    if not actor.holds(Scope.CONNECTIONS_WRITE):
        return ()
    found = connections.list_failing(actor.visible_owners, limit=MOST_TO_LIST + 1)
    problems = []
    for connection in found[:MOST_TO_LIST]:
        name = connection.name or KINDS[connection.kind].title
        since = "" if connection.failing_since is None else f" since {day_and_time(connection.failing_since)}"
        sentence = f"The connection {name} of {connection.owner_id} fails{since}: no call was placed."
        page = f"{PATH}/{connection.connection_id}"
        problems.append(Attention(sentence, "Look at why its requests are refused.", "the connection", page, True))
    if len(found) > MOST_TO_LIST:
        problems.append(Attention("More connections fail.", "Look at all of them.", "Connections", PATH, True))
    return problems
