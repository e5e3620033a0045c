"""`/api/auth`: signing in with a name and a password, staying in, and signing out."""

from __future__ import annotations

from flask import request
from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_schemas import (
    LoginRequest,
    LogoutRequest,
    PasswordRequest,
    RefreshRequest,
    SecondFactorRequest,
    SignedInAnswer,
)
from letstalk.accounts.models import Device
from letstalk.accounts.schemas import MeAnswer, SessionList, SessionPath, SessionsEnded, account_fields
from letstalk.core.actors import Actor
from letstalk.core.errors import InvalidToken
from letstalk.http.container import people
from letstalk.http.guards import current_actor, public, remote_address, require_access_token, require_person
from letstalk.http.openapi import needs_database, refuses
from letstalk.http.schemas import JsonResponse

auth = APIBlueprint("auth", __name__, abp_tags=[Tag(name="Signing in", description="People, and their sessions.")])

# What a call to a phone can be refused with, where signing in asks for one.
CALL_REFUSALS = ("phone_required", "destination_blocked", "resend_too_soon", "phone_limit", "queue_full")


def current_device() -> Device:
    """Where the request comes from, as a session remembers it."""
    return Device(remote_address(), request.headers.get("User-Agent", ""))


@auth.post("/api/auth/login", summary="Sign in", responses={200: SignedInAnswer})
@public
@needs_database
@refuses(
    "invalid_credentials",
    "second_factor_required",
    "email_not_verified",
    "sign_in_throttled",
    "too_many_failures",
    *CALL_REFUSALS,
)
def log_in(body: LoginRequest) -> JsonResponse:
    """An unknown name and a wrong password are answered alike. Where a second factor is asked for, the phone rings."""
    return SignedInAnswer.of(people().sign_ins.sign_in(body.username, body.password, current_device())).model_dump()


@auth.post("/api/auth/second-factor", summary="Sign in: the code that the phone heard", responses={200: SignedInAnswer})
@public
@needs_database
@refuses(
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
    """A challenge is good for ten minutes and one session. A later sign-in calls again and takes its place."""
    signed_in = people().sign_ins.finish_second_factor(body.challenge, body.code, current_device())
    return SignedInAnswer.of(signed_in).model_dump()


@auth.post("/api/auth/refresh", summary="Get the next pair of tokens", responses={200: SignedInAnswer})
@public
@needs_database
@refuses("invalid_token")
def refresh(body: RefreshRequest) -> JsonResponse:
    """The refresh token is spent with it. Using a spent one ends the session: one of two who have it stole it."""
    return SignedInAnswer.of(people().sign_ins.refresh(body.refresh_token, current_device())).model_dump()


@auth.post("/api/auth/logout", summary="Sign out", responses={200: SessionsEnded})
@require_person
def log_out(body: LogoutRequest) -> JsonResponse:
    """The session's tokens are dead at once, on every instance; with `everywhere` those of every session."""
    ended = people().sign_ins.log_out(current_actor(), everywhere=body.everywhere)
    return SessionsEnded(sessions_ended=ended).model_dump()


@auth.get("/api/auth/me", summary="Who is asking", responses={200: MeAnswer})
@require_person
def get_me() -> JsonResponse:
    """The account, its role and grants, and the session."""
    actor = current_actor()
    account = people().accounts.get_account(actor, _account_id(actor))
    session = next((it for it in _sessions(actor).sessions if it.current), None)
    if session is None:
        raise InvalidToken  # it has ended since the guard looked
    return MeAnswer(**account_fields(account), user_id=account.account_id, session=session).model_dump()


@auth.put("/api/auth/password", summary="Change one's password", responses={200: SignedInAnswer})
@require_access_token
@refuses("weak_password", "invalid_credentials", "sign_in_throttled")
def change_password(body: PasswordRequest) -> JsonResponse:
    """All other sessions end. This one goes on with the pair of tokens in the answer: the ones before are refused."""
    signed_in = people().sign_ins.change_password(
        current_actor(), body.current_password, body.new_password, current_device()
    )
    return SignedInAnswer.of(signed_in).model_dump()


@auth.get("/api/auth/sessions", summary="One's own sessions", responses={200: SessionList})
@require_person
def list_sessions() -> JsonResponse:
    """With the device and the place of each sign-in, newest first."""
    return _sessions(current_actor()).model_dump()


@auth.delete("/api/auth/sessions", summary="End one's other sessions", responses={200: SessionsEnded})
@require_person
def end_other_sessions() -> JsonResponse:
    """All but the one that asks."""
    actor = current_actor()
    ended = people().sessions.end_all_sessions(_account_id(actor), actor, reason="ended", keep=actor.session_id)
    return SessionsEnded(sessions_ended=ended).model_dump()


@auth.delete(
    "/api/auth/sessions/<uuid:session_id>", summary="End one of one's own sessions", responses={200: SessionsEnded}
)
@require_person
@refuses("not_found")
def end_session(path: SessionPath) -> JsonResponse:
    """Its tokens, or its cookie, are dead at once."""
    people().sessions.end_session(current_actor(), str(path.session_id))
    return SessionsEnded(sessions_ended=1).model_dump()


def _sessions(actor: Actor) -> SessionList:
    return SessionList.of(people().sessions.list_sessions(_account_id(actor)), actor.session_id)


def _account_id(actor: Actor) -> str:
    return actor.account_id or ""
