"""The dashboard's pages about webhook endpoints, and what was sent to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.actors import usual_owner
from letstalk.core.clock import utc_now
from letstalk.core.errors import Conflict, Forbidden, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.db.rotating_secrets import GRACE_PERIODS
from letstalk.events.api import MakeExample
from letstalk.events.endpoints import EndpointService, IssuedEndpoint
from letstalk.events.webhook_forms import FIELDS, SPANS, TYPES, EndpointForm, read_type
from letstalk.http.forms import form_response, form_text, keep_submission, new_submission, read_choice, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in

PER_PAGE = 25
STATUSES = ("delivered", "pending", "failed")
PATH = "/dashboard/webhooks"
ENDPOINT = f"{PATH}/<uuid:endpoint_id>"
DELIVERY = f"{ENDPOINT}/deliveries/<uuid:delivery_id>"


def make_blueprint(
    endpoints: EndpointService, make_example: MakeExample, list_owners: Callable[[], list[str]]
) -> Blueprint:
    """`make_example` makes the content of an example event of a type, for an owner. `list_owners` returns the owners
    that exist, for admins to choose from.
    """
    blueprint = Blueprint("webhook_pages", __name__)

    def creation_form(form: EndpointForm, error: LetsTalkError | None = None) -> Response:
        actor = current_actor()
        owners = list_owners() if actor.is_admin else sorted(actor.owner_ids)
        return form_response(
            "events/new.html",
            error,
            fields=FIELDS,
            form=form if form.user_id else replace(form, user_id=usual_owner(owners)),
            owners=owners,
            may_type_owner=actor.is_admin,
            types=TYPES,
            submission=new_submission(),
        )

    def endpoint_page(
        endpoint_id: UUID, form: EndpointForm | None = None, error: LetsTalkError | None = None
    ) -> Response:
        actor, key = current_actor(), str(endpoint_id)
        endpoint = endpoints.get_endpoint(actor, key)
        status = request.args.get("status") if request.args.get("status") in STATUSES else None
        cursor = request.args.get("cursor") or None
        deliveries, next_cursor = endpoints.list_deliveries(actor, key, status=status, limit=PER_PAGE, cursor=cursor)
        return form_response(
            "events/endpoint.html",
            error,
            fields=FIELDS,
            endpoint=endpoint,
            form=form or EndpointForm.of(endpoint),
            types=TYPES,
            type_choices=[(name, name) for name, _ in TYPES],
            rate=endpoints.measure_success(actor, key),
            deliveries=deliveries,
            status=status,
            cursor=cursor,
            next_cursor=next_cursor,
            spans=[(name, text) for name, (text, _) in SPANS.items()],
            grace_periods=GRACE_PERIODS,
            submission=new_submission(),
        )

    @blueprint.get(PATH)
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def index() -> ResponseReturnValue:
        actor = current_actor()
        found = endpoints.list_reached(actor.visible_owners)
        may_create = actor.is_admin or bool(actor.owner_ids)
        return render_template("events/endpoints.html", endpoints=found, may_create=may_create)

    @blueprint.get(f"{PATH}/new")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def new() -> ResponseReturnValue:
        return creation_form(EndpointForm())

    @blueprint.post(PATH)
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def create() -> ResponseReturnValue:
        """The page that shows the secret, or the form with its errors."""
        if was_sent_before():
            flash("That form was sent already, and its secret was shown. If you did not store it, rotate it.")
            return redirect(url_for("webhook_pages.index"))
        form = EndpointForm.from_request()
        try:
            if not form.user_id:
                raise InvalidRequest.in_field("user_id", "Give the owner whose events are sent.")
            issued = endpoints.create_endpoint(
                current_actor().act_for(form.user_id),
                form.url,
                description=form.description or None,
                types=form.chosen_types(),
                shows_phones=form.shows_phones,
            )
        except (InvalidRequest, Forbidden, Conflict) as error:
            return creation_form(form, error)
        return _show_once("The endpoint is created", issued)

    @blueprint.get(ENDPOINT)
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def show(endpoint_id: UUID) -> ResponseReturnValue:
        return endpoint_page(endpoint_id)

    @blueprint.post(ENDPOINT)
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def update(endpoint_id: UUID) -> ResponseReturnValue:
        form = EndpointForm.from_request()
        try:
            endpoints.update_endpoint(current_actor(), str(endpoint_id), form.as_changes())
        except InvalidRequest as error:
            return endpoint_page(endpoint_id, form, error)
        return _back_to(endpoint_id, "The endpoint is changed.")

    @blueprint.post(f"{ENDPOINT}/rotate")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def rotate(endpoint_id: UUID) -> ResponseReturnValue:
        if was_sent_before():
            return _back_to(endpoint_id, "That form was sent already, and the new secret was shown.")
        try:
            grace = read_choice("grace_seconds", {seconds: seconds for seconds, _ in GRACE_PERIODS})
        except InvalidRequest as error:
            return endpoint_page(endpoint_id, error=error)
        issued = endpoints.rotate_secret(current_actor(), str(endpoint_id), int(grace))
        return _show_once("A new secret", issued)

    @blueprint.post(f"{ENDPOINT}/enable")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def enable(endpoint_id: UUID) -> ResponseReturnValue:
        endpoints.set_enabled(current_actor(), str(endpoint_id), is_enabled=True)
        return _back_to(endpoint_id, "The endpoint gets events from now on. Replay sends those that it missed.")

    @blueprint.post(f"{ENDPOINT}/disable")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def disable(endpoint_id: UUID) -> ResponseReturnValue:
        endpoints.set_enabled(current_actor(), str(endpoint_id), is_enabled=False)
        return _back_to(endpoint_id, "Nothing more is sent to the endpoint.")

    @blueprint.post(f"{ENDPOINT}/example")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def send_example(endpoint_id: UUID) -> ResponseReturnValue:
        actor, key = current_actor(), str(endpoint_id)
        owner_id = endpoints.get_endpoint(actor, key).owner_id
        try:
            delivery = endpoints.send_example(actor, key, make_example(read_type(form_text("type")), owner_id))
        except (InvalidRequest, Conflict) as error:
            return endpoint_page(endpoint_id, error=error)
        flash("The example is on its way. Reload the page to see the answer.")
        return redirect(_address_of(endpoint_id, UUID(delivery.delivery_id)))

    @blueprint.post(f"{ENDPOINT}/replay")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def replay(endpoint_id: UUID) -> ResponseReturnValue:
        try:
            _, span = read_choice("span", SPANS)
            count = endpoints.replay_since(current_actor(), str(endpoint_id), utc_now() - span)
        except (InvalidRequest, Conflict) as error:
            return endpoint_page(endpoint_id, error=error)
        return _back_to(endpoint_id, f"{count:,} {'event is' if count == 1 else 'events are'} sent now.")

    @blueprint.post(f"{ENDPOINT}/delete")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def delete(endpoint_id: UUID) -> ResponseReturnValue:
        endpoints.delete_endpoint(current_actor(), str(endpoint_id))
        flash("The endpoint is deleted.")
        return redirect(url_for("webhook_pages.index"))

    @blueprint.get(DELIVERY)
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def show_delivery(endpoint_id: UUID, delivery_id: UUID) -> ResponseReturnValue:
        actor, key = current_actor(), str(endpoint_id)
        endpoint = endpoints.get_endpoint(actor, key)
        delivery, tries = endpoints.get_delivery(actor, key, str(delivery_id))
        return render_template("events/delivery.html", endpoint=endpoint, delivery=delivery, tries=tries)

    @blueprint.post(f"{DELIVERY}/redeliver")
    @require_signed_in(Scope.WEBHOOKS_WRITE)
    def redeliver(endpoint_id: UUID, delivery_id: UUID) -> ResponseReturnValue:
        try:
            endpoints.redeliver(current_actor(), str(endpoint_id), str(delivery_id))
        except Conflict as error:
            return endpoint_page(endpoint_id, error=error)
        flash("It is sent again. Reload the page to see the answer.")
        return redirect(_address_of(endpoint_id, delivery_id))

    return blueprint


def _show_once(title: str, issued: IssuedEndpoint) -> str:
    keep_submission()
    return render_template("events/secret.html", title=title, endpoint=issued.endpoint, secret=issued.secret)


def _back_to(endpoint_id: UUID, message: str) -> ResponseReturnValue:
    flash(message)
    return redirect(url_for("webhook_pages.show", endpoint_id=endpoint_id))


def _address_of(endpoint_id: UUID, delivery_id: UUID) -> str:
    return url_for("webhook_pages.show_delivery", endpoint_id=endpoint_id, delivery_id=delivery_id)
