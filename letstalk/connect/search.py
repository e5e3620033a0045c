"""Finding a connection for the dashboard's search, by its id."""

from __future__ import annotations

from collections.abc import Sequence

from letstalk.connect.service import ConnectionService, find_kind
from letstalk.core.actors import Actor
from letstalk.core.errors import NotFound
from letstalk.core.ids import canonical_id
from letstalk.core.scopes import Scope
from letstalk.core.search import Hit


def find_connections(connections: ConnectionService, actor: Actor, text: str) -> Sequence[Hit]:
    known_id = canonical_id(text)
    if known_id is None or not actor.holds(Scope.CONNECTIONS_WRITE):
        return ()
    try:
        found = connections.get_connection(actor, known_id)
    except NotFound:
        return ()
    title = found.name or find_kind(found.kind).title
    return [Hit("Connection", title, found.owner_id, f"/dashboard/connections/{found.connection_id}")]
