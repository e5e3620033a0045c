"""`/twilio/v2`: verifications, checks of codes and attempts, as Twilio's SDKs call them."""

from __future__ import annotations

import re
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from letstalk.core.errors import InvalidRequest
from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.http.idempotency import IdempotencyKey, read_idempotency_key
from letstalk.speaking.models import MAX_CODE_CHARACTERS
from letstalk.telephony.phone_numbers import MAX_PHONE_CHARACTERS, parse_phone
from letstalk.twilio.api import SERVICE
from letstalk.twilio.errors import API
from letstalk.twilio.forms import Parameters
from letstalk.twilio.models import MAX_NAME_CHARACTERS, AttemptFilter, NewTwilioVerification, Sid
from letstalk.twilio.requests import form, page_of, query, renderer
from letstalk.twilio.services import TwilioVerify
from letstalk.verifications.schemas import CODE_PATTERN, read_code

VERIFICATIONS = f"{SERVICE}/Verifications"
VERIFICATION = f"{VERIFICATIONS}/<verification_sid>"
CHECK = f"{SERVICE}/VerificationCheck"
ATTEMPTS = "/Attempts"

SMS_CHANNELS = frozenset({"sms", "auto"})
# These bind a code to a payment, or dial further digits: a call that ignored them would prove something else.
REFUSED_PARAMETERS = ("Amount", "Payee", "SendDigits")
IDEMPOTENT_PATH = "/twilio/Verifications"  # the column has 40 characters
MAX_WORD_CHARACTERS = 40
_CONVERTED = {"converted": True, "unconverted": False}


def make_blueprint(verify: TwilioVerify) -> Blueprint:
    blueprint = Blueprint("twilio_verifications", __name__, url_prefix=API)
    _add_verifications(blueprint, verify)
    _add_check(blueprint, verify)
    _add_attempts(blueprint, verify)
    return blueprint


def _add_verifications(blueprint: Blueprint, verify: TwilioVerify) -> None:
    @blueprint.post(VERIFICATIONS)
    @require(Scope.OTP_SEND, basic=True)
    def create_verification(service_sid: str) -> tuple[Response, int]:
        actor = current_actor()
        service = verify.directory.get_service(actor, service_sid)
        wanted = _read_wanted(form(), takes_sms=verify.takes_sms)
        started = verify.verifications.start(actor, service, wanted, _idempotency_key(service_sid))
        return jsonify(renderer(verify).verification(service, started)), HTTPStatus.CREATED

    @blueprint.get(VERIFICATION)
    @require(Scope.CALLS_READ, basic=True)
    def get_verification(service_sid: str, verification_sid: str) -> Response:
        service = verify.directory.get_service(current_actor(), service_sid)
        found = verify.verifications.find(current_actor(), service, verification_sid)
        return jsonify(renderer(verify).verification(service, found))

    @blueprint.post(VERIFICATION)
    @require(Scope.CALLS_CANCEL, basic=True)
    def update_verification(service_sid: str, verification_sid: str) -> Response:
        actor, status = current_actor(), form().needed("Status", MAX_WORD_CHARACTERS).lower()
        service = verify.directory.get_service(actor, service_sid)
        if status not in ("canceled", "approved"):
            raise InvalidRequest.in_field("Status", "It must be canceled or approved.")
        update = verify.verifications.cancel if status == "canceled" else verify.verifications.approve
        return jsonify(renderer(verify).verification(service, update(actor, service, verification_sid)))


def _read_wanted(given: Parameters, *, takes_sms: bool) -> NewTwilioVerification:
    phone = given.needed("To", MAX_PHONE_CHARACTERS)
    channel = given.needed("Channel", MAX_WORD_CHARACTERS).lower()
    if channel != "call" and not (takes_sms and channel in SMS_CHANNELS):
        raise InvalidRequest.in_field("Channel", "Codes are spoken by calls only: it must be call.")
    for name in REFUSED_PARAMETERS:
        if given.text(name, MAX_NAME_CHARACTERS) is not None:
            raise InvalidRequest(f"{name} is not supported here.", code="60204")
    return NewTwilioVerification(
        phone=phone,
        locale=given.text("Locale", 35),
        custom_code=given.text("CustomCode", MAX_CODE_CHARACTERS),
        custom_name=given.text("CustomFriendlyName", MAX_NAME_CHARACTERS),
        rate_limits=given.values_by_name("RateLimits"),
    )


