"""Verifications as Twilio has them, made of ours: a second request while one is pending has its code spoken again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import Conflict, Gone, InvalidCode, InvalidRequest, NoPendingVerification, NotFound
from letstalk.core.scopes import Scope
from letstalk.http.idempotency import IdempotencyKey
from letstalk.speaking.models import NewSpokenCode, SpokenCall
from letstalk.speaking.service import SpeakService
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.twilio.models import TTL_SECONDS, NewTwilioVerification, Sid, TwilioVerification, VerifyService
from letstalk.twilio.rate_limits import RateLimitService
from letstalk.verifications.models import NewVerification, Verification, VerificationRef, VerificationStatus
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

PENDING = VerificationStatus.PENDING.value


@dataclass(frozen=True, slots=True)
class OurServices:
    """What Twilio's verifications are made of."""

    sends: SendService
    verifications: VerificationService
    speaking: SpeakService
    rate_limits: RateLimitService


class TwilioVerifications:
    def __init__(self, ours: OurServices, audit: AuditTrail, clock: Clock, spoken_names: frozenset[str]) -> None:
        """`spoken_names` are the names that the operator allows calls to say."""
        self._sends = ours.sends
        self._verifications = ours.verifications
        self._speaking = ours.speaking
        self._rate_limits = ours.rate_limits
        self._audit = audit
        self._clock = clock
        self._spoken_names = spoken_names

    def start(
        self,
        actor: Actor,
        service: VerifyService,
        wanted: NewTwilioVerification,
        idempotency: IdempotencyKey | None = None,
    ) -> TwilioVerification:
        """Call a phone and say a code: a new one, the one that is pending, or the app's own.

        Raises InvalidPhone, InvalidRequest (also 60204), Forbidden (InsufficientScope, DestinationBlocked), Conflict
        `replays_exhausted`, TooManyRequests, Unavailable, IdempotencyKeyReused.
        """
        if wanted.custom_code is not None:
            actor.ensure_holds(Scope.OTP_SPEAK)
            if not service.custom_code_enabled:
                raise InvalidRequest("Set CustomCodeEnabled of the service first.", code="60204")
        ref = self._make_ref(actor, service, wanted.phone)
        self._rate_limits.count_request(service, wanted.rate_limits)
        if wanted.custom_code is not None:
            return self._speak(actor, service, wanted, wanted.custom_code, ref.session_digest, idempotency)
        pending = self._find_pending(actor, ref)
        if pending is not None:
            actor.ensure_holds(Scope.OTP_REPLAY)
            by_id = replace(ref, phone=None, verification_id=pending.verification_id)
            try:
                accepted = self._sends.replay(actor, by_id, idempotency)
                return self._show(actor, accepted.verification_id)
            except (Gone, NoPendingVerification):
                pass  # it ended a moment ago
        new = NewVerification(
            phone=wanted.phone,
            message=None,
            locale=wanted.locale,
            code_length=service.code_length,
            ttl_seconds=TTL_SECONDS,
            session=service.session,
            brand=self._brand_of(service, wanted.custom_name),
        )
        return self._show(actor, self._sends.start(actor, new, idempotency).verification_id)

    def check(self, actor: Actor, service: VerifyService, to_or_sid: str, code: str) -> TwilioVerification:
        """Check a code. A wrong one leaves the verification pending.

        Twilio says so of the last wrong code too, and only of the next one that there were too many.
        Raises NoPendingVerification, Gone, InvalidPhone, TooManyRequests.
        """
        found = self._verifications.find_verification(actor, self._make_ref(actor, service, to_or_sid))
        try:
            self._verifications.check_code(actor, VerificationRef(None, found.verification_id), code)
        except InvalidCode:
            return replace(self._show(actor, found.verification_id), status=PENDING)
        return self._show(actor, found.verification_id)

    def find(self, actor: Actor, service: VerifyService, to_or_sid: str) -> TwilioVerification:
        """A verification of the service by its id, or the newest for a phone. Raises NotFound, InvalidPhone."""
        ref = self._make_ref(actor, service, to_or_sid)
        found = []
        with suppress(NotFound):  # it may be one with a code of the app's
            found.append(self._show(actor, self._verifications.find_verification(actor, ref).verification_id))
        custom = self._find_custom(actor, ref)
        if custom is not None:
            found.append(TwilioVerification.of_custom(custom, self._clock()))
        if not found:
            raise NotFound("There is no such verification.")
        return max(found, key=_made_at)

    def cancel(self, actor: Actor, service: VerifyService, to_or_sid: str) -> TwilioVerification:
        """End a pending verification and its call. Raises NotFound (also for one that is over), InvalidPhone."""
        found = self._find_open(actor, service, to_or_sid)
        try:
            if found.is_custom:
                self._report(actor, found, approved=False)
            else:
                self._verifications.cancel_verification(actor, found.verification_id)
        except Conflict:
            raise NotFound("This verification is over.") from None
        return self.find(actor, service, Sid.VERIFICATION.of(found.verification_id))

    def approve(self, actor: Actor, service: VerifyService, to_or_sid: str) -> TwilioVerification:
        """Note that the app has accepted a code of its own, or has proven the phone in another way.

        Raises InsufficientScope, NotFound (also for one that is over), Gone, InvalidPhone.
        """
        actor.ensure_holds(Scope.OTP_SPEAK)
        found = self._find_open(actor, service, to_or_sid)
        if found.is_custom:
            self._report(actor, found, approved=True)
        else:
            self._verifications.approve_verification(actor, found.verification_id)
            about = {"verification_id": found.verification_id}
            self._audit.note("verification.approved", actor=actor, owner_id=actor.owner_id, detail=about)
        return self.find(actor, service, Sid.VERIFICATION.of(found.verification_id))

    def _speak(
        self,
        actor: Actor,
        service: VerifyService,
        wanted: NewTwilioVerification,
        code: str,
        session_digest: str,
        idempotency: IdempotencyKey | None,
    ) -> TwilioVerification:
        new = NewSpokenCode(
            phone=wanted.phone,
            code=code,
            locale=wanted.locale,
            brand=self._brand_of(service, wanted.custom_name),
            ttl_seconds=TTL_SECONDS,
            session_digest=session_digest,
        )
        accepted = self._speaking.speak(actor, new, idempotency)
        return TwilioVerification.of_custom(self._speaking.get_call(actor, accepted.call_id), self._clock())

    def _brand_of(self, service: VerifyService, custom_name: str | None) -> str | None:
        """The name that the call says; None is the usual one. A call says no text of the caller's."""
        return next((name for name in (custom_name, service.friendly_name) if name in self._spoken_names), None)

    def _make_ref(self, actor: Actor, service: VerifyService, to_or_sid: str) -> VerificationRef:
        """Raises InvalidPhone."""
        known_id = Sid.VERIFICATION.read(to_or_sid)
        phone = to_or_sid if known_id is None else None
        return self._verifications.make_ref(actor, phone=phone, verification_id=known_id, session=service.session)

    def _find_pending(self, actor: Actor, ref: VerificationRef) -> Verification | None:
        try:
            found = self._verifications.find_verification(actor, ref)
        except NoPendingVerification:
            return None
        return found if found.status_at(self._clock()) is VerificationStatus.PENDING else None

    def _find_custom(self, actor: Actor, ref: VerificationRef) -> SpokenCall | None:
        if ref.phone is not None:
            return self._speaking.find_newest(actor, ref.session_digest, parse_phone(ref.phone).canonical)
        try:
            return self._speaking.get_of_session(actor, ref.session_digest, ref.verification_id or "")
        except NotFound:
            return None

    def _find_open(self, actor: Actor, service: VerifyService, to_or_sid: str) -> TwilioVerification:
        found = self.find(actor, service, to_or_sid)
        if found.status != PENDING:
            raise NotFound("This verification is over.")
        return found

    def _report(self, actor: Actor, found: TwilioVerification, *, approved: bool) -> None:
        call_id, _ = found.attempts[0]
        self._speaking.report_outcome(actor, call_id, approved=approved, ends_call=True)

    def _show(self, actor: Actor, verification_id: str) -> TwilioVerification:
        return TwilioVerification.of_own(self._verifications.get_verification(actor, verification_id))


def _made_at(verification: TwilioVerification) -> tuple[datetime, str]:
    return verification.created_at, verification.verification_id
