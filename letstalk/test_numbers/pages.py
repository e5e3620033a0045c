"""The dashboard's pages about test numbers: listing, creating, changing and deleting them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.actors import usual_owner
from letstalk.core.errors import Conflict, Forbidden, InvalidRequest, LetsTalkError
from letstalk.core.scopes import Scope
from letstalk.core.unset import UNSET
from letstalk.http.forms import form_response, form_text
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.test_numbers.models import NewTestNumber, NumberChanges, ShownTestNumber
from letstalk.test_numbers.service import TestNumberService

PER_PAGE = 25
DAY_SECONDS = 86_400
KEEP = "keep"  # of an existing test number: its end stays as it is
LIFETIMES = (
    (str(DAY_SECONDS), "In a day"),
    (str(7 * DAY_SECONDS), "In 7 days"),
    (str(30 * DAY_SECONDS), "In 30 days"),
    (str(90 * DAY_SECONDS), "In 90 days"),
    (str(365 * DAY_SECONDS), "In a year"),
)
NO_END = ("", "Never (in development only)")
FIELDS = ("phone", "user_id", "code", "name", "expires_in")


@dataclass(frozen=True, slots=True)
class TestNumberForm:
    """The form as it was filled in: a rejected form is shown again with its values."""

    phone: str = ""
    user_id: str = ""
    code: str = ""
    name: str = ""
    expires_in: str = str(30 * DAY_SECONDS)

    @classmethod
    def from_request(cls) -> TestNumberForm:
        return cls(**{name: form_text(name) for name in FIELDS})

    @property
    def expires_in_seconds(self) -> int | None:
        """None is no end. Raises InvalidRequest unless one of the options was chosen."""
        if self.expires_in and self.expires_in not in dict(LIFETIMES):
            raise InvalidRequest.in_field("expires_in", "Choose one of the options.")
        return int(self.expires_in) if self.expires_in else None

    def as_new(self) -> NewTestNumber:
        return NewTestNumber(
            phone=self.phone,
            owner_id=self.user_id or None,
            code=self.code or None,
            name=self.name or None,
            expires_in_seconds=self.expires_in_seconds,
        )

    def as_changes(self) -> NumberChanges:
        return NumberChanges(
            code=self.code,
            name=self.name or None,
            expires_in_seconds=UNSET if self.expires_in == KEEP else self.expires_in_seconds,
        )


def make_blueprint(service: TestNumberService, list_owners: Callable[[], list[str]]) -> Blueprint:
    """`list_owners` returns the owners that exist, for admins to choose from."""
    blueprint = Blueprint("test_number_pages", __name__)

    def creation_form(form: TestNumberForm, error: LetsTalkError | None = None) -> Response:
        actor = current_actor()
        owners = list_owners() if actor.is_admin else sorted(actor.owner_ids)
        return form_response(
            "test_numbers/new.html",
            error,
            fields=FIELDS,
            form=form if form.user_id else replace(form, user_id=usual_owner(owners)),
            owners=owners,
            may_type_owner=actor.is_admin,
            lifetimes=_lifetimes(),
        )

    def change_form(shown: ShownTestNumber, form: TestNumberForm, error: LetsTalkError | None = None) -> Response:
        lifetimes = ((KEEP, "As it is"), *_lifetimes())
        return form_response(
            "test_numbers/number.html", error, fields=FIELDS, form=form, shown=shown, lifetimes=lifetimes
        )

    def _lifetimes() -> tuple[tuple[str, str], ...]:
        return (*LIFETIMES, NO_END) if service.may_be_endless else LIFETIMES

    @blueprint.get("/dashboard/test-numbers")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def index() -> ResponseReturnValue:
        cursor = request.args.get("cursor") or None
        actor = current_actor()
        page = service.list_test_numbers(actor, limit=PER_PAGE, cursor=cursor)
        return render_template(
            "test_numbers/list.html",
            numbers=page.numbers,
            cursor=cursor,
            next_cursor=page.next_cursor,
            may_create=actor.is_admin or bool(actor.owner_ids),
        )

    @blueprint.get("/dashboard/test-numbers/new")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def new() -> ResponseReturnValue:
        return creation_form(TestNumberForm())

    @blueprint.post("/dashboard/test-numbers")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def create() -> ResponseReturnValue:
        form = TestNumberForm.from_request()
        try:
            created = service.create_test_number(current_actor(), form.as_new())
        except (InvalidRequest, Forbidden, Conflict) as error:
            return creation_form(form, error)
        flash(f"{created.number.e164} is a test number now.")
        return redirect(url_for("test_number_pages.show", number_id=created.number.test_number_id))

    @blueprint.get("/dashboard/test-numbers/<uuid:number_id>")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def show(number_id: UUID) -> ResponseReturnValue:
        shown = service.get_test_number(current_actor(), str(number_id))
        form = TestNumberForm(code=shown.code, name=shown.number.name or "", expires_in=KEEP)
        return change_form(shown, form)

    @blueprint.post("/dashboard/test-numbers/<uuid:number_id>")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def update(number_id: UUID) -> ResponseReturnValue:
        actor, form = current_actor(), TestNumberForm.from_request()
        try:
            changed = service.update_test_number(actor, str(number_id), form.as_changes())
        except InvalidRequest as error:
            return change_form(service.get_test_number(actor, str(number_id)), form, error)
        flash(f"{changed.number.e164} is changed.")
        return redirect(url_for("test_number_pages.index"))

    @blueprint.get("/dashboard/test-numbers/<uuid:number_id>/delete")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def delete_form(number_id: UUID) -> ResponseReturnValue:
        shown = service.get_test_number(current_actor(), str(number_id))
        return render_template("test_numbers/delete.html", shown=shown)

    @blueprint.post("/dashboard/test-numbers/<uuid:number_id>/delete")
    @require_signed_in(Scope.TEST_NUMBERS_WRITE)
    def delete(number_id: UUID) -> ResponseReturnValue:
        phone = service.get_test_number(current_actor(), str(number_id)).number.e164
        service.delete_test_number(current_actor(), str(number_id))
        flash(f"{phone} is no test number any more.")
        return redirect(url_for("test_number_pages.index"))

    return blueprint
