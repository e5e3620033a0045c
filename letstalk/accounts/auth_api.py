"""`/api/auth`: signing in with a username and a password, renewing tokens, signing out."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_schemas import (
    LoginRequest,
    LogoutRequest,
    PasswordRequest,
    RefreshRequest,
    SecondFactorRequest,
    SignedInResponse,
)
from letstalk.accounts.devices import current_device
from letstalk.accounts.schemas import MeResponse, SessionList, SessionPath, SessionsEnded, account_fields
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor
from letstalk.core.errors import InvalidToken
from letstalk.http.guards import current_actor, public, require_access_token, require_person
from letstalk.http.openapi import documents_errors, needs_database
from letstalk.http.schemas import JsonResponse

# The errors of a sign-in that calls a phone.
CALL_REFUSALS = ("phone_required", "destination_blocked", "resend_too_soon", "phone_limit", "queue_full")


def make_blueprint(accounts: Accounts) -> APIBlueprint:
    auth = APIBlueprint("auth", __name__, abp_tags=[Tag(name="Signing in", description="People, and their sessions.")])
    sign_ins, sessions = accounts.sign_ins, accounts.sessions

    def list_own_sessions(actor: Actor) -> SessionList:
        return SessionList.of(sessions.list_sessions(actor.account_id or ""), actor.session_id)

    @auth.post("/api/auth/login", summary="Sign in", responses={200: SignedInResponse})
    @public
    @needs_database
    @documents_errors(
        "invalid_credentials",
        "second_factor_required",
        "email_not_verified",
        "sign_in_throttled",
        "too_many_failures",
        *CALL_REFUSALS,
    )
    def log_in(body: LoginRequest) -> JsonResponse:
        """An unknown username and a wrong password get the same response. A second factor makes the phone ring."""
        return SignedInResponse.of(sign_ins.sign_in(body.username, body.password, current_device())).model_dump()

    @auth.post("/api/auth/second-factor", summary="Sign in: the code from the phone", responses={200: SignedInResponse})
    @public
    @needs_database
    @documents_errors(
        "invalid_challenge",
        "invalid_code",
        "invalid_credentials",
        "code_expired",
        "code_used",
        "attempts_exceeded",
        "verification_superseded",
        "verification_failed",
        "too_many_failures",
    )
    def finish_second_factor(body: SecondFactorRequest) -> JsonResponse:
        """A challenge is valid for ten minutes and for one session. A later sign-in calls again and replaces it."""
        signed_in = sign_ins.finish_second_factor(body.challenge, body.code, current_device())
        return SignedInResponse.of(signed_in).model_dump()

    @auth.post("/api/auth/refresh", summary="Get the next pair of tokens", responses={200: SignedInResponse})
    @public
    @needs_database
    @documents_errors("invalid_token")
    def refresh(body: RefreshRequest) -> JsonResponse:
        """A refresh token works once. Using it again ends the session, because somebody must have stolen it."""
        return SignedInResponse.of(sign_ins.refresh(body.refresh_token, current_device())).model_dump()

    @auth.post("/api/auth/logout", summary="Sign out", responses={200: SessionsEnded})
    @require_person
    def log_out(body: LogoutRequest) -> JsonResponse:
        """The session's tokens stop working at once, on every instance; with `everywhere` those of all sessions."""
        ended = sign_ins.log_out(current_actor(), everywhere=body.everywhere)
        return SessionsEnded(sessions_ended=ended).model_dump()

    @auth.get("/api/auth/me", summary="Who is asking", responses={200: MeResponse})
    @require_person
    def get_me() -> JsonResponse:
        """The account, its role and grants, and the session."""
        actor = current_actor()
        account = accounts.service.get_account(actor, actor.account_id or "")
        session = next((each for each in list_own_sessions(actor).sessions if each.current), None)
        if session is None:
            raise InvalidToken  # it has ended since the guard looked
        return MeResponse(**account_fields(account), user_id=account.account_id, session=session).model_dump()

    @auth.put("/api/auth/password", summary="Change one's password", responses={200: SignedInResponse})
    @require_access_token
    @documents_errors("weak_password", "invalid_credentials", "sign_in_throttled")
    def change_password(body: PasswordRequest) -> JsonResponse:
        """All other sessions end. This one continues with the new tokens in the response; the old ones stop working."""
        signed_in = sign_ins.change_password(
            current_actor(), body.current_password, body.new_password, current_device()
        )
        return SignedInResponse.of(signed_in).model_dump()

    @auth.get("/api/auth/sessions", summary="One's own sessions", responses={200: SessionList})
    @require_person
    def list_sessions() -> JsonResponse:
        """With the device and the address of each sign-in, newest first."""
        return list_own_sessions(current_actor()).model_dump()

    @auth.delete("/api/auth/sessions", summary="End one's other sessions", responses={200: SessionsEnded})
    @require_person
    def end_other_sessions() -> JsonResponse:
        """All sessions but the one that makes the request."""
        actor = current_actor()
        ended = sessions.end_all_sessions(actor.account_id or "", actor, reason="ended", keep=actor.session_id)
        return SessionsEnded(sessions_ended=ended).model_dump()

    @auth.delete(
        "/api/auth/sessions/<uuid:session_id>", summary="End one of one's own sessions", responses={200: SessionsEnded}
    )
    @require_person
    @documents_errors("not_found")
    def end_session(path: SessionPath) -> JsonResponse:
        """Its tokens, or its cookie, stop working at once."""
        sessions.end_session(current_actor(), str(path.session_id))
        return SessionsEnded(sessions_ended=1).model_dump()

    return auth
