"""What an answer must be to be one that the description describes, however the request reached the service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from schemathesis import Case, Response
from schemathesis.checks import CHECKS, load_all_checks

from letstalk.http.schemas import ERRORS

SEED = 20261120

# How many requests each operation gets at least, and what it must have answered to some of them: a comparison of
# refusals alone would prove little.
MUST_MEET: dict[str, tuple[int, set[int]]] = {
    "send_otp": (200, {202, 400, 401, 403, 422, 429, 503}),
    "verify_code": (160, {200, 400, 401, 403, 404, 410}),
    "replay_otp": (160, {202, 400, 401, 403, 410, 422, 429}),
    "list_verifications": (180, {200, 400, 401, 403}),
    "get_verification": (130, {200, 401, 403, 404}),
    "cancel_verification": (130, {200, 401, 403, 404, 409}),
    "create_token": (180, {201, 400, 401, 403}),
    "list_tokens": (160, {200, 400, 401, 403}),
    "get_realtime_statistics": (20, {200, 401, 403}),
    "get_statistics": (100, {200, 400, 401, 403}),
    "get_token_usage": (60, {200, 400, 401, 403, 404}),
    "get_current_token": (120, {200, 401, 403}),
    "get_token": (120, {200, 401, 403, 404}),
    "update_token": (180, {200, 400, 401, 403, 404, 409}),
    "rotate_token": (140, {201, 400, 401, 403, 404, 409}),
    "revoke_token": (120, {200, 401, 403, 404}),
    "list_audit": (150, {200, 400, 401, 403}),
    "speak_code": (40, {400, 401, 403}),
    "report_outcome": (20, {401, 403, 404}),
    "list_test_numbers": (20, {200, 401, 403}),
    "create_test_number": (40, {400, 401, 403}),
    "get_test_number": (20, {401, 403, 404}),
    "update_test_number": (20, {401, 403, 404}),
    "delete_test_number": (20, {401, 403, 404}),
    "list_events": (40, {200, 400, 401, 403}),
    "get_event": (20, {401, 403, 404}),
    "list_endpoints": (20, {200, 401, 403}),
    "create_endpoint": (40, {400, 401, 403}),
    "get_endpoint": (20, {401, 403, 404}),
    "update_endpoint": (20, {401, 403, 404}),
    "delete_endpoint": (20, {401, 403, 404}),
    "rotate_secret": (20, {401, 403, 404}),
    "enable_endpoint": (20, {401, 403, 404}),
    "disable_endpoint": (20, {401, 403, 404}),
    "send_example": (20, {401, 403, 404}),
    "list_deliveries": (20, {401, 403, 404}),
    "get_delivery": (20, {401, 403, 404}),
    "redeliver": (20, {401, 403, 404}),
    "replay_since": (20, {401, 403, 404}),
    "create_connection": (40, {400, 401, 403}),
    "list_connections": (20, {200, 401, 403}),
    "get_connection": (20, {401, 403, 404}),
    "update_connection": (20, {401, 403, 404}),
    "delete_connection": (20, {401, 403, 404}),
    "rotate_connection_secret": (20, {401, 403, 404}),
    "send_connection_test": (20, {401, 403, 404}),
    "list_received": (20, {401, 403, 404}),
    "get_simulated_call": (8, {404}),
    "receive_telnyx_event": (130, {200, 400, 403}),
    "list_languages": (8, {200}),
    "get_health": (8, {200, 400}),
    "get_readiness": (8, {200, 503}),
    "get_trunk_status": (8, {200}),
    "get_metrics": (8, {200}),
    "get_description": (8, {200}),
    "log_in": (40, {200, 400, 401, 429}),
    "finish_second_factor": (40, {400, 401}),
    "call_pending_phone": (40, {400, 401}),
    "call_again": (40, {400, 401}),
    "finish_with_recovery_code": (40, {400, 401}),
    "call_own_phone_again": (8, {401}),
    "count_recovery_codes": (8, {401}),
    "create_recovery_codes": (8, {401}),
    "call_own_phone": (40, {400, 401}),
    "verify_own_phone": (40, {400, 401}),
    "refresh": (40, {200, 400, 401}),
    "log_out": (40, {200, 400, 401, 403}),
    "get_me": (8, {200}),
    "change_password": (40, {400, 401, 403}),
    "list_sessions": (8, {200}),
    "end_other_sessions": (8, {200}),
    "end_session": (40, {200, 401, 403, 404}),
    "list_accounts": (40, {200, 400, 401, 403}),
    "get_account": (40, {200, 401, 403, 404}),
    "update_account": (40, {200, 400, 401, 403, 404}),
    "delete_account": (40, {200, 400, 401, 403, 404}),
    "list_roles": (8, {200}),
    "update_role": (40, {200, 400, 401, 403}),
    "register": (40, {400, 403}),
    "verify_email": (40, {400}),
    "resend_verification": (40, {400}),
    "ask_for_password": (40, {400}),
    "reset_password": (40, {400}),
    "invite": (40, {201, 400, 401, 403}),
    "get_invitation": (40, {400}),
    "accept_invitation": (40, {400}),
    "get_single_sign_on": (8, {200}),
    "start_single_sign_on": (8, {404}),
    "finish_single_sign_on": (8, {404}),
    "start_single_sign_on_for_client": (40, {400}),
    "finish_single_sign_on_for_client": (40, {400}),
    "log_in_with_jwt": (40, {400}),
}

# What an operation may refuse although its schema is met: by a code, or in a field.
RULES: dict[str, set[str]] = {
    "send_otp": {"message", "locale", "message_template"},
    "verify_code": {"invalid_code"},
    "create_token": {"name"},  # of spaces alone
    "update_token": {"name"},
    "create_connection": {"secret", "pointers", "pointers.phone", "pointers.code", "pointers.locale"}
    | {"message_types"},
    "receive_telnyx_event": {"invalid_request"},
    "log_in": {"email"},
    "change_password": {"weak_password"},
    "call_own_phone": {"invalid_phone", "phone"},
    "verify_own_phone": {"invalid_code", "no_pending_verification"},
    "update_account": {"username", "email", "phone", "user_ids", "second_factor", "invalid_phone"}
    | {"revoke_tokens", "current_password"},
    "register": {"username", "email", "weak_password"},
    "verify_email": {"invalid_link"},
    "resend_verification": {"email"},
    "ask_for_password": {"email"},
    "reset_password": {"invalid_link", "weak_password"},
    "invite": {"email", "user_ids"},
    "get_invitation": {"invalid_link"},
    "accept_invitation": {"invalid_link", "username", "weak_password"},
}


def judge(
    operation: str, case: Case[Any], response: Response, headers: dict[str, str], *, means_to_be_right: bool
) -> None:
    """Hold the answer against all of Schemathesis's checks. Raises its FailureGroup, which says what was wrong.

    Schemathesis looks at a case again once it is sent, and may find that what it made wrong has come out right by the
    schema. Nothing real was put into such a case, so that it may be refused all the same.
    """
    load_all_checks()
    may_be_refused = not means_to_be_right or is_by_a_rule(operation, response)
    excluded: list[Any] = [CHECKS.get_one("positive_data_acceptance")] if may_be_refused else []
    if response.status_code == 503:  # whether it may be, and with which codes, the conformance checks know
        excluded.append(CHECKS.get_one("not_a_server_error"))
    if "X-Sign" in headers:  # signed beneath Schemathesis, which takes its own wrong signatures for accepted
        excluded.append(CHECKS.get_one("ignored_auth"))
    case.validate_response(response, headers=headers, excluded_checks=excluded)
    if response.status_code >= 400 and response.status_code != 405:  # 405 is described once for all addresses
        code = response.json()["code"]
        assert code in codes_of(case.operation.definition.raw, str(response.status_code)), (operation, code)


def codes_of(described: Mapping[str, Any], status: str) -> set[str]:
    """The error codes with which the description says that an operation may answer under `status`."""
    words = described["responses"].get(status, {}).get("description", "")
    return {code for code in re.findall(r"`([a-z_]+)`", words) if code in ERRORS and str(ERRORS[code].status) == status}


def is_by_a_rule(operation: str, response: Response) -> bool:
    """Whether the refusal comes of a rule that no schema can state, so that the request need not have been wrong."""
    if response.status_code in (410, 422):
        return True
    if response.status_code != 400:
        return False
    body, rules = response.json(), RULES.get(operation, set())
    fields = {detail["field"] for detail in body.get("details", ())}
    return body["code"] in rules or (bool(fields) and fields <= rules)
