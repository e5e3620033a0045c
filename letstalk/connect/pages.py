"""The dashboard's pages about connections: making them, setting the other system up, and what each received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.connect.forms import ConnectionForm, fields_of
from letstalk.connect.kinds import KINDS
from letstalk.connect.kinds.base import Kind
from letstalk.connect.models import SystemConnection
from letstalk.connect.receiving import HookAnswer, HookService
from letstalk.connect.service import ConnectionService, IssuedConnection, find_kind
from letstalk.core.actors import usual_owner
from letstalk.core.errors import Conflict, Forbidden, InvalidRequest, LetsTalkError, NotFound
from letstalk.core.scopes import Scope
from letstalk.db.rotating_secrets import GRACE_PERIODS
from letstalk.http.forms import form_response, form_text, keep_submission, new_submission, read_choice, was_sent_before
from letstalk.http.guards import current_actor, require_signed_in

SHOWN_DELIVERIES = 100
PATH = "/dashboard/connections"
CONNECTION = f"{PATH}/<uuid:connection_id>"
HIDDEN_SECRET = "YOUR_SECRET"  # in the guide, once the secret is not shown any more


def make_blueprint(
    connections: ConnectionService, hooks: HookService, list_owners: Callable[[], list[str]]
) -> Blueprint:
    """`list_owners` returns the owners that exist, for admins to choose from."""
    blueprint = Blueprint("connection_pages", __name__)

    def url_of(connection: SystemConnection) -> str:
        return connections.url_of(connection, request.url_root)

    def creation_form(kind: Kind, form: ConnectionForm, error: LetsTalkError | None = None) -> Response:
        actor = current_actor()
        owners = list_owners() if actor.is_admin else sorted(actor.owner_ids)
        return form_response(
            "connect/new.html",
            error,
            fields=fields_of(kind),
            form=form if form.user_id else replace(form, user_id=usual_owner(owners)),
            kind=kind,
            owners=owners,
            may_type_owner=actor.is_admin,
            submission=new_submission(),
        )

    def connection_page(
        connection_id: UUID,
        form: ConnectionForm | None = None,
        error: LetsTalkError | None = None,
        answer: HookAnswer | None = None,
    ) -> Response:
        actor, key = current_actor(), str(connection_id)
        connection = connections.get_connection(actor, key)
        deliveries, _ = connections.list_deliveries(actor, key, limit=SHOWN_DELIVERIES)
        kind = find_kind(connection.kind)
        url = url_of(connection)
        return form_response(
            "connect/connection.html",
            error,
            fields=("phone", *fields_of(kind), "grace_seconds"),
            connection=connection,
            kind=kind,
            url=url,
            steps=_steps(kind, url, HIDDEN_SECRET),
            form=form or ConnectionForm.of(connection),
            deliveries=deliveries,
            answer=answer,
            grace_periods=GRACE_PERIODS,
            submission=new_submission(),
        )

    def show_once(title: str, issued: IssuedConnection) -> str:
        keep_submission()
        kind, url = find_kind(issued.connection.kind), url_of(issued.connection)
        return render_template(
            "connect/secret.html",
            title=title,
            connection=issued.connection,
            kind=kind,
            secret=issued.secret,
            steps=_steps(kind, url, issued.secret or HIDDEN_SECRET),
        )

    @blueprint.get(PATH)
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def index() -> ResponseReturnValue:
        actor = current_actor()
        found = connections.list_reached(actor.visible_owners)
        may_create = actor.is_admin or bool(actor.owner_ids)
        return render_template("connect/connections.html", connections=found, kinds=KINDS, may_create=may_create)

    @blueprint.get(f"{PATH}/new")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def choose() -> ResponseReturnValue:
        return render_template("connect/kinds.html", kinds=KINDS.values())

    @blueprint.get(f"{PATH}/new/<kind_name>")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def new(kind_name: str) -> ResponseReturnValue:
        kind = _kind_at(kind_name)
        return creation_form(kind, ConnectionForm(kind.name, message_types=kind.message_types[:1]))

    @blueprint.post(f"{PATH}/new/<kind_name>")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def create(kind_name: str) -> ResponseReturnValue:
        """The page with the secret and the guide, or the form with its errors."""
        kind = _kind_at(kind_name)
        if was_sent_before():
            flash("That form was sent already, and its secret was shown. If you did not store it, rotate it.")
            return redirect(url_for("connection_pages.index"))
        form = ConnectionForm.from_request(kind.name)
        try:
            if not form.user_id:
                raise InvalidRequest.in_field("user_id", "Give the owner for whom calls are placed.")
            issued = connections.create_connection(current_actor().act_for(form.user_id), form.as_new_connection())
        except (InvalidRequest, Forbidden, Conflict) as error:
            return creation_form(kind, form, error)
        return show_once("The connection is made", issued)

    @blueprint.get(CONNECTION)
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def show(connection_id: UUID) -> ResponseReturnValue:
        return connection_page(connection_id)

    @blueprint.post(CONNECTION)
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def update(connection_id: UUID) -> ResponseReturnValue:
        actor, key = current_actor(), str(connection_id)
        form = ConnectionForm.from_request(connections.get_connection(actor, key).kind)
        try:
            connections.update_connection(actor, key, form.as_changes())
        except InvalidRequest as error:
            return connection_page(connection_id, form, error)
        flash("The connection is changed.")
        return redirect(url_for("connection_pages.show", connection_id=connection_id))

    @blueprint.post(f"{CONNECTION}/rotate")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def rotate(connection_id: UUID) -> ResponseReturnValue:
        if was_sent_before():
            flash("That form was sent already, and the new secret was shown.")
            return redirect(url_for("connection_pages.show", connection_id=connection_id))
        given = form_text("secret") or None
        try:
            grace = read_choice("grace_seconds", {seconds: seconds for seconds, _ in GRACE_PERIODS})
            issued = connections.rotate_secret(current_actor(), str(connection_id), int(grace), given)
        except InvalidRequest as error:
            return connection_page(connection_id, error=error)
        if given is not None:
            flash("The secret is stored. Requests with it are accepted from now on.")
            return redirect(url_for("connection_pages.show", connection_id=connection_id))
        return show_once("A new secret", issued)

    @blueprint.post(f"{CONNECTION}/test")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def send_test(connection_id: UUID) -> ResponseReturnValue:
        """The page with what became of it."""
        try:
            answer = hooks.send_test(current_actor(), str(connection_id), form_text("phone"))
        except (InvalidRequest, Conflict) as error:
            return connection_page(connection_id, error=error)
        return connection_page(connection_id, answer=answer)

    @blueprint.post(f"{CONNECTION}/delete")
    @require_signed_in(Scope.CONNECTIONS_WRITE)
    def delete(connection_id: UUID) -> ResponseReturnValue:
        connections.delete_connection(current_actor(), str(connection_id))
        flash("The connection is deleted.")
        return redirect(url_for("connection_pages.index"))

    return blueprint


def _kind_at(name: str) -> Kind:
    """Raises NotFound."""
    kind = KINDS.get(name)
    if kind is None:
        raise NotFound("There is no such kind of system.")
    return kind


def _steps(kind: Kind, url: str, secret: str) -> list[tuple[str, str | None, str | None]]:
    """(what to do, label, lines to paste) of the guide, with the real address in them."""
    return [(step.text, step.label, step.lines(url, secret)) for step in kind.guide]
