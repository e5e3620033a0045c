"""`/api/connections`."""

from __future__ import annotations

from flask import request

from letstalk.connect import schemas
from letstalk.connect.models import SystemConnection
from letstalk.connect.receiving import HookService
from letstalk.connect.service import ConnectionService
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import JsonResponse, PageQuery

CONNECTIONS = "/api/connections"
CONNECTION = f"{CONNECTIONS}/<uuid:connection_id>"


def make_blueprint(connections: ConnectionService, hooks: HookService) -> ApiRoutes:
    blueprint = ApiRoutes("connections", "Connections", "Other systems that have their codes spoken.")

    def url_of(connection: SystemConnection) -> str:
        return connections.url_of(connection, request.url_root)

    @blueprint.post(CONNECTIONS, summary="Create a connection", responses={201: schemas.IssuedConnectionResponse})
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("too_many_connections")
    def create_connection(body: schemas.ConnectionRequest) -> JsonResponse:
        """Its `url` and its `secret` go into the other system. The secret is shown only now."""
        issued = connections.create_connection(current_actor(), body.to_new_connection())
        return schemas.render_issued(issued, url_of(issued.connection)), 201

    @blueprint.get(CONNECTIONS, summary="List connections", responses={200: schemas.ConnectionList})
    @require(Scope.CONNECTIONS_WRITE)
    def list_connections(query: PageQuery) -> JsonResponse:
        found, cursor = connections.list_connections(current_actor(), limit=query.limit, cursor=query.cursor)
        shown = [schemas.render_connection(each, url_of(each)) for each in found]
        return {"connections": shown, "next_cursor": cursor}

    @blueprint.get(CONNECTION, summary="Get a connection", responses={200: schemas.ConnectionResponse})
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found")
    def get_connection(path: schemas.ConnectionPath) -> JsonResponse:
        found = connections.get_connection(current_actor(), str(path.connection_id))
        return schemas.render_connection(found, url_of(found))

    @blueprint.patch(CONNECTION, summary="Change a connection", responses={200: schemas.ConnectionResponse})
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found")
    def update_connection(path: schemas.ConnectionPath, body: schemas.ConnectionPatch) -> JsonResponse:
        changed = connections.update_connection(current_actor(), str(path.connection_id), body.to_changes())
        return schemas.render_connection(changed, url_of(changed))

    @blueprint.delete(CONNECTION, summary="Delete a connection", responses={200: schemas.DeletedConnectionResponse})
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found")
    def delete_connection(path: schemas.ConnectionPath) -> JsonResponse:
        """With the record of what it received. Its address leads nowhere then."""
        connections.delete_connection(current_actor(), str(path.connection_id))
        return {"message": "Connection deleted."}

    @blueprint.post(
        f"{CONNECTION}/rotate-secret",
        summary="Rotate a connection's secret",
        responses={200: schemas.IssuedConnectionResponse},
    )
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found")
    def rotate_connection_secret(path: schemas.ConnectionPath, body: schemas.ConnectionSecretRequest) -> JsonResponse:
        """Until the grace period ends, requests with either secret are accepted."""
        issued = connections.rotate_secret(current_actor(), str(path.connection_id), body.grace_seconds, body.secret)
        return schemas.render_issued(issued, url_of(issued.connection))

    @blueprint.post(f"{CONNECTION}/send-test", summary="Send a test", responses={200: schemas.ConnectionTestResponse})
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found", "invalid_phone", "no_secret")
    def send_connection_test(path: schemas.ConnectionPath, body: schemas.ConnectionTestRequest) -> JsonResponse:
        """A request as the other system makes it goes all the way: the phone is called. A refusal is a 200 with why."""
        return schemas.render_test(hooks.send_test(current_actor(), str(path.connection_id), body.phone))

    @blueprint.get(
        f"{CONNECTION}/deliveries",
        summary="List what a connection received",
        responses={200: schemas.ReceivedDeliveryList},
    )
    @require(Scope.CONNECTIONS_WRITE)
    @documents_errors("not_found")
    def list_received(path: schemas.ConnectionPath, query: PageQuery) -> JsonResponse:
        """Those of 30 days, of refused ones the newest 100. The code is in none of them."""
        found, cursor = connections.list_deliveries(
            current_actor(), str(path.connection_id), limit=query.limit, cursor=query.cursor
        )
        return {"deliveries": [schemas.render_delivery(each) for each in found], "next_cursor": cursor}

    return blueprint
