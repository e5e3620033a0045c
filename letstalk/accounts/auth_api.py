"""`/api/auth`: signing in, sessions, registration, invitations, and replacing a lost password.

A request that names an e-mail address gets the same response in the same time, whether an account has it or not.
"""

from __future__ import annotations

from flask import request

from letstalk.accounts import schemas, second_factor_schemas
from letstalk.accounts.authentication import current_device
from letstalk.accounts.invitation_schemas import (
    InvitationAcceptance,
    InvitationRequest,
    InvitationResponse,
    OpenInvitationResponse,
)
from letstalk.accounts.registrations import NewInvitation
from letstalk.accounts.second_factor_api import add_second_factor_routes, confirms_password
from letstalk.accounts.second_factors import CHALLENGE_SECONDS
from letstalk.accounts.services import Accounts
from letstalk.core.errors import InvalidToken
from letstalk.core.field_errors import FieldErrors
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, public, require, require_access_token, require_person
from letstalk.http.local_requests import link_base
from letstalk.http.openapi import ApiRoutes, documents_errors, needs_database
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse, PageQuery
from letstalk.observability.redaction import mask_phone

# The errors of a sign-in that calls a phone.
CALL_REFUSALS = ("phone_required", "destination_blocked", "resend_too_soon", "phone_limit", "queue_full")


def make_blueprints(accounts: Accounts) -> list[ApiRoutes]:
    """One for each part of the API's description."""
    return [_make_signing_in(accounts), _make_registration(accounts), _make_invitations(accounts)]


def _make_signing_in(accounts: Accounts) -> ApiRoutes:
    auth = ApiRoutes("auth", "Signing in", "People, and their sessions.")
    _add_sign_in(auth, accounts)
    add_second_factor_routes(auth, accounts)
    _add_sessions(auth, accounts)
    return auth


def _add_sign_in(auth: ApiRoutes, accounts: Accounts) -> None:
    sign_ins, second_factors = accounts.sign_ins, accounts.second_factors

    @auth.post("/api/auth/login", summary="Sign in", responses={200: schemas.SignedInResponse})
    @public
    @needs_database
    @documents_errors(
        "invalid_credentials", "second_factor_required", "sign_in_throttled", "too_many_failures", *CALL_REFUSALS
    )
    def log_in(body: schemas.LoginRequest) -> JsonResponse:
        """An unknown username and a wrong password get the same response. A second factor makes the phone ring."""
        return schemas.SignedInResponse.of(sign_ins.sign_in(body.name, body.password, current_device())).model_dump()

    @auth.post(
        "/api/auth/second-factor", summary="Sign in: the code from the phone", responses={200: schemas.SignedInResponse}
    )
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
    def finish_second_factor(body: second_factor_schemas.SecondFactorRequest) -> JsonResponse:
        """A challenge is valid for ten minutes and for one session. A later sign-in calls again and replaces it."""
        signed_in = sign_ins.finish_second_factor(body.challenge, body.code, current_device())
        return schemas.SignedInResponse.of(signed_in).model_dump()

    @auth.post(
        "/api/auth/second-factor/phone",
        summary="Sign in: have one's phone called that is not proven",
        responses={202: second_factor_schemas.PhoneCalled},
    )
    @public
    @needs_database
    @documents_errors("invalid_challenge", "invalid_phone", *CALL_REFUSALS[1:], "too_many_failures")
    def call_pending_phone(body: second_factor_schemas.OwnPhoneRequest) -> JsonResponse:
        """After `phone_required`. The code then proves the phone and finishes the sign-in."""
        masked = second_factors.call_own_phone(body.challenge, body.phone)
        return second_factor_schemas.PhoneCalled(phone=masked, expires_in=CHALLENGE_SECONDS).model_dump(), 202

    @auth.post("/api/auth/phone", summary="Prove one's phone", responses={202: second_factor_schemas.PhoneCalled})
    @require_person
    @documents_errors(
        *("invalid_phone", "wrong_password", "sign_in_throttled", "fresh_sign_in_required"),
        *CALL_REFUSALS[1:],
        "too_many_failures",
    )
    def call_own_phone(body: second_factor_schemas.PhoneRequest) -> JsonResponse:
        """Calls it with a code. Until the code was given, the phone that was proven before stays in force."""
        actor = current_actor()
        problems, is_confirmed = FieldErrors(), False
        with problems.collected():
            is_confirmed = confirms_password(accounts, actor, body.current_password)
        if body.phone is not None:
            with problems.collected():
                accounts.service.check_phone(body.phone)
        problems.raise_found()
        accepted = second_factors.begin_proof(actor, body.phone, is_confirmed=is_confirmed)
        return second_factor_schemas.PhoneCalled(
            phone=mask_phone(accepted.phone), expires_in=accepted.expires_in
        ).model_dump(), 202

    @auth.post(
        "/api/auth/phone/verify", summary="Prove one's phone: the code", responses={200: schemas.AccountResponse}
    )
    @require_person
    @documents_errors(
        *("no_pending_verification", "invalid_code", "code_expired", "code_used", "attempts_exceeded"),
        *("verification_superseded", "verification_failed", "too_many_failures"),
    )
    def verify_own_phone(body: second_factor_schemas.PhoneCodeRequest) -> JsonResponse:
        """The phone counts from now on, and sign-ins that wait for another phone's code are over."""
        account = second_factors.finish_proof(current_actor(), body.code, second_factor=body.second_factor)
        return schemas.AccountResponse.of(account).model_dump()

    @auth.post("/api/auth/refresh", summary="Get the next pair of tokens", responses={200: schemas.SignedInResponse})
    @public
    @needs_database
    @documents_errors("invalid_token")
    def refresh(body: schemas.RefreshRequest) -> JsonResponse:
        """A refresh token works once. Within 20 s the same client may repeat; any other use of it ends the session."""
        return schemas.SignedInResponse.of(accounts.sessions.refresh(body.refresh_token, current_device())).model_dump()

    @auth.post("/api/auth/logout", summary="Sign out", responses={200: schemas.SessionsEnded})
    @require_person
    def log_out(body: schemas.LogoutRequest) -> JsonResponse:
        """The session's tokens stop working at once, on every instance; with `everywhere` those of all sessions."""
        ended = sign_ins.log_out(current_actor(), everywhere=body.everywhere)
        return schemas.SessionsEnded(sessions_ended=ended).model_dump()

    @auth.put("/api/auth/password", summary="Change one's password", responses={200: schemas.SignedInResponse})
    @require_access_token
    @documents_errors("weak_password", "wrong_password", "sign_in_throttled")
    def change_password(body: schemas.PasswordRequest) -> JsonResponse:
        """All other sessions end. This one continues with the new tokens in the response; the old ones stop working."""
        signed_in = sign_ins.change_password(
            current_actor(), body.current_password, body.new_password, current_device()
        )
        return schemas.SignedInResponse.of(signed_in).model_dump()


