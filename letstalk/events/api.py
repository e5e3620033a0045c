"""`/api/events` and `/api/webhook-endpoints`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.events import schemas
from letstalk.events.endpoints import EndpointChanges, EndpointService, IssuedEndpoint
from letstalk.events.models import AppEventType
from letstalk.events.service import EventLog
from letstalk.http.guards import current_actor, require
from letstalk.http.openapi import ApiRoutes, documents_errors
from letstalk.http.schemas import JsonResponse, PageQuery

MakeExample = Callable[[AppEventType, str], dict[str, Any]]
ENDPOINTS = "/api/webhook-endpoints"
ENDPOINT = f"{ENDPOINTS}/<uuid:endpoint_id>"


def make_blueprint(log: EventLog, endpoints: EndpointService, make_example: MakeExample) -> ApiRoutes:
    """`make_example` makes the content of an example event of a type, for an owner."""
    blueprint = ApiRoutes("events", "Events", "What happened, and webhooks that tell of it.")

    @blueprint.get("/api/events", summary="List events", responses={200: schemas.EventList})
    @require(Scope.CALLS_READ)
    def list_events(query: schemas.EventQuery) -> JsonResponse:
        """Newest first, your own `user_id`'s only. Events are kept for 30 days."""
        events, cursor = log.list_events(current_actor(), query.as_filter(), limit=query.limit, cursor=query.cursor)
        return {"events": events, "next_cursor": cursor}

    @blueprint.get("/api/events/<uuid:event_id>", summary="Get an event", responses={200: schemas.EventResponse})
    @require(Scope.CALLS_READ)
    @documents_errors("not_found")
    def get_event(path: schemas.EventPath) -> JsonResponse:
        return log.get_event(current_actor(), str(path.event_id))

    @blueprint.post(ENDPOINTS, summary="Create a webhook endpoint", responses={201: schemas.IssuedEndpointResponse})
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("too_many_endpoints")
    def create_endpoint(body: schemas.EndpointRequest) -> JsonResponse:
        """Events from now on are sent to it, signed as Standard Webhooks describes. The secret is shown only now."""
        issued = endpoints.create_endpoint(
            current_actor(),
            body.url,
            description=body.description,
            types=_types(body.types),
            shows_phones=body.shows_phones,
        )
        return _render_issued(issued), 201

    @blueprint.get(ENDPOINTS, summary="List webhook endpoints", responses={200: schemas.EndpointList})
    @require(Scope.WEBHOOKS_WRITE)
    def list_endpoints(query: PageQuery) -> JsonResponse:
        found, cursor = endpoints.list_endpoints(current_actor(), limit=query.limit, cursor=query.cursor)
        return {"endpoints": [schemas.render_endpoint(one) for one in found], "next_cursor": cursor}

    @blueprint.get(ENDPOINT, summary="Get a webhook endpoint", responses={200: schemas.EndpointResponse})
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def get_endpoint(path: schemas.EndpointPath) -> JsonResponse:
        return schemas.render_endpoint(endpoints.get_endpoint(current_actor(), str(path.endpoint_id)))

    @blueprint.patch(ENDPOINT, summary="Change a webhook endpoint", responses={200: schemas.EndpointResponse})
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def update_endpoint(path: schemas.EndpointPath, body: schemas.EndpointPatch) -> JsonResponse:
        given = body.model_fields_set
        changes = EndpointChanges(
            url=body.url if "url" in given else UNSET,
            description=body.description if "description" in given else UNSET,
            types=_types(body.types) if "types" in given else UNSET,
            shows_phones=body.shows_phones if "shows_phones" in given else UNSET,
        )
        changed = endpoints.update_endpoint(current_actor(), str(path.endpoint_id), changes)
        return schemas.render_endpoint(changed)

    @blueprint.delete(ENDPOINT, summary="Delete a webhook endpoint", responses={200: schemas.DeletedEndpointResponse})
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def delete_endpoint(path: schemas.EndpointPath) -> JsonResponse:
        """With the record of its deliveries. Nothing more is sent to it."""
        endpoints.delete_endpoint(current_actor(), str(path.endpoint_id))
        return {"message": "Endpoint deleted."}

    @blueprint.post(
        f"{ENDPOINT}/rotate-secret", summary="Rotate a webhook secret", responses={200: schemas.IssuedEndpointResponse}
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def rotate_secret(path: schemas.EndpointPath, body: schemas.SecretRotationRequest) -> JsonResponse:
        """Until the grace period ends, both secrets sign: the header has two signatures."""
        return _render_issued(endpoints.rotate_secret(current_actor(), str(path.endpoint_id), body.grace_seconds))

    @blueprint.post(
        f"{ENDPOINT}/enable", summary="Enable a webhook endpoint", responses={200: schemas.EndpointResponse}
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def enable_endpoint(path: schemas.EndpointPath) -> JsonResponse:
        """Events from now on are sent to it. `replay` sends those that it has missed."""
        return _set_enabled(str(path.endpoint_id), is_enabled=True)

    @blueprint.post(
        f"{ENDPOINT}/disable", summary="Disable a webhook endpoint", responses={200: schemas.EndpointResponse}
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def disable_endpoint(path: schemas.EndpointPath) -> JsonResponse:
        """Nothing is sent to it. What waits for its next try is given up."""
        return _set_enabled(str(path.endpoint_id), is_enabled=False)

    @blueprint.post(
        f"{ENDPOINT}/send-example", summary="Send an example event", responses={202: schemas.DeliverySummary}
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found", "endpoint_disabled")
    def send_example(path: schemas.EndpointPath, body: schemas.ExampleRequest) -> JsonResponse:
        """It looks like a real one, and its ids belong to nothing."""
        actor, endpoint_id = current_actor(), str(path.endpoint_id)
        owner_id = endpoints.get_endpoint(actor, endpoint_id).owner_id
        example = make_example(body.type, owner_id)
        return schemas.render_delivery(endpoints.send_example(actor, endpoint_id, example)), 202

    @blueprint.get(f"{ENDPOINT}/deliveries", summary="List deliveries", responses={200: schemas.DeliveryList})
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def list_deliveries(path: schemas.EndpointPath, query: schemas.DeliveryQuery) -> JsonResponse:
        found, cursor = endpoints.list_deliveries(
            current_actor(), str(path.endpoint_id), status=query.status, limit=query.limit, cursor=query.cursor
        )
        return {"deliveries": [schemas.render_delivery(one) for one in found], "next_cursor": cursor}

    @blueprint.get(
        f"{ENDPOINT}/deliveries/<uuid:delivery_id>",
        summary="Get a delivery with its tries",
        responses={200: schemas.DeliveryResponse},
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found")
    def get_delivery(path: schemas.DeliveryPath) -> JsonResponse:
        delivery, tries = endpoints.get_delivery(current_actor(), str(path.endpoint_id), str(path.delivery_id))
        shown = [schemas.render_attempt(attempt) for attempt in tries]
        return {**schemas.render_delivery(delivery), "body": delivery.body, "tries": shown}

    @blueprint.post(
        f"{ENDPOINT}/deliveries/<uuid:delivery_id>/redeliver",
        summary="Deliver an event again",
        responses={202: schemas.DeliverySummary},
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found", "endpoint_disabled")
    def redeliver(path: schemas.DeliveryPath) -> JsonResponse:
        """At once, under the same id, with the whole schedule of retries."""
        again = endpoints.redeliver(current_actor(), str(path.endpoint_id), str(path.delivery_id))
        return schemas.render_delivery(again), 202

    @blueprint.post(
        f"{ENDPOINT}/replay", summary="Send all events since a time", responses={202: schemas.EventReplayResponse}
    )
    @require(Scope.WEBHOOKS_WRITE)
    @documents_errors("not_found", "endpoint_disabled")
    def replay_since(path: schemas.EndpointPath, body: schemas.EventReplayRequest) -> JsonResponse:
        """Those that the endpoint wants, also the ones that it has had: their ids are the same."""
        return {"events": endpoints.replay_since(current_actor(), str(path.endpoint_id), body.since)}, 202

    def _set_enabled(endpoint_id: str, *, is_enabled: bool) -> JsonResponse:
        return schemas.render_endpoint(endpoints.set_enabled(current_actor(), endpoint_id, is_enabled=is_enabled))

    return blueprint


def _render_issued(issued: IssuedEndpoint) -> dict[str, Any]:
    return {**schemas.render_endpoint(issued.endpoint), "secret": issued.secret}


def _types(types: list[AppEventType] | None) -> tuple[AppEventType, ...] | None:
    return None if types is None else tuple(types)
