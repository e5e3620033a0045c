"""`/api/auth`: inviting people, and coming by an invitation."""

from __future__ import annotations

from flask_openapi3 import APIBlueprint, Tag

from letstalk.accounts.auth_api import CALL_REFUSALS, current_device
from letstalk.accounts.auth_schemas import (
    InvitationAcceptance,
    InvitationAnswer,
    InvitationRequest,
    LinkRequest,
    OpenInvitationAnswer,
    SignedInAnswer,
)
from letstalk.accounts.invitations import NewInvitation
from letstalk.core.scopes import Scope
from letstalk.http.container import people
from letstalk.http.guards import current_actor, public, require
from letstalk.http.links import link_base
from letstalk.http.openapi import needs_database, refuses
from letstalk.http.schemas import JsonResponse

invitations = APIBlueprint(
    "invitations", __name__, abp_tags=[Tag(name="Invitations", description="New people, asked in by an admin.")]
)


@invitations.post(
    "/api/auth/invite",
    summary="Invite someone",
    description="They choose name and password by the link, once, within seven days. It is mailed where mail is set "
    "up. Inviting someone again who has not come yet replaces role, grants and link.",
    responses={201: InvitationAnswer},
)
@require(Scope.ADMIN, browser=True)
@refuses("email_taken")
def invite(body: InvitationRequest) -> JsonResponse:
    wanted = NewInvitation(email=body.email, role=body.role.value, user_ids=tuple(body.user_ids))
    return InvitationAnswer.of(people().invitations.invite(current_actor(), wanted, link_base())).model_dump(), 201


@invitations.post(
    "/api/auth/invitation-details", summary="Look at an invitation", responses={200: OpenInvitationAnswer}
)
@public
@needs_database
@refuses("invalid_link")
def get_invitation(body: LinkRequest) -> JsonResponse:
    """The link stays good."""
    return OpenInvitationAnswer.of(people().invitations.look_at(body.token)).model_dump()


@invitations.post(
    "/api/auth/register-invitation",
    summary="Accept an invitation",
    description="Signed in, unless the role asks for a second factor: then the account is set up, and signing in goes "
    "on as it does after a login.",
    responses={201: SignedInAnswer},
)
@public
@needs_database
@refuses(
    "invalid_link",
    "weak_password",
    "username_taken",
    "invalid_credentials",
    "second_factor_required",
    "too_many_failures",
    *CALL_REFUSALS,
)
def accept_invitation(body: InvitationAcceptance) -> JsonResponse:
    signed_in = people().invitations.accept_and_sign_in(body.token, body.username, body.password, current_device())
    return SignedInAnswer.of(signed_in).model_dump(), 201