def _add_sessions(auth: ApiRoutes, accounts: Accounts) -> None:
    sessions = accounts.sessions

    @auth.get("/api/auth/me", summary="Who is asking", responses={200: schemas.MeResponse})
    @require_person
    def get_me() -> JsonResponse:
        """The account, its role and grants, and the session."""
        actor = current_actor()
        account = accounts.service.get_account(actor, actor.account_id or "")
        found = sessions.find_session(actor.session_id or "")
        if found is None:
            raise InvalidToken  # it has ended since the guard looked
        session = schemas.SessionResponse.of(found, actor.session_id)
        return schemas.MeResponse(
            **schemas.account_fields(account),
            user_id=actor.owner_id or None,
            scopes=[scope for scope in Scope if actor.holds(scope)],
            session=session,
        ).model_dump()

    @auth.get("/api/auth/sessions", summary="One's own sessions", responses={200: schemas.SessionList})
    @require_person
    def list_sessions(query: PageQuery) -> JsonResponse:
        """With the device and the address of each sign-in, newest first. An account has 50 at most."""
        actor = current_actor()
        page = sessions.page_sessions(actor.account_id or "", **query.model_dump())
        return schemas.SessionList.of(page, actor.session_id).model_dump()

    @auth.delete("/api/auth/sessions", summary="End one's other sessions", responses={200: schemas.SessionsEnded})
    @require_person
    def end_other_sessions() -> JsonResponse:
        """All sessions but the one that makes the request."""
        actor = current_actor()
        ended = sessions.end_all_sessions(actor.account_id or "", actor, reason="ended", keep=actor.session_id)
        return schemas.SessionsEnded(sessions_ended=ended).model_dump()

    @auth.delete(
        "/api/auth/sessions/<uuid:session_id>",
        summary="End one of one's own sessions",
        responses={200: schemas.SessionsEnded},
    )
    @require_person
    @documents_errors("not_found")
    def end_session(path: schemas.SessionPath) -> JsonResponse:
        """Its tokens, or its cookie, stop working at once."""
        sessions.end_session(current_actor(), str(path.session_id))
        return schemas.SessionsEnded(sessions_ended=1).model_dump()


