"""`/api/auth`: new accounts, by registration or by invitation; proving an e-mail address; replacing a lost password.

A request that names an e-mail address gets the same response in the same time, whether an account has it or not.
"""

from __future__ import annotations

from flask import request
from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_api import CALL_REFUSALS
from letstalk.accounts.auth_schemas import (
    AddressRequest,
    InvitationAcceptance,
    InvitationRequest,
    InvitationResponse,
    LinkRequest,
    OpenInvitationResponse,
    PasswordResetResponse,
    RegistrationRequest,
    RegistrationResponse,
    ResetRequest,
    SentResponse,
    SignedInResponse,
    VerifiedResponse,
)
from letstalk.accounts.devices import current_device
from letstalk.accounts.invitations import NewInvitation
from letstalk.accounts.services import Accounts
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, public, require
from letstalk.http.local_requests import link_base
from letstalk.http.openapi import documents_errors, needs_database
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse

REGISTERING = Tag(name="Registering", description="New people, and lost passwords.")
INVITATIONS = Tag(name="Invitations", description="New people, invited by an admin.")


def make_blueprint(accounts: Accounts) -> APIBlueprint:
    api = APIBlueprint("registrations", __name__)
    _add_registration(api, accounts)
    _add_invitations(api, accounts)
    return api


def _add_registration(api: APIBlueprint, accounts: Accounts) -> None:
    @api.post(
        "/api/auth/register",
        tags=[REGISTERING],
        summary="Create an account",
        description="Where registration is open to everyone. The account can sign in once the link in the mail was "
        "opened. An e-mail address that already has an account gets the same response, and a mail that says so. A "
        "username that is taken gets a number appended; sign in with the e-mail address to see it.",
        responses={201: RegistrationResponse},
    )
    @public
    @needs_database
    @documents_errors("registration_closed", "mail_not_set_up", "weak_password")
    def register(body: RegistrationRequest) -> JsonResponse:
        request_limits().check_mail(request.environ)
        accounts.registrations.register(body.username, body.email, body.password, link_base())
        return RegistrationResponse(message="Open the link that we mail to you, then sign in.").model_dump(), 201

    @api.post(
        "/api/auth/verify-email",
        tags=[REGISTERING],
        summary="Prove one's e-mail address",
        responses={200: VerifiedResponse},
    )
    @public
    @needs_database
    @documents_errors("invalid_link")
    def verify_email(body: LinkRequest) -> JsonResponse:
        """With the link from the mail, once, within 24 hours."""
        accounts.registrations.verify_email(body.token)
        return VerifiedResponse(message="Your e-mail address is verified. You can sign in.").model_dump()

    @api.post(
        "/api/auth/resend-verification", tags=[REGISTERING], summary="Get another link", responses={200: SentResponse}
    )
    @public
    @needs_database
    @documents_errors("mail_not_set_up")
    def resend_verification(body: AddressRequest) -> JsonResponse:
        """It replaces the link before it. One address gets at most three mails in half an hour, and one a minute."""
        request_limits().check_mail(request.environ)
        accounts.registrations.resend_verification(body.email, link_base())
        return _sent()

    @api.post(
        "/api/auth/forgot-password", tags=[REGISTERING], summary="Ask for a new password", responses={200: SentResponse}
    )
    @public
    @needs_database
    @documents_errors("mail_not_set_up")
    def ask_for_password(body: AddressRequest) -> JsonResponse:
        """Mails a link, with the limits of a verification. The current password keeps working."""
        request_limits().check_mail(request.environ)
        accounts.password_resets.ask(body.email, link_base())
        return _sent()

    @api.post(
        "/api/auth/reset-password",
        tags=[REGISTERING],
        summary="Choose a new password",
        responses={200: PasswordResetResponse},
    )
    @public
    @needs_database
    @documents_errors("invalid_link", "weak_password")
    def reset_password(body: ResetRequest) -> JsonResponse:
        """With the link from the mail, once, within 30 minutes. Every session of the account ends; sign in again."""
        accounts.password_resets.reset(body.token, body.new_password)
        return PasswordResetResponse(message="Your password is changed. Sign in with the new one.").model_dump()


def _add_invitations(api: APIBlueprint, accounts: Accounts) -> None:
    @api.post(
        "/api/auth/invite",
        tags=[INVITATIONS],
        summary="Invite a person",
        description="With the link they choose a username and a password, once, within seven days. The link is mailed "
        "where mail is set up. Inviting a person again who has not accepted yet replaces role, grants and link.",
        responses={201: InvitationResponse},
    )
    @require(Scope.ADMIN, browser=True)
    @documents_errors("email_taken")
    def invite(body: InvitationRequest) -> JsonResponse:
        wanted = NewInvitation(email=body.email, role=body.role.value, user_ids=tuple(body.user_ids))
        invitation = accounts.invitations.invite(current_actor(), wanted, link_base())
        return InvitationResponse.of(invitation).model_dump(), 201

    @api.post(
        "/api/auth/invitation-details",
        tags=[INVITATIONS],
        summary="Look at an invitation",
        responses={200: OpenInvitationResponse},
    )
    @public
    @needs_database
    @documents_errors("invalid_link")
    def get_invitation(body: LinkRequest) -> JsonResponse:
        """The link is not used up."""
        return OpenInvitationResponse.of(accounts.invitations.look_at(body.token)).model_dump()

    @api.post(
        "/api/auth/register-invitation",
        tags=[INVITATIONS],
        summary="Accept an invitation",
        description="Signs in, unless the role requires a second factor: then the account is set up, and signing in "
        "continues as after a login.",
        responses={201: SignedInResponse},
    )
    @public
    @needs_database
    @documents_errors(
        "invalid_link",
        "weak_password",
        "username_taken",
        "invalid_credentials",
        "second_factor_required",
        "too_many_failures",
        *CALL_REFUSALS,
    )
    def accept_invitation(body: InvitationAcceptance) -> JsonResponse:
        signed_in = accounts.invitations.accept_and_sign_in(body.token, body.username, body.password, current_device())
        return SignedInResponse.of(signed_in).model_dump(), 201


def _sent() -> JsonResponse:
    return SentResponse(message="If the address has an account that needs it, we mail a link to it.").model_dump()