def _idempotency_key(service_sid: str) -> IdempotencyKey | None:
    """Twilio's SDKs send none. An own HTTP client of the SDK can, as in all other requests here."""
    body = {**request.form.to_dict(), "ServiceSid": service_sid}
    return read_idempotency_key(IDEMPOTENT_PATH, request.headers.get("Idempotency-Key"), body)


def _add_check(blueprint: Blueprint, verify: TwilioVerify) -> None:
    @blueprint.post(CHECK)
    @require(Scope.OTP_VERIFY, basic=True)
    def check_verification(service_sid: str) -> Response:
        actor, given = current_actor(), form()
        service = verify.directory.get_service(actor, service_sid)
        to_or_sid = given.text("VerificationSid", MAX_WORD_CHARACTERS)
        if to_or_sid is not None and Sid.VERIFICATION.read(to_or_sid) is None:
            raise InvalidRequest.in_field("VerificationSid", "It must be VE and 32 hexadecimal digits.")
        to_or_sid = to_or_sid or given.needed("To", MAX_PHONE_CHARACTERS)
        code = read_code(given.needed("Code", MAX_CODE_CHARACTERS))
        if not isinstance(code, str) or re.fullmatch(CODE_PATTERN, code) is None:
            raise InvalidRequest.in_field("Code", "It must be 4 to 10 digits.")
        return jsonify(renderer(verify).check(service, verify.verifications.check(actor, service, to_or_sid, code)))


def _add_attempts(blueprint: Blueprint, verify: TwilioVerify) -> None:
    @blueprint.get(ATTEMPTS)
    @require(Scope.CALLS_READ, basic=True)
    def list_attempts() -> Response:
        wanted = _read_filter(query())
        return page_of(
            verify,
            "attempts",
            lambda limit, cursor: verify.attempts.list_attempts(current_actor(), wanted, limit=limit, cursor=cursor),
            renderer(verify).attempt,
        )

    @blueprint.get(f"{ATTEMPTS}/Summary")
    @require(Scope.CALLS_READ, basic=True)
    def summarize_attempts() -> Response:
        return jsonify(renderer(verify).summary(verify.attempts.summarize(current_actor(), _read_filter(query()))))

    @blueprint.get(f"{ATTEMPTS}/<attempt_sid>")
    @require(Scope.CALLS_READ, basic=True)
    def get_attempt(attempt_sid: str) -> Response:
        return jsonify(renderer(verify).attempt(verify.attempts.get_attempt(current_actor(), attempt_sid)))


def _read_filter(given: Parameters) -> AttemptFilter:
    """Raises InvalidRequest, InvalidPhone."""
    phone = given.text("ChannelData.To", MAX_PHONE_CHARACTERS)
    status = given.text("Status", MAX_WORD_CHARACTERS)
    if status is not None and status.lower() not in _CONVERTED:
        raise InvalidRequest.in_field("Status", "It must be converted or unconverted.")
    channel = given.text("Channel", MAX_WORD_CHARACTERS)
    if channel is not None and channel.lower() != "call":
        raise InvalidRequest.in_field("Channel", "There are calls only: it must be call.")
    country = given.text("Country", 2)
    return AttemptFilter(
        since=given.moment("DateCreatedAfter"),
        until=given.moment("DateCreatedBefore"),
        phone=None if phone is None else parse_phone(phone).canonical,
        phone_prefix=given.text("DestinationPrefix", MAX_PHONE_CHARACTERS),
        country=None if country is None else country.upper(),
        service_id=_read_id(given, "VerifyServiceSid", Sid.SERVICE),
        verification_id=_read_id(given, "VerificationSid", Sid.VERIFICATION),
        is_converted=None if status is None else _CONVERTED[status.lower()],
    )


def _read_id(given: Parameters, name: str, kind: Sid) -> str | None:
    text = given.text(name, MAX_WORD_CHARACTERS)
    found = None if text is None else kind.read(text)
    if text is not None and found is None:
        raise InvalidRequest.in_field(name, f"It must be {kind.value} and 32 hexadecimal digits.")
    return found
