"""`/api/auth`: hearing the code again, and recovery codes."""

from __future__ import annotations

from letstalk.accounts import schemas
from letstalk.accounts import second_factor_schemas as bodies
from letstalk.accounts.authentication import current_device
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor
from letstalk.core.clock import iso_utc, iso_utc_or_none
from letstalk.http.guards import current_actor, public, require_person
from letstalk.http.openapi import ApiRoutes, documents_errors, needs_database
from letstalk.http.schemas import JsonResponse
from letstalk.observability.redaction import mask_phone
from letstalk.verifications.models import CallAccepted

IS_OVER = (
    *("code_expired", "code_used", "attempts_exceeded", "verification_canceled", "verification_superseded"),
    "verification_failed",
)
REPLAY_REFUSALS = ("replay_too_soon", "replays_exhausted", "phone_limit", "destination_limit", "queue_full")


def confirms_password(accounts: Accounts, actor: Actor, password: str) -> bool:
    """Whether a password was given, which is then the actor's own. Raises as `SignInService.confirm_password`."""
    if password:
        accounts.sign_ins.confirm_password(actor, password, current_device())
    return bool(password)


def add_second_factor_routes(auth: ApiRoutes, accounts: Accounts) -> None:
    second_factors, recovery_codes = accounts.second_factors, accounts.recovery_codes

    @auth.post(
        "/api/auth/second-factor/call-again", summary="Sign in: be called again", responses={202: bodies.PhoneCalled}
    )
    @public
    @needs_database
    @documents_errors("invalid_challenge", *IS_OVER, *REPLAY_REFUSALS, "too_many_failures")
    def call_again(body: bodies.ChallengeRequest) -> JsonResponse:
        """Speaks the same code again, 20 s after the last time at the earliest, and three times at most."""
        return _called(second_factors.call_again(body.challenge))

    @auth.post(
        "/api/auth/second-factor/recovery",
        summary="Sign in: a recovery code",
        responses={200: schemas.SignedInResponse},
    )
    @public
    @needs_database
    @documents_errors("invalid_challenge", "invalid_code", "invalid_credentials")
    def finish_with_recovery_code(body: bodies.RecoveryRequest) -> JsonResponse:
        """In place of the code from the phone. It works once. After five wrong ones the sign-in is over."""
        signed_in = accounts.sign_ins.finish_with_recovery_code(body.challenge, body.recovery_code, current_device())
        return schemas.SignedInResponse.of(signed_in).model_dump()

    @auth.post(
        "/api/auth/phone/call-again", summary="Prove one's phone: be called again", responses={202: bodies.PhoneCalled}
    )
    @require_person
    @documents_errors("no_pending_verification", *IS_OVER, *REPLAY_REFUSALS, "too_many_failures")
    def call_own_phone_again() -> JsonResponse:
        """Speaks the same code again, 20 s after the last time at the earliest, and three times at most."""
        return _called(second_factors.call_pending_phone_again(current_actor()))

    @auth.get(
        "/api/auth/recovery-codes",
        summary="One's recovery codes: how many are left",
        responses={200: bodies.RecoveryCodesLeftResponse},
    )
    @require_person
    def count_recovery_codes() -> JsonResponse:
        """The codes themselves are shown once, when they are created."""
        left = recovery_codes.count_left(current_actor().account_id or "")
        created_at = iso_utc_or_none(left.created_at)
        return bodies.RecoveryCodesLeftResponse(remaining=left.remaining, created_at=created_at).model_dump()

    @auth.post(
        "/api/auth/recovery-codes", summary="Create recovery codes", responses={201: bodies.RecoveryCodesResponse}
    )
    @require_person
    @documents_errors("wrong_password", "sign_in_throttled", "fresh_sign_in_required", "no_phone")
    def create_recovery_codes(body: bodies.RecoveryCodesRequest) -> JsonResponse:
        """Ten codes, for when the phone is lost. Earlier ones stop working."""
        actor = current_actor()
        is_confirmed = confirms_password(accounts, actor, body.current_password)
        made = recovery_codes.replace_codes(actor, is_confirmed=is_confirmed)
        return bodies.RecoveryCodesResponse(
            codes=list(made.codes), created_at=iso_utc(made.created_at)
        ).model_dump(), 201


def _called(accepted: CallAccepted) -> JsonResponse:
    called = bodies.PhoneCalled(phone=mask_phone(accepted.phone), expires_in=accepted.expires_in)
    return called.model_dump(), 202
