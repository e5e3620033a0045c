"""What `/openapi.json` says of events and webhook endpoints."""

from __future__ import annotations

OPERATIONS = {
    "GET /api/events": "list_events",
    "GET /api/events/{event_id}": "get_event",
    "POST /api/webhook-endpoints": "create_endpoint",
    "GET /api/webhook-endpoints": "list_endpoints",
    "GET /api/webhook-endpoints/{endpoint_id}": "get_endpoint",
    "PATCH /api/webhook-endpoints/{endpoint_id}": "update_endpoint",
    "DELETE /api/webhook-endpoints/{endpoint_id}": "delete_endpoint",
    "POST /api/webhook-endpoints/{endpoint_id}/rotate-secret": "rotate_secret",
    "POST /api/webhook-endpoints/{endpoint_id}/enable": "enable_endpoint",
    "POST /api/webhook-endpoints/{endpoint_id}/disable": "disable_endpoint",
    "POST /api/webhook-endpoints/{endpoint_id}/send-example": "send_example",
    "GET /api/webhook-endpoints/{endpoint_id}/deliveries": "list_deliveries",
    "GET /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}": "get_delivery",
    "POST /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": "redeliver",
    "POST /api/webhook-endpoints/{endpoint_id}/replay": "replay_since",
}
_WITH_TOKEN = {"missing_authorization", "invalid_token", "insufficient_scope", "address_not_allowed", "rate_limited"}
_WITH_TOKEN |= {"not_ready", "not_granted", "invalid_request"}
_WITH_BODY = {"too_large", "unsupported_media_type"}
CODES = {
    "list_events": _WITH_TOKEN,
    "get_event": _WITH_TOKEN | {"not_found"},
    "create_endpoint": _WITH_TOKEN | _WITH_BODY | {"too_many_endpoints"},
    "list_endpoints": _WITH_TOKEN,
    "get_endpoint": _WITH_TOKEN | {"not_found"},
    "update_endpoint": _WITH_TOKEN | _WITH_BODY | {"not_found"},
    "delete_endpoint": _WITH_TOKEN | {"not_found"},
    "rotate_secret": _WITH_TOKEN | _WITH_BODY | {"not_found"},
    "enable_endpoint": _WITH_TOKEN | {"not_found"},
    "disable_endpoint": _WITH_TOKEN | {"not_found"},
    "send_example": _WITH_TOKEN | _WITH_BODY | {"not_found", "endpoint_disabled"},
    "list_deliveries": _WITH_TOKEN | {"not_found"},
    "get_delivery": _WITH_TOKEN | {"not_found"},
    "redeliver": _WITH_TOKEN | {"not_found", "endpoint_disabled"},
    "replay_since": _WITH_TOKEN | _WITH_BODY | {"not_found", "endpoint_disabled"},
}
SCOPES = {name: "calls:read" if name in ("list_events", "get_event") else "webhooks:write" for name in CODES}
BODY_REQUIRED = {
    "create_endpoint": True,
    "update_endpoint": False,
    "rotate_secret": False,
    "send_example": False,
    "replay_since": True,
}
