"""What `/openapi.json` says of connections."""

from __future__ import annotations

OPERATIONS = {
    "POST /api/connections": "create_connection",
    "GET /api/connections": "list_connections",
    "GET /api/connections/{connection_id}": "get_connection",
    "PATCH /api/connections/{connection_id}": "update_connection",
    "DELETE /api/connections/{connection_id}": "delete_connection",
    "POST /api/connections/{connection_id}/rotate-secret": "rotate_connection_secret",
    "POST /api/connections/{connection_id}/send-test": "send_connection_test",
    "GET /api/connections/{connection_id}/deliveries": "list_received",
}
_WITH_TOKEN = {"missing_authorization", "invalid_token", "insufficient_scope", "address_not_allowed", "rate_limited"}
_WITH_TOKEN |= {"not_ready", "not_granted", "invalid_request"}
_WITH_BODY = {"too_large", "unsupported_media_type"}
CODES = {
    "create_connection": _WITH_TOKEN | _WITH_BODY | {"too_many_connections"},
    "list_connections": _WITH_TOKEN,
    "get_connection": _WITH_TOKEN | {"not_found"},
    "update_connection": _WITH_TOKEN | _WITH_BODY | {"not_found"},
    "delete_connection": _WITH_TOKEN | {"not_found"},
    "rotate_connection_secret": _WITH_TOKEN | _WITH_BODY | {"not_found"},
    "send_connection_test": _WITH_TOKEN | _WITH_BODY | {"not_found", "invalid_phone", "no_secret"},
    "list_received": _WITH_TOKEN | {"not_found"},
}
SCOPES = dict.fromkeys(CODES, "connections:write")
BODY_REQUIRED = {
    "create_connection": True,
    "update_connection": False,
    "rotate_connection_secret": False,
    "send_connection_test": True,
}
