"""Who may do what: one table of every route and method. `test_permissions.py` makes each call as each kind of actor,
and `docs/authentication.md` contains the table.

`python -m tests.support.permissions` prints it as it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Decided by a bearer token and, where the second column says so, by the cookie of a dashboard session.
CALLS = """\
| Call | By | Nobody | API token | Another owner's token | viewer | developer | admin | Built-in owner |
|---|---|---|---|---|---|---|---|---|
| `POST /calls/otp` | token | 401 | `otp:send` `write` `admin` | theirs | 403 | yes | yes | 401 |
| `POST /calls/verify` | token | 401 | `otp:verify` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /calls/replay` | token | 401 | `otp:replay` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /calls` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /calls`, for an owner that is not granted | token | 401 | none | theirs | 403 | 403 | yes | 401 |
| `GET /calls/{verification_id}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /calls/{verification_id}/cancel` | token | 401 | `calls:cancel` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /api/stats` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /api/stats`, for an owner that is not granted | token | 401 | none | theirs | 403 | 403 | yes | 401 |
| `GET /api/stats/realtime` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `POST /calls/speak` | token | 401 | `otp:speak` `admin` | theirs | 403 | yes | yes | 401 |
| `POST /calls/{call_id}/outcome` | token | 401 | `otp:speak` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /twilio/v2/Services` | token | 401 | `otp:send` `write` `admin` | theirs | 403 | yes | yes | 401 |
| `GET /twilio/v2/Services` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `DELETE /twilio/v2/Services/{service_sid}` | token | 401 | `calls:cancel` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/Verifications` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}/Verifications/{verification_sid}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/Verifications/{verification_sid}` | token | 401 | `calls:cancel` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/VerificationCheck` | token | 401 | `otp:verify` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/RateLimits` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}/RateLimits` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `DELETE /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}` | token | 401 | `calls:cancel` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `GET /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets/{bucket_sid}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets/{bucket_sid}` | token | 401 | `otp:send` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `DELETE /twilio/v2/Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets/{bucket_sid}` | token | 401 | `calls:cancel` `write` `admin` | 404 | 403 | yes | yes | 401 |
| `GET /twilio/v2/Attempts` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /twilio/v2/Attempts/Summary` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /twilio/v2/Attempts/{attempt_sid}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /api/tokens` | token, cookie | 401 | `tokens:write` `admin` | theirs | 403 | yes | yes | yes |
| `GET /api/tokens` | token, cookie | 401 | `tokens:read` `admin` | theirs | yes | yes | yes | yes |
| `GET /api/tokens/current` | token | 401 | any | theirs | 404 | 404 | 404 | 401 |
| `GET /api/tokens/{token_id}` | token, cookie | 401 | `tokens:read` `admin` | 404 | yes | yes | yes | yes |
| `GET /api/tokens/{token_id}/usage` | token, cookie | 401 | `tokens:read` `admin` | 404 | yes | yes | yes | yes |
| `PATCH /api/tokens/{token_id}` | token, cookie | 401 | `tokens:write` `admin` | 404 | 403 | yes | yes | yes |
| `POST /api/tokens/{token_id}/rotate` | token, cookie | 401 | `tokens:write` `admin` | 404 | 403 | yes | yes | yes |
| `DELETE /api/tokens/{token_id}` | token, cookie | 401 | `tokens:write` `admin` | 404 | 403 | yes | yes | yes |
| `PATCH /api/tokens/{token_id}`, another's | token, cookie | 401 | `admin` | 404 | 403 | yes | yes | yes |
| `POST /api/tokens/{token_id}/rotate`, another's | token, cookie | 401 | `admin` | 404 | 403 | yes | yes | yes |
| `DELETE /api/tokens/{token_id}`, another's | token, cookie | 401 | `admin` | 404 | 403 | yes | yes | yes |
| `GET /api/events` | token | 401 | `calls:read` `read` `admin` | theirs | yes | yes | yes | 401 |
| `GET /api/events/{event_id}` | token | 401 | `calls:read` `read` `admin` | 404 | yes | yes | yes | 401 |
| `POST /api/webhook-endpoints` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/webhook-endpoints` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/webhook-endpoints/{endpoint_id}` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `PATCH /api/webhook-endpoints/{endpoint_id}` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `DELETE /api/webhook-endpoints/{endpoint_id}` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/rotate-secret` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/enable` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/disable` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/send-example` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/webhook-endpoints/{endpoint_id}/deliveries` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/webhook-endpoints/{endpoint_id}/replay` | token | 401 | `webhooks:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/connections` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/connections` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/connections/{connection_id}` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `PATCH /api/connections/{connection_id}` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `DELETE /api/connections/{connection_id}` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/connections/{connection_id}/rotate-secret` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `POST /api/connections/{connection_id}/send-test` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/connections/{connection_id}/deliveries` | token | 401 | `connections:write` `admin` | 403 | 403 | yes | yes | 401 |
| `GET /api/audit` | token, cookie | 401 | `tokens:read` `admin` | theirs | yes | yes | yes | yes |
| `POST /api/test-numbers` | token | 401 | `test_numbers:write` `admin` | theirs | 403 | yes | yes | 401 |
| `GET /api/test-numbers` | token | 401 | `test_numbers:write` `admin` | theirs | 403 | yes | yes | 401 |
| `GET /api/test-numbers/{number_id}` | token | 401 | `test_numbers:write` `admin` | 404 | 403 | yes | yes | 401 |
| `PATCH /api/test-numbers/{number_id}` | token | 401 | `test_numbers:write` `admin` | 404 | 403 | yes | yes | 401 |
| `DELETE /api/test-numbers/{number_id}` | token | 401 | `test_numbers:write` `admin` | 404 | 403 | yes | yes | 401 |
| `POST /api/auth/logout` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `GET /api/auth/me` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `POST /api/auth/phone` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `POST /api/auth/phone/verify` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `POST /api/auth/phone/call-again` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `GET /api/auth/recovery-codes` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `POST /api/auth/recovery-codes` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `PUT /api/auth/password` | token | 401 | none | 403 | yes | yes | yes | 401 |
| `GET /api/auth/sessions` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `DELETE /api/auth/sessions` | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `DELETE /api/auth/sessions/{session_id}`, one's own | token, cookie | 401 | none | 403 | yes | yes | yes | 403 |
| `DELETE /api/auth/sessions/{session_id}`, another's | token, cookie | 401 | none | 403 | 404 | 404 | 404 | 403 |
| `POST /api/auth/invite` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `GET /api/accounts` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `GET /api/accounts/{account_id}`, one's own | token, cookie | 401 | - | - | yes | yes | yes | - |
| `GET /api/accounts/{account_id}`, another's | token, cookie | 401 | `admin` else 404 | 404 | 404 | 404 | yes | yes |
| `PATCH /api/accounts/{account_id}`, one's own | token, cookie | 401 | - | - | yes | yes | yes | - |
| `PATCH /api/accounts/{account_id}`, one's own role | token, cookie | 401 | - | - | 403 | 403 | yes | - |
| `PATCH /api/accounts/{account_id}`, another's | token, cookie | 401 | `admin` else 404 | 404 | 404 | 404 | yes | yes |
| `DELETE /api/accounts/{account_id}` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `GET /api/accounts/roles` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `PATCH /api/accounts/roles/{role}` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `GET /api/sip/status` | token, cookie | 401 | `admin` | 403 | 403 | 403 | yes | yes |
| `GET /metrics` | token | 401 | `admin` | 403 | 403 | 403 | yes | 401 |
| `GET /simulator/calls/{call_id}` | this machine | 403 | 403 | 403 | 403 | 403 | 403 | 403 |
| `POST /api/webhooks/telnyx` | signature | 403 | 403 | 403 | 403 | 403 | 403 | 403 |
| `POST /connect/{kind}/{address_key}` | signature | 404 | 404 | 404 | 404 | 404 | 404 | 404 |
"""  # noqa: E501  # a row of a Markdown table is one line

# Decided by the cookie alone: without one the actor is nobody here, also with a token.
PAGES = """\
| Page | Nobody | viewer | developer | admin | Built-in owner |
|---|---|---|---|---|---|
| `GET /dashboard/verifications` | sign in | yes | yes | yes | yes |
| `GET /dashboard/verifications.csv` | sign in | yes | yes | yes | yes |
| `GET /dashboard/verifications/live` | sign in | yes | yes | yes | yes |
| `GET /dashboard/verifications/{verification_id}` | sign in | yes | yes | yes | yes |
| `GET /dashboard/verifications/{verification_id}/live` | sign in | yes | yes | yes | yes |
| `POST /dashboard/verifications/{verification_id}/phone` | sign in | yes | yes | yes | yes |
| `POST /dashboard/verifications/{verification_id}/cancel` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/verifications/{verification_id}/replay` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/verifications/{verification_id}`, of an owner not granted | sign in | 404 | 404 | yes | yes |
| `GET /dashboard/verifications/{verification_id}/live`, of an owner not granted | sign in | 404 | 404 | yes | yes |
| `POST /dashboard/verifications/{verification_id}/phone`, of an owner not granted | sign in | 404 | 404 | yes | yes |
| `POST /dashboard/verifications/{verification_id}/cancel`, of an owner not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/verifications/{verification_id}/replay`, of an owner not granted | sign in | 403 | 404 | yes | yes |
| `GET /dashboard/try` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/try/{verification_id}/live` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/try/{verification_id}/live`, of an owner not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/try` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/try/token` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/try/check` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/try/replay` | sign in | 403 | yes | yes | yes |
| `GET /dashboard` | sign in | yes | yes | yes | yes |
| `GET /dashboard`, of an owner that is not granted | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/live` | sign in | yes | yes | yes | yes |
| `GET /dashboard/search` | sign in | yes | yes | yes | yes |
| `GET /api/tokens/dashboard` | sign in | yes | yes | yes | yes |
| `GET /dashboard/tokens/new` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/tokens` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/tokens/{token_id}` | sign in | yes | yes | yes | yes |
| `GET /dashboard/tokens/{token_id}/edit` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/tokens/{token_id}/edit` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/tokens/revoke` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/tokens/revoke` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/tokens/{token_id}/rotate` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/tokens/{token_id}/rotate` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/tokens/{token_id}/revoke` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/tokens/{token_id}/revoke` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/tokens/{token_id}`, of an owner that is not granted | sign in | 404 | 404 | yes | yes |
| `POST /dashboard/tokens/{token_id}/edit`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/tokens/{token_id}/rotate`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/tokens/{token_id}/revoke`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `GET /dashboard/health` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/webhooks` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/webhooks/new` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/webhooks/{endpoint_id}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/rotate` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/enable` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/disable` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/example` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/replay` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/delete` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/webhooks/{endpoint_id}/deliveries/{delivery_id}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/connections` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/connections/new` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/connections/new/{kind_name}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/connections/new/{kind_name}` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/connections/{connection_id}` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/connections/{connection_id}`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/connections/{connection_id}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/connections/{connection_id}`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/connections/{connection_id}/rotate` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/connections/{connection_id}/test` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/connections/{connection_id}/delete` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/events` | sign in | yes | yes | yes | yes |
| `GET /dashboard/events/live` | sign in | yes | yes | yes | yes |
| `GET /dashboard/languages` | sign in | yes | yes | yes | yes |
| `GET /dashboard/languages/{locale}/example.wav` | sign in | yes | yes | yes | yes |
| `GET /dashboard/audit` | sign in | yes | yes | yes | yes |
| `GET /dashboard/audit.csv` | sign in | yes | yes | yes | yes |
| `GET /dashboard/test-numbers` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/test-numbers/new` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/test-numbers` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/test-numbers/{number_id}` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/test-numbers/{number_id}`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `POST /dashboard/test-numbers/{number_id}` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/test-numbers/{number_id}`, of an owner that is not granted | sign in | 403 | 404 | yes | yes |
| `GET /dashboard/test-numbers/{number_id}/delete` | sign in | 403 | yes | yes | yes |
| `POST /dashboard/test-numbers/{number_id}/delete` | sign in | 403 | yes | yes | yes |
| `GET /dashboard/people` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/people/{account_id}` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/{account_id}` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/{account_id}/disable` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/{account_id}/enable` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/people/{account_id}/delete` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/{account_id}/delete` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/people/invite` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/invite` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/people/roles` | sign in | 403 | 403 | yes | yes |
| `POST /dashboard/people/roles` | sign in | 403 | 403 | yes | yes |
| `GET /dashboard/profile` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/name` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/phone` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/phone/verify` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/phone/call-again` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/recovery-codes` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/profile/password` | sign in | yes | yes | yes | 403 |
| `GET /dashboard/sessions` | sign in | yes | yes | yes | 403 |
| `POST /dashboard/sessions/{session_id}/end`, one's own | sign in | yes | yes | yes | 403 |
| `POST /dashboard/sessions/{session_id}/end`, another's | sign in | 404 | 404 | 404 | 403 |
| `POST /dashboard/sessions/end-others` | sign in | yes | yes | yes | 403 |
| `GET /design`, in development only | sign in | yes | yes | yes | yes |
| `GET /simulator` | sign in | 403 | 403 | yes | yes |
| `GET /simulator/screen` | sign in | 403 | 403 | yes | yes |
| `POST /simulator/leave` | sign in | 403 | 403 | yes | yes |
| `POST /simulator/calls/{call_id}/{action}` | sign in | 403 | 403 | yes | yes |
| `POST /sign-out` | sign in | yes | yes | yes | yes |
"""

# Open to everyone. What a call requires, such as a password or a mailed link, is in its body.
OPEN = """\
`GET /`, `GET /docs`, `GET /docs/assets/{name}`, `GET /openapi.json`, `GET /llms.txt`, `GET /static/{filename}`,
`GET /health`, `GET /health/ready`, `GET /api/health`, `GET /api/languages`, `POST /api/auth/login`,
`POST /api/auth/second-factor`,
`POST /api/auth/second-factor/phone`, `POST /api/auth/second-factor/call-again`,
`POST /api/auth/second-factor/recovery`, `POST /api/auth/refresh`,
`POST /api/auth/register`, `POST /api/auth/verify-email`, `POST /api/auth/resend-verification`,
`POST /api/auth/forgot-password`, `POST /api/auth/reset-password`, `POST /api/auth/invitation-details`,
`POST /api/auth/register-invitation`, `POST /api/auth/jwt`, `GET /api/auth/sso`, `GET /api/auth/sso/start`,
`POST /api/auth/sso/start`, `POST /api/auth/sso`,
`GET /api/auth/sso/callback`, `GET /sign-in`, `POST /sign-in`, `GET /sign-in/code`, `POST /sign-in/code`,
`POST /sign-in/phone`, `POST /sign-in/call-again`, `POST /sign-in/recovery`,
`GET /accept-invitation`, `POST /accept-invitation`, `GET /forgot-password`, `POST /forgot-password`, `GET /register`,
`POST /register`, `GET /resend-verification`, `POST /resend-verification`, `GET /reset-password`,
`POST /reset-password`, `GET /verify-email`, `POST /verify-email`, `POST /theme`
"""

ROLES = ("viewer", "developer", "admin")
SCOPES = (
    "calls:read",
    "otp:send",
    "otp:verify",
    "otp:replay",
    "calls:cancel",
    "tokens:read",
    "tokens:write",
    "test_numbers:write",
    "webhooks:write",
    "otp:speak",
    "connections:write",
)
BUNDLES = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Asker:
    """One kind of actor. `name` is a role, a scope or bundle of a token, or which token or browser it is otherwise."""

    kind: str  # nobody, token, person, browser
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


NOBODY = Asker("nobody")
OTHER = Asker("token", "another owner's")
OWNER = Asker("browser", "built-in owner")
DISABLED = "disabled"
ASKERS = (
    NOBODY,
    *(Asker("token", scope) for scope in (*SCOPES, *BUNDLES)),
    OTHER,
    *(Asker(kind, role) for kind in ("person", "browser") for role in (*ROLES, DISABLED)),
    OWNER,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A call, and what comes of it: `cells` by column. `about` says of whose thing it is, where that matters."""

    method: str
    rule: str
    about: str
    cells: dict[str, str]

    @property
    def call(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def name(self) -> str:
        return f"{self.call}, {self.about}" if self.about else self.call

    def outcome(self, asker: Asker) -> str:
        """`yes`, `theirs` (yes, for what is the asker's own), `sign in`, a status, or `-` where it can't be asked."""
        by = self.cells["By"]
        if by in ("anyone", "signature", "this machine"):
            return self.cells["Nobody"]
        if asker.kind in ("token", "person") and "token" not in by:
            return self.cells["Nobody"]
        if asker.kind == "nobody" or asker.name == DISABLED or (asker.kind == "browser" and "cookie" not in by):
            return self.cells["Nobody"]
        if asker == OTHER:
            return self.cells["Another owner's token"]
        if asker.kind == "token":
            return self._outcome_of_token(asker.name)
        return self.cells["Built-in owner" if asker == OWNER else asker.name]

    def _outcome_of_token(self, scope: str) -> str:
        cell = self.cells["API token"]
        if cell in ("any", "-"):
            return "yes" if cell == "any" else "-"
        named = re.findall(r"`([^`]+)`", cell)
        assert named or cell == "none", self
        otherwise = re.search(r"else (\d+)$", cell)
        return "yes" if scope in named else otherwise[1] if otherwise else "403"


def rows() -> list[Row]:
    """The whole table."""
    calls = [_row(cells) for cells in _cells(CALLS)]
    pages = [_row({"By": "cookie", **cells}) for cells in _cells(PAGES)]
    opened = [_row({"Call": call, "By": "anyone", "Nobody": "yes"}) for call in re.findall(r"`[^`]+`", OPEN)]
    return calls + pages + opened


def as_documented() -> str:
    """The table as it is in docs/authentication.md."""
    return f"{CALLS}\n{PAGES}\nOpen to everyone: {OPEN.strip()}.\n"


def _cells(table: str) -> list[dict[str, str]]:
    head, _, *lines = ([cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def _row(cells: dict[str, str]) -> Row:
    found = re.fullmatch(r"`([A-Z]+) (\S+)`(?:, (.+))?", cells.get("Call") or cells["Page"])
    assert found, cells
    return Row(found[1], found[2], found[3] or "", cells)


if __name__ == "__main__":
    print(as_documented(), end="")