def _make_registration(accounts: Accounts) -> ApiRoutes:
    auth = ApiRoutes("registrations", "Registering", "New people, and lost passwords.")

    @auth.post(
        "/api/auth/register",
        summary="Create an account",
        description="Where registration is open to everyone. The person chooses the password with the link in the "
        "mail, and can sign in then. An e-mail address that already has an account gets the same response, and a mail "
        "that says so. A username that is taken gets a number appended; sign in with the e-mail address to see it.",
        responses={201: schemas.RegistrationResponse},
    )
    @public
    @needs_database
    @documents_errors("registration_closed", "mail_not_set_up", "weak_password")
    def register(body: schemas.RegistrationRequest) -> JsonResponse:
        request_limits().check_mail(request.environ)
        accounts.registrations.register(
            body.username, body.email, link_base(), current_device().address, password=body.password
        )
        return schemas.RegistrationResponse(
            message="Open the link that we mail to you, and choose your password."
        ).model_dump(), 201

    @auth.post(
        "/api/auth/verify-email", summary="Prove one's e-mail address", responses={200: schemas.VerifiedResponse}
    )
    @public
    @needs_database
    @documents_errors("invalid_link", "weak_password", "sign_in_throttled")
    def verify_email(body: schemas.VerificationRequest) -> JsonResponse:
        """With the link from the mail, once, within 24 hours. The person chooses the account's password."""
        accounts.registrations.verify_email(body.token, body.password, current_device().address)
        return schemas.VerifiedResponse(message="Your e-mail address is verified. You can sign in.").model_dump()

    @auth.post("/api/auth/resend-verification", summary="Get another link", responses={200: schemas.SentResponse})
    @public
    @needs_database
    @documents_errors("mail_not_set_up")
    def resend_verification(body: schemas.AddressRequest) -> JsonResponse:
        """It replaces the link before it. One address gets at most three mails in half an hour, and one a minute."""
        request_limits().check_mail(request.environ)
        accounts.registrations.resend_verification(body.email, link_base(), current_device().address)
        return _sent()

    @auth.post("/api/auth/forgot-password", summary="Ask for a new password", responses={200: schemas.SentResponse})
    @public
    @needs_database
    @documents_errors("mail_not_set_up")
    def ask_for_password(body: schemas.AddressRequest) -> JsonResponse:
        """Mails a link, with the limits of a verification. The current password keeps working."""
        request_limits().check_mail(request.environ)
        accounts.password_resets.request_link(body.email, link_base(), current_device().address)
        return _sent()

    @auth.post(
        "/api/auth/reset-password", summary="Choose a new password", responses={200: schemas.PasswordResetResponse}
    )
    @public
    @needs_database
    @documents_errors("invalid_link", "weak_password", "sign_in_throttled")
    def reset_password(body: schemas.ResetRequest) -> JsonResponse:
        """With the link from the mail, once, within 30 minutes. Every session of the account ends; sign in again."""
        accounts.password_resets.reset(body.token, body.new_password, current_device().address)
        return schemas.PasswordResetResponse(message="Your password is changed. Sign in with the new one.").model_dump()

    return auth


def _make_invitations(accounts: Accounts) -> ApiRoutes:
    auth = ApiRoutes("invitations", "Invitations", "New people, invited by an admin.")

    @auth.post(
        "/api/auth/invite",
        summary="Invite a person",
        description="With the link they choose a username and a password, once, within seven days. The link is mailed "
        "where mail is set up. Inviting a person again who has not accepted yet replaces role, grants and link.",
        responses={201: InvitationResponse},
    )
    @require(Scope.ADMIN, browser=True)
    @documents_errors("email_taken")
    def invite(body: InvitationRequest) -> JsonResponse:
        wanted = NewInvitation(email=body.email, role=body.role.value, owner_ids=tuple(body.user_ids))
        invitation = accounts.invitations.invite(current_actor(), wanted, link_base())
        return InvitationResponse.of(invitation).model_dump(), 201

    @auth.post("/api/auth/invitation-details", summary="Look at an invitation", responses={200: OpenInvitationResponse})
    @public
    @needs_database
    @documents_errors("invalid_link")
    def get_invitation(body: schemas.LinkRequest) -> JsonResponse:
        """The link is not used up."""
        return OpenInvitationResponse.of(accounts.invitations.get_invitation(body.token)).model_dump()

    @auth.post(
        "/api/auth/register-invitation",
        summary="Accept an invitation",
        description="Signs in, unless the role requires a second factor: then the account is set up, and signing in "
        "continues as after a login.",
        responses={201: schemas.SignedInResponse},
    )
    @public
    @needs_database
    @documents_errors(
        "invalid_link",
        "weak_password",
        "sign_in_throttled",
        "username_taken",
        "invalid_credentials",
        "second_factor_required",
        "too_many_failures",
        *CALL_REFUSALS,
    )
    def accept_invitation(body: InvitationAcceptance) -> JsonResponse:
        signed_in = accounts.invitations.accept_and_sign_in(body.token, body.username, body.password, current_device())
        return schemas.SignedInResponse.of(signed_in).model_dump(), 201

    return auth


def _sent() -> JsonResponse:
    return schemas.SentResponse(
        message="If the address has an account that needs it, we mail a link to it."
    ).model_dump()
