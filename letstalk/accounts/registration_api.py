"""`/api/auth`: accounts that people make for themselves, addresses that they prove, passwords that they have lost.

What names an e-mail address is answered alike, in the same time, whether somebody has it or not.
"""

from __future__ import annotations

from flask import request
from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_schemas import (
    AddressRequest,
    LinkRequest,
    PasswordResetAnswer,
    RegistrationAnswer,
    RegistrationRequest,
    ResetRequest,
    SentAnswer,
    VerifiedAnswer,
)
from letstalk.http.container import people
from letstalk.http.guards import public
from letstalk.http.links import link_base
from letstalk.http.openapi import needs_database, refuses
from letstalk.http.rate_limits import request_limits
from letstalk.http.schemas import JsonResponse

registrations = APIBlueprint(
    "registrations", __name__, abp_tags=[Tag(name="Registering", description="New people, and lost passwords.")]
)


@registrations.post(
    "/api/auth/register",
    summary="Make an account",
    description="Where the installation is open to everyone. The account can sign in once the link that is mailed was "
    "opened. An e-mail address that has an account already is answered alike, and gets a mail that says so. A name "
    "that somebody has is given with a number behind it; sign in with the e-mail address to see it.",
    responses={201: RegistrationAnswer},
)
@public
@needs_database
@refuses("registration_closed", "mail_not_set_up", "weak_password")
def register(body: RegistrationRequest) -> JsonResponse:
    request_limits().check_mail(request.environ)
    people().registrations.register(body.username, body.email, body.password, link_base())
    return RegistrationAnswer(message="Open the link that we mail to you, then sign in.").model_dump(), 201


@registrations.post("/api/auth/verify-email", summary="Prove one's address", responses={200: VerifiedAnswer})
@public
@needs_database
@refuses("invalid_link")
def verify_email(body: LinkRequest) -> JsonResponse:
    """With the link that was mailed, once, within 24 hours."""
    people().registrations.verify_email(body.token)
    return VerifiedAnswer(message="Your e-mail address is verified. You can sign in.").model_dump()


@registrations.post("/api/auth/resend-verification", summary="Get another link", responses={200: SentAnswer})
@public
@needs_database
@refuses("mail_not_set_up")
def resend_verification(body: AddressRequest) -> JsonResponse:
    """It ends the one before. Nobody is mailed more than three within half an hour, nor two within a minute."""
    request_limits().check_mail(request.environ)
    people().registrations.resend_verification(body.email, link_base())
    return _sent()


@registrations.post("/api/auth/forgot-password", summary="Ask for a new password", responses={200: SentAnswer})
@public
@needs_database
@refuses("mail_not_set_up")
def ask_for_password(body: AddressRequest) -> JsonResponse:
    """Whoever has the address is mailed a link, as often as with the verification. The present password goes on."""
    request_limits().check_mail(request.environ)
    people().password_resets.ask(body.email, link_base())
    return _sent()


@registrations.post("/api/auth/reset-password", summary="Choose a new password", responses={200: PasswordResetAnswer})
@public
@needs_database
@refuses("invalid_link", "weak_password")
def reset_password(body: ResetRequest) -> JsonResponse:
    """With the link that was mailed, once, within 30 minutes. Every session of the account ends; sign in anew."""
    people().password_resets.reset(body.token, body.new_password)
    return PasswordResetAnswer(message="Your password is changed. Sign in with the new one.").model_dump()


def _sent() -> JsonResponse:
    return SentAnswer(message="If the address has an account that needs it, we mail a link to it.").model_dump()
