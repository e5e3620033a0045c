"""The dashboard's pages about verifications: the list, and one verification with its story."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from letstalk.audit.service import AuditTrail
from letstalk.core.actors import Actor
from letstalk.core.errors import Detail, InvalidRequest, LetsTalkError, NotFound
from letstalk.core.scopes import Scope
from letstalk.http.csv_files import send_csv
from letstalk.http.errors import record_refusal, sentence_of, status_of
from letstalk.http.guards import current_actor, require_signed_in
from letstalk.http.live import Fragment, Fragments, Pace, answer_tab, is_known, tag_of
from letstalk.observability.redaction import mask_phone
from letstalk.telephony.phone_numbers import region_of
from letstalk.tokens.models import Token
from letstalk.verifications.browsing import (
    MOST_EXPORTED,
    ROWS_PER_PAGE,
    BrowsingService,
    Listed,
    ListPage,
    Told,
    name_of,
)
from letstalk.verifications.csv_export import COLUMNS, cells_of
from letstalk.verifications.list_forms import SPANS, ListForm, place_in_query, read_place
from letstalk.verifications.listing import Place
from letstalk.verifications.models import Verification, VerificationRef, VerificationStatus
from letstalk.verifications.outcomes import EXPLANATIONS, Reason
from letstalk.verifications.request_examples import ApiRequestExample, as_curl
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService

SHOWN_PHONE = "shown_phone"  # in the session: the id of the verification whose phone the next page shows


class Destination(NamedTuple):
    """A phone as everybody sees it, and the code of the country that it is in."""

    masked: str
    country: str


@dataclass(frozen=True, slots=True)
class Services:
    """What the pages ask."""

    browsing: BrowsingService
    sends: SendService
    verifications: VerificationService
    audit: AuditTrail


def make_blueprint(services: Services, *, default_region: str | None) -> Blueprint:
    """`default_region` is the country of phones that are typed in national form."""
    blueprint = Blueprint("verification_pages", __name__)
    fragments, pace = Fragments(), Pace()
    browsing = services.browsing

    def list_page(form: ListForm, place: Place | None) -> tuple[ListPage | None, dict[str, str]]:
        wanted, errors = form.to_wanted(browsing.now(), default_region)
        if wanted is None:
            return None, errors
        return browsing.list_page(current_actor(), wanted, place), {}

    def newest_rows(form: ListForm) -> Fragment:
        """The rows of the first page. People who see the same owners share them."""

        def load() -> tuple[str, Callable[[], str]]:
            page, _ = list_page(form, None)
            return _content_of(page), lambda: _render_rows(page, form)

        return fragments.get(_key_of(current_actor(), form), load)

    def tell(verification_id: str) -> Told:
        return browsing.tell(current_actor(), verification_id)

    def story_page(told: Told, problem: LetsTalkError | None = None) -> Response:
        verification = told.verification
        is_shown = session.pop(SHOWN_PHONE, None) == verification.verification_id
        page = make_response(
            render_template(
                "verifications/verification.html",
                **_story(told),
                phone=verification.e164 if is_shown else None,
                problem=None if problem is None else sentence_of(problem),
                tag=_tag_of(told),
            )
        )
        if problem is not None:
            record_refusal(problem)
            page.status_code = status_of(problem)
        return page

    @blueprint.get("/dashboard/verifications")
    @require_signed_in(Scope.CALLS_READ)
    def index() -> ResponseReturnValue:
        form = ListForm.of(request.args)
        place = read_place(request.args)
        page, errors = list_page(form, place)
        if page is not None and place is not None and place.is_newer and len(page.rows) < ROWS_PER_PAGE:
            return redirect(_address_of_list(form))  # the newest ones are that page
        shown = make_response(
            render_template(
                "verifications/list.html",
                **_rows(page, form),
                form=form,
                errors=errors,
                is_live=place is None and not errors,
                live_page=_address_of_list(form, "live_rows"),
                tag=tag_of(_content_of(page)),
                csv=_address_of_list(form, "download"),
                most_exported=MOST_EXPORTED,
                choices=_choices(current_actor(), browsing.list_tokens(current_actor()), form),
            )
        )
        shown.status_code = 400 if errors else 200
        return shown

    @blueprint.get("/dashboard/verifications/live")
    @require_signed_in(Scope.CALLS_READ)
    def live_rows() -> ResponseReturnValue:
        """The rows of the first page, for a page that is open; 304 where nothing has changed."""
        return answer_tab(pace, newest_rows(ListForm.of(request.args)))

    @blueprint.get("/dashboard/verifications.csv")
    @require_signed_in(Scope.CALLS_READ)
    def download() -> ResponseReturnValue:
        """What the filters find as CSV, sent while it is read. Raises InvalidRequest for a wrong filter."""
        wanted, errors = ListForm.of(request.args).to_wanted(browsing.now(), default_region)
        if wanted is None:
            details = tuple(Detail(field, message) for field, message in errors.items())
            raise InvalidRequest(details[0].message, details=details)
        return send_csv("verifications", COLUMNS, map(cells_of, browsing.export(current_actor(), wanted)))

    @blueprint.get("/dashboard/verifications/<verification_id>")
    @require_signed_in(Scope.CALLS_READ)
    def show(verification_id: str) -> ResponseReturnValue:
        told = tell(verification_id)
        if told.verification.verification_id != verification_id:  # the id of one of its calls
            return redirect(_address_of(told.verification.verification_id))
        return story_page(told)

    @blueprint.get("/dashboard/verifications/<verification_id>/live")
    @require_signed_in(Scope.CALLS_READ)
    def live_story(verification_id: str) -> ResponseReturnValue:
        try:
            told = tell(verification_id)
        except NotFound:
            return Response(status=404, mimetype="text/plain")  # for the script, which needs no page
        tag = _tag_of(told)
        html = "" if is_known(tag) else render_template("verifications/_story.html", **_story(told))
        return answer_tab(pace, Fragment(tag, html))

    @blueprint.post("/dashboard/verifications/<verification_id>/phone")
    @require_signed_in(Scope.CALLS_READ)
    def show_phone(verification_id: str) -> ResponseReturnValue:
        """The next page shows the phone, once. That it was asked for is in the audit trail."""
        browsing.show_phone(current_actor(), verification_id)
        session[SHOWN_PHONE] = verification_id
        return redirect(_address_of(verification_id))

    @blueprint.post("/dashboard/verifications/<verification_id>/cancel")
    @require_signed_in(Scope.CALLS_CANCEL)
    def cancel(verification_id: str) -> ResponseReturnValue:
        actor = _act_for_owner(browsing, verification_id)
        try:
            services.verifications.cancel_verification(actor, verification_id)
        except LetsTalkError as error:
            return story_page(tell(verification_id), error)
        _note(services.audit, "verification.canceled", actor, verification_id)
        flash("The verification is canceled.")
        return redirect(_address_of(verification_id))

    @blueprint.post("/dashboard/verifications/<verification_id>/replay")
    @require_signed_in(Scope.OTP_REPLAY)
    def replay(verification_id: str) -> ResponseReturnValue:
        actor = _act_for_owner(browsing, verification_id)
        try:
            services.sends.replay(actor, VerificationRef(None, verification_id))
        except LetsTalkError as error:
            return story_page(tell(verification_id), error)
        _note(services.audit, "verification.replayed", actor, verification_id)
        flash("The phone will hear the code again.")
        return redirect(_address_of(verification_id))

    return blueprint


def destination_of(verification: Verification) -> Destination:
    return Destination(mask_phone(verification.e164), verification.country or region_of(verification.e164))


def _act_for_owner(browsing: BrowsingService, verification_id: str) -> Actor:
    """The actor for the owner of the verification, as the API would know them. Raises NotFound."""
    return current_actor().act_for(browsing.owner_of(current_actor(), verification_id))


def _note(audit: AuditTrail, action: str, actor: Actor, verification_id: str) -> None:
    audit.note(action, actor=actor, owner_id=actor.owner_id, detail={"verification_id": verification_id})


def _address_of(verification_id: str) -> str:
    return url_for("verification_pages.show", verification_id=verification_id)


def _choices(actor: Actor, tokens: list[Token], form: ListForm) -> dict[str, list[tuple[str, str]] | None]:
    """(value, text) of what each filter offers. None for an owner that an admin types."""
    offered = [(token.token_id, token.name or f"{token.prefix}…") for token in tokens]
    if form.token and form.token not in dict(offered):
        offered.append((form.token, form.token))
    return {
        "status": [(status.value, status.value.replace("_", " ").capitalize()) for status in VerificationStatus],
        "reason": [(reason.value, EXPLANATIONS[reason].label) for reason in Reason],
        "span": [(name, text) for name, (text, _) in SPANS.items()],
        "token": offered,
        "owner": None if actor.is_admin else [(owner_id, owner_id) for owner_id in sorted(actor.owner_ids)],
    }


def took(seconds: float) -> str:
    """`0.8 s`, `41 s`, `2 min 5 s`"""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"


def _address_of_list(form: ListForm, view: str = "index", **place: str) -> str:
    query: dict[str, Any] = {**form.given(), **place}
    return url_for(f"verification_pages.{view}", **query)


def _api_address(verification: Verification) -> str:
    base: str = current_app.config["PUBLIC_URL"] or request.host_url
    return f"{base.rstrip('/')}/calls/{verification.verification_id}"


def offset_in_words(seconds: float) -> str:
    """`+0.0 s`, `+1.2 s`, `+41 s`, `+2 min 5 s`"""
    return f"+{took(seconds)}"


def _rows(page: ListPage | None, form: ListForm) -> dict[str, Any]:
    """What the rows of the list are rendered from."""

    def link(place: Place | None) -> str | None:
        return None if place is None else _address_of_list(form, **place_in_query(place))

    return {
        "rows": () if page is None else tuple((row, destination_of(row.verification)) for row in page.rows),
        "older_page": None if page is None else link(page.older),
        "newer_page": None if page is None else link(page.newer),
        "gave_up_at": None if page is None or page.gave_up_at is None else page.gave_up_at.at,
        "further_page": None if page is None else link(page.gave_up_at),
        "is_filtered": bool(form.given()),
        "explanations": EXPLANATIONS,
        "version_of": version_of,
        "took": took,
    }


def _render_rows(page: ListPage | None, form: ListForm) -> str:
    return render_template("verifications/_rows.html", **_rows(page, form))


def _story(told: Told) -> dict[str, Any]:
    """What a verification's page is rendered from, but for its phone."""
    actor = current_actor()
    is_pending = told.history.status is VerificationStatus.PENDING
    return {
        "told": told,
        "verification": told.verification,
        "destination": destination_of(told.verification),
        "spoken_locale": VerificationService.spoken_locale(told.verification),
        "is_pending": is_pending,
        "may_cancel": is_pending and actor.holds(Scope.CALLS_CANCEL),
        "may_replay": is_pending and actor.holds(Scope.OTP_REPLAY) and not told.verification.is_test,
        "request_example": as_curl(ApiRequestExample("GET", _api_address(told.verification))),
        "name_of": name_of,
        "offset": offset_in_words,
    }


def version_of(row: Listed) -> str:
    """Changes with everything that a row shows."""
    known = (row.status, row.reason, row.last_call, row.seconds, row.token and (row.token.name, row.token.prefix))
    return tag_of(repr(known))[:8]


def _content_of(page: ListPage | None) -> str:
    """What the rows of the list depend on."""
    if page is None:
        return ""
    return json.dumps(
        [
            [(row.verification.verification_id, version_of(row)) for row in page.rows],
            page.older is not None,
            page.gave_up_at is not None,
        ]
    )


def _tag_of(told: Told) -> str:
    verification = told.verification
    return tag_of(repr((told.story, told.history.status, verification.attempts_used, verification.replays_used)))


def _key_of(actor: Actor, form: ListForm) -> str:
    """Whose rows they are, and which."""
    return json.dumps([None if actor.is_admin else sorted(actor.owner_ids), form.given()], sort_keys=True)
