"""What the API description contains about accounts and signing in; `test_openapi.py` compares all of it."""

from __future__ import annotations

OPERATIONS = {
    "POST /api/auth/login": "log_in",
    "POST /api/auth/second-factor": "finish_second_factor",
    "POST /api/auth/second-factor/phone": "call_pending_phone",
    "POST /api/auth/second-factor/call-again": "call_again",
    "POST /api/auth/second-factor/recovery": "finish_with_recovery_code",
    "POST /api/auth/phone/call-again": "call_own_phone_again",
    "GET /api/auth/recovery-codes": "count_recovery_codes",
    "POST /api/auth/recovery-codes": "create_recovery_codes",
    "POST /api/auth/phone": "call_own_phone",
    "POST /api/auth/phone/verify": "verify_own_phone",
    "POST /api/auth/refresh": "refresh",
    "POST /api/auth/logout": "log_out",
    "GET /api/auth/me": "get_me",
    "PUT /api/auth/password": "change_password",
    "GET /api/auth/sessions": "list_sessions",
    "DELETE /api/auth/sessions": "end_other_sessions",
    "DELETE /api/auth/sessions/{session_id}": "end_session",
    "POST /api/auth/register": "register",
    "POST /api/auth/verify-email": "verify_email",
    "POST /api/auth/resend-verification": "resend_verification",
    "POST /api/auth/forgot-password": "ask_for_password",
    "POST /api/auth/reset-password": "reset_password",
    "POST /api/auth/invite": "invite",
    "POST /api/auth/invitation-details": "get_invitation",
    "POST /api/auth/register-invitation": "accept_invitation",
    "GET /api/auth/sso": "get_single_sign_on",
    "GET /api/auth/sso/start": "start_single_sign_on",
    "GET /api/auth/sso/callback": "finish_single_sign_on",
    "POST /api/auth/sso/start": "start_single_sign_on_for_client",
    "POST /api/auth/sso": "finish_single_sign_on_for_client",
    "POST /api/auth/jwt": "log_in_with_jwt",
    "GET /api/accounts": "list_accounts",
    "GET /api/accounts/{account_id}": "get_account",
    "PATCH /api/accounts/{account_id}": "update_account",
    "DELETE /api/accounts/{account_id}": "delete_account",
    "GET /api/accounts/roles": "list_roles",
    "PATCH /api/accounts/roles/{role}": "update_role",
}
BODY = {"invalid_request", "too_large", "unsupported_media_type"}
ANYONE = {"rate_limited", "not_ready"}
KNOWN = ANYONE | {"missing_authorization", "invalid_token", "address_not_allowed"}
PERSON = KNOWN | {"person_required"}
TOKEN = KNOWN | {"not_granted"}
SCOPED = TOKEN | {"insufficient_scope"}
FORM = {"csrf_failed"}
CALL = {"phone_required", "destination_blocked", "resend_too_soon", "phone_limit", "queue_full", "too_many_failures"}
AGAIN = {"replay_too_soon", "replays_exhausted", "phone_limit", "destination_limit", "queue_full", "too_many_failures"}
AGAIN |= {"code_expired", "code_used", "attempts_exceeded", "verification_canceled", "verification_superseded"}
AGAIN |= {"verification_failed"}
CODES = {
    "log_in": ANYONE | BODY | CALL | {"invalid_credentials", "second_factor_required", "sign_in_throttled"},
    "finish_second_factor": ANYONE
    | BODY
    | {"invalid_challenge", "invalid_code", "invalid_credentials", "code_expired", "code_used", "attempts_exceeded"}
    | {"verification_superseded", "verification_failed", "too_many_failures"},
    "call_pending_phone": ANYONE | BODY | CALL - {"phone_required"} | {"invalid_challenge", "invalid_phone"},
    "call_again": ANYONE | BODY | AGAIN | {"invalid_challenge"},
    "finish_with_recovery_code": ANYONE | BODY | {"invalid_challenge", "invalid_code", "invalid_credentials"},
    "call_own_phone_again": PERSON | FORM | AGAIN | {"no_pending_verification"},
    "count_recovery_codes": PERSON,
    "create_recovery_codes": PERSON
    | BODY
    | FORM
    | {"wrong_password", "sign_in_throttled", "fresh_sign_in_required", "no_phone"},
    "call_own_phone": PERSON
    | BODY
    | FORM
    | CALL - {"phone_required"}
    | {"invalid_phone", "wrong_password", "sign_in_throttled", "fresh_sign_in_required"},
    "verify_own_phone": PERSON
    | BODY
    | FORM
    | {"no_pending_verification", "invalid_code", "code_expired", "code_used", "attempts_exceeded"}
    | {"verification_superseded", "verification_failed", "too_many_failures"},
    "refresh": ANYONE | BODY | {"invalid_token"},
    "log_out": PERSON | BODY | FORM,
    "get_me": PERSON,
    "change_password": PERSON | BODY | {"weak_password", "wrong_password", "sign_in_throttled"},
    "list_sessions": PERSON | {"invalid_request"},
    "end_other_sessions": PERSON | FORM,
    "end_session": PERSON | FORM | {"not_found"},
    "register": ANYONE | BODY | {"registration_closed", "mail_not_set_up", "weak_password"},
    "verify_email": ANYONE | BODY | {"invalid_link", "weak_password", "sign_in_throttled"},
    "resend_verification": ANYONE | BODY | {"mail_not_set_up"},
    "ask_for_password": ANYONE | BODY | {"mail_not_set_up"},
    "reset_password": ANYONE | BODY | {"invalid_link", "weak_password", "sign_in_throttled"},
    "invite": SCOPED | BODY | FORM | {"email_taken"},
    "get_invitation": ANYONE | BODY | {"invalid_link"},
    "accept_invitation": ANYONE
    | BODY
    | CALL
    | {"sign_in_throttled"}
    | {"invalid_link", "weak_password", "username_taken", "invalid_credentials", "second_factor_required"},
    "get_single_sign_on": {"rate_limited"},
    "start_single_sign_on": ANYONE | {"invalid_request", "sso_not_configured"},
    "finish_single_sign_on": ANYONE
    | CALL
    | {"invalid_request", "sso_failed", "sso_canceled", "sso_refused"}
    | {"sso_not_configured"},
    "start_single_sign_on_for_client": ANYONE | BODY | {"sso_not_configured"},
    "finish_single_sign_on_for_client": ANYONE
    | BODY
    | CALL
    | {"sso_failed", "sso_refused", "sso_not_configured", "second_factor_required"},
    "log_in_with_jwt": ANYONE | BODY | CALL | {"invalid_token", "second_factor_required"},
    "list_accounts": SCOPED | {"invalid_request"},
    "get_account": TOKEN | {"not_found"},
    "update_account": SCOPED
    | BODY
    | FORM
    | {"not_found", "invalid_phone", "wrong_password", "sign_in_throttled", "email_not_verified"}
    | {"username_taken", "email_taken", "last_admin", "fresh_sign_in_required"},
    "delete_account": SCOPED | FORM | {"invalid_request", "not_found", "last_admin"},
    "list_roles": SCOPED,
    "update_role": SCOPED | BODY | FORM,
}
SCOPES = {
    "invite": "admin",
    "list_accounts": "admin",
    "get_account": None,
    "update_account": None,
    "delete_account": "admin",
    "list_roles": "admin",
    "update_role": "admin",
}
# Whether each may be called with the cookie of someone who is signed in to the dashboard.
BY_COOKIE = set(OPERATIONS.values()) - {
    *("call_again", "finish_with_recovery_code"),
    *("log_in", "finish_second_factor", "call_pending_phone", "refresh", "change_password", "register", "verify_email"),
    *("resend_verification", "ask_for_password", "reset_password", "get_invitation", "accept_invitation"),
    *("get_single_sign_on", "start_single_sign_on", "finish_single_sign_on", "log_in_with_jwt"),
    *("start_single_sign_on_for_client", "finish_single_sign_on_for_client"),
}
BODY_REQUIRED = {
    "log_in": True,
    "finish_second_factor": True,
    "call_pending_phone": True,
    "call_again": True,
    "finish_with_recovery_code": True,
    "create_recovery_codes": False,
    "call_own_phone": False,
    "verify_own_phone": True,
    "refresh": True,
    "log_out": False,
    "change_password": True,
    "register": True,
    "verify_email": True,
    "resend_verification": True,
    "ask_for_password": True,
    "reset_password": True,
    "invite": True,
    "get_invitation": True,
    "accept_invitation": True,
    "start_single_sign_on_for_client": True,
    "finish_single_sign_on_for_client": True,
    "log_in_with_jwt": True,
    "update_account": False,
    "update_role": True,
}
OPEN = {
    "/api/auth/login",
    "/api/auth/second-factor",
    "/api/auth/second-factor/phone",
    "/api/auth/second-factor/call-again",
    "/api/auth/second-factor/recovery",
    "/api/auth/refresh",
    "/api/auth/register",
    "/api/auth/verify-email",
    "/api/auth/resend-verification",
    "/api/auth/forgot-password",
    "/api/auth/reset-password",
    "/api/auth/invitation-details",
    "/api/auth/register-invitation",
    "/api/auth/sso",
    "/api/auth/sso/start",
    "/api/auth/sso/callback",
    "/api/auth/jwt",
}
