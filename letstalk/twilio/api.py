"""`/twilio/v2`: services with their rate limits and buckets, as Twilio's SDKs call them.

Not described in /openapi.json: Twilio's own OpenAPI file is the description.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from letstalk.core.scopes import Scope
from letstalk.http.guards import current_actor, require
from letstalk.twilio.errors import API
from letstalk.twilio.models import MAX_DESCRIPTION_CHARACTERS, MAX_NAME_CHARACTERS
from letstalk.twilio.requests import form, page_of, renderer
from letstalk.twilio.service import ServiceChanges
from letstalk.twilio.services import TwilioVerify

SERVICES = "/Services"
SERVICE = f"{SERVICES}/<service_sid>"
LIMITS = f"{SERVICE}/RateLimits"
LIMIT = f"{LIMITS}/<rate_limit_sid>"
BUCKETS = f"{LIMIT}/Buckets"
BUCKET = f"{BUCKETS}/<bucket_sid>"
MAX_UNIQUE_NAME_CHARACTERS = 256  # what is too long is no UniqueName, which has an error of its own
NOTHING = ("", HTTPStatus.NO_CONTENT)


def make_blueprint(verify: TwilioVerify) -> Blueprint:
    blueprint = Blueprint("twilio", __name__, url_prefix=API)
    _add_services(blueprint, verify)
    _add_rate_limits(blueprint, verify)
    _add_buckets(blueprint, verify)
    return blueprint


def _add_services(blueprint: Blueprint, verify: TwilioVerify) -> None:
    directory = verify.directory

    @blueprint.post(SERVICES)
    @require(Scope.OTP_SEND, basic=True)
    def create_service() -> tuple[Response, int]:
        name = form().needed("FriendlyName", MAX_NAME_CHARACTERS)
        service = directory.create_service(current_actor(), name, _changes())
        return jsonify(renderer(verify).service(service)), HTTPStatus.CREATED

    @blueprint.get(SERVICES)
    @require(Scope.CALLS_READ, basic=True)
    def list_services() -> Response:
        return page_of(
            verify,
            "services",
            lambda limit, cursor: directory.list_services(current_actor(), limit=limit, cursor=cursor),
            renderer(verify).service,
        )

    @blueprint.get(SERVICE)
    @require(Scope.CALLS_READ, basic=True)
    def get_service(service_sid: str) -> Response:
        return jsonify(renderer(verify).service(directory.get_service(current_actor(), service_sid)))

    @blueprint.post(SERVICE)
    @require(Scope.OTP_SEND, basic=True)
    def update_service(service_sid: str) -> Response:
        return jsonify(renderer(verify).service(directory.update_service(current_actor(), service_sid, _changes())))

    @blueprint.delete(SERVICE)
    @require(Scope.CALLS_CANCEL, basic=True)
    def delete_service(service_sid: str) -> tuple[str, int]:
        directory.delete_service(current_actor(), service_sid)
        return NOTHING


def _changes() -> ServiceChanges:
    given = form()
    return ServiceChanges(
        friendly_name=given.text("FriendlyName", MAX_NAME_CHARACTERS),
        code_length=given.number("CodeLength"),
        custom_code_enabled=given.flag("CustomCodeEnabled"),
    )


def _add_rate_limits(blueprint: Blueprint, verify: TwilioVerify) -> None:
    limits = verify.rate_limits

    @blueprint.post(LIMITS)
    @require(Scope.OTP_SEND, basic=True)
    def create_rate_limit(service_sid: str) -> tuple[Response, int]:
        name = form().needed("UniqueName", MAX_UNIQUE_NAME_CHARACTERS)
        description = form().text("Description", MAX_DESCRIPTION_CHARACTERS)
        limit = limits.create_rate_limit(current_actor(), service_sid, name, description)
        return jsonify(renderer(verify).rate_limit(limit)), HTTPStatus.CREATED

    @blueprint.get(LIMITS)
    @require(Scope.CALLS_READ, basic=True)
    def list_rate_limits(service_sid: str) -> Response:
        return page_of(
            verify,
            "rate_limits",
            lambda limit, cursor: limits.list_rate_limits(current_actor(), service_sid, limit=limit, cursor=cursor),
            renderer(verify).rate_limit,
        )

    @blueprint.get(LIMIT)
    @require(Scope.CALLS_READ, basic=True)
    def get_rate_limit(service_sid: str, rate_limit_sid: str) -> Response:
        limit = limits.get_rate_limit(current_actor(), service_sid, rate_limit_sid)
        return jsonify(renderer(verify).rate_limit(limit))

    @blueprint.post(LIMIT)
    @require(Scope.OTP_SEND, basic=True)
    def update_rate_limit(service_sid: str, rate_limit_sid: str) -> Response:
        description = form().text("Description", MAX_DESCRIPTION_CHARACTERS)
        limit = limits.update_rate_limit(current_actor(), service_sid, rate_limit_sid, description)
        return jsonify(renderer(verify).rate_limit(limit))

    @blueprint.delete(LIMIT)
    @require(Scope.CALLS_CANCEL, basic=True)
    def delete_rate_limit(service_sid: str, rate_limit_sid: str) -> tuple[str, int]:
        limits.delete_rate_limit(current_actor(), service_sid, rate_limit_sid)
        return NOTHING


def _add_buckets(blueprint: Blueprint, verify: TwilioVerify) -> None:
    limits = verify.rate_limits

    @blueprint.post(BUCKETS)
    @require(Scope.OTP_SEND, basic=True)
    def create_bucket(service_sid: str, rate_limit_sid: str) -> tuple[Response, int]:
        most, interval = form().needed_number("Max"), form().needed_number("Interval")
        bucket = limits.create_bucket(current_actor(), service_sid, rate_limit_sid, most, interval)
        limit = limits.get_rate_limit(current_actor(), service_sid, rate_limit_sid)
        return jsonify(renderer(verify).bucket(limit, bucket)), HTTPStatus.CREATED

    @blueprint.get(BUCKETS)
    @require(Scope.CALLS_READ, basic=True)
    def list_buckets(service_sid: str, rate_limit_sid: str) -> Response:
        of = limits.get_rate_limit(current_actor(), service_sid, rate_limit_sid)
        return page_of(
            verify,
            "buckets",
            lambda limit, cursor: limits.list_buckets(
                current_actor(), service_sid, rate_limit_sid, limit=limit, cursor=cursor
            ),
            lambda bucket: renderer(verify).bucket(of, bucket),
        )

    @blueprint.get(BUCKET)
    @require(Scope.CALLS_READ, basic=True)
    def get_bucket(service_sid: str, rate_limit_sid: str, bucket_sid: str) -> Response:
        limit = limits.get_rate_limit(current_actor(), service_sid, rate_limit_sid)
        bucket = limits.get_bucket(current_actor(), service_sid, rate_limit_sid, bucket_sid)
        return jsonify(renderer(verify).bucket(limit, bucket))

    @blueprint.post(BUCKET)
    @require(Scope.OTP_SEND, basic=True)
    def update_bucket(service_sid: str, rate_limit_sid: str, bucket_sid: str) -> Response:
        most, interval = form().number("Max"), form().number("Interval")
        bucket = limits.update_bucket(current_actor(), service_sid, rate_limit_sid, bucket_sid, most, interval)
        limit = limits.get_rate_limit(current_actor(), service_sid, rate_limit_sid)
        return jsonify(renderer(verify).bucket(limit, bucket))

    @blueprint.delete(BUCKET)
    @require(Scope.CALLS_CANCEL, basic=True)
    def delete_bucket(service_sid: str, rate_limit_sid: str, bucket_sid: str) -> tuple[str, int]:
        limits.delete_bucket(current_actor(), service_sid, rate_limit_sid, bucket_sid)
        return NOTHING
