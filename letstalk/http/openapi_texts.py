"""What the OpenAPI document says that no model and no guard knows."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import Info, License

from letstalk import __version__

INFO = Info(
    title="Let's Talk",
    version=__version__,
    license=License(name="MIT", identifier="MIT"),
    summary="Proves a phone number with a call.",
    description="""\
Your app asks for a code, the phone rings, a voice reads the code, your app checks it.

- JSON in and out. Times are ISO 8601 in UTC, durations whole seconds, ids UUIDs. Unknown fields are refused.
- Phones are read leniently (`+256 700 123456`) and written as E.164.
- **Every refusal has one shape**, `ErrorBody`. Programs read `code`, which is stable; `error` is for people. An unknown
  address is 404 `not_found`, a method that the address does not take 405 `method_not_allowed`, a fault of ours 500
  `internal_error`.
- Every answer carries `X-Request-Id`. Quote it when you ask for help.
- Limited answers say where you stand in `RateLimit` and `RateLimit-Policy`; a 429 or 503 says in `Retry-After` how many
  seconds to wait.
- A verification belongs to the `user_id` of the token that started it. Nobody else can see, check, replay or cancel it.
- The code is in no answer, no error and no log: only the called phone hears it.
""",
)

SECURITY_SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, `lt_…`. `read` stands for `calls:read`; `write` for `otp:send`, `otp:verify`, "
        "`otp:replay` and `calls:cancel`; `admin` for everything.",
    },
    "person": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A person's access token, from `POST /api/auth/login`; it works where an API token does, within "
        "the person's role. Who has several grants names in `X-User-Id` the `user_id` to act for. Either kind can also "
        "stand alone in the header `X-AUTH-TOKEN`.",
    },
    "dashboard": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "A signed-in person. What changes something also needs the `X-CSRFToken` header.",
    },
    "telnyx_signature": {
        "type": "apiKey",
        "in": "header",
        "name": "telnyx-signature-ed25519",
        "description": "Telnyx's Ed25519 signature, in Base64, of `{telnyx-timestamp}|{body}`.",
    },
    "telnyx_timestamp": {
        "type": "apiKey",
        "in": "header",
        "name": "telnyx-timestamp",
        "description": "Unix time of the signature; over 300 s away it is refused.",
    },
}

_SECONDS = {"type": "integer", "minimum": 1}
_CHALLENGE = {"description": "As RFC 6750 asks.", "schema": {"type": "string", "pattern": "^Bearer "}}

# Named as they are sent, but for one: `Challenge` is the WWW-Authenticate that only some answers of a status carry.
HEADERS: dict[str, Any] = {
    "X-Request-Id": {
        "description": "This request's id, also in the log.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "Cache-Control": {
        "description": "Never to be kept.",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "RateLimit-Policy": {
        "description": "The tightest limit: `q` requests in `w` seconds. Left out where limits are off.",
        "schema": {"type": "string", "pattern": r'^"[a-z]+";q=\d+;w=\d+$'},
    },
    "RateLimit": {
        "description": "`r` requests are left in it; in `t` seconds it starts anew.",
        "schema": {"type": "string", "pattern": r'^"[a-z]+";r=\d+;t=\d+$'},
    },
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": _SECONDS},
    "WWW-Authenticate": {**_CHALLENGE, "required": True},
    "Challenge": {**_CHALLENGE, "description": "With `insufficient_scope`, as RFC 6750 asks."},
    "Idempotent-Replayed": {
        "description": "The first answer to this Idempotency-Key, once more.",
        "schema": {"type": "string", "const": "true"},
    },
    "Warning": {
        "description": "In development, where a request from the same machine needed no credentials.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where to go.", "required": True, "schema": {"type": "string"}},
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body brings back the first 2xx answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "example": "order-4711-attempt-1",
}

USER_ID: dict[str, Any] = {
    "name": "X-User-Id",
    "in": "header",
    "required": False,
    "description": "For a person: the `user_id` to act for. Needed by who has several grants; a token needs none, "
    "and can name its own alone. What is not ASCII is written in UTF-8.",
    "schema": {"type": "string", "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}

DASHBOARD_PATH = "/api/tokens/dashboard"
DASHBOARD: dict[str, Any] = {
    "get": {
        "tags": ["Pages"],
        "summary": "The dashboard's token page",
        "operationId": "open_dashboard",
        "description": "For people, in a browser.",
        "responses": {
            "200": {
                "description": "The tokens, newest first.",
                "content": {"text/html": {"schema": {"type": "string"}}},
            },
            "302": {"description": "To the sign-in page."},
        },
    }
}
