"""Try it: the page that sends a real verification, checks its code, and shows each request and response."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from letstalk.calls.models import CallStatus
from letstalk.core.actors import Actor
from letstalk.core.errors import LetsTalkError, NotFound
from letstalk.core.scopes import Scope
from letstalk.http.errors import invalid_request_from, record_refusal, render_error
from letstalk.http.forms import form_text, new_submission
from letstalk.http.guards import Guard, GuardKind, current_actor, require_signed_in
from letstalk.http.idempotency import read_idempotency_key
from letstalk.http.live import Fragment, Pace, answer_tab, is_known, tag_of
from letstalk.http.rate_limits import CallerLimits, Environ, request_limits
from letstalk.observability.redaction import mask_phone
from letstalk.observability.request_log import CALLER, ROUTE
from letstalk.telephony.simulator.phone import SimulatedPhone
from letstalk.telephony.speech.languages import supported_locales
from letstalk.verifications.api import Reply, check, replay, send
from letstalk.verifications.browsing import BrowsingService
from letstalk.verifications.models import (
    DEFAULT_CODE_LENGTH,
    DEFAULT_TTL_SECONDS,
    MAX_CODE_LENGTH,
    MIN_CODE_LENGTH,
    VerificationStatus,
)
from letstalk.verifications.request_examples import ApiRequestExample, in_every_language
from letstalk.verifications.schemas import ReplayRequest, SendRequest, VerifyRequest
from letstalk.verifications.sends import SendService
from letstalk.verifications.service import VerificationService
from letstalk.verifications.trials import TrialService

LIFETIMES = ((60, "1 minute"), (120, "2 minutes"), (300, "5 minutes"), (600, "10 minutes"))
CODE_LENGTHS = tuple(range(MIN_CODE_LENGTH, MAX_CODE_LENGTH + 1))
TEXTS = ("phone", "message", "message_template", "locale", "reference")
# A number that nobody has (+1 … 555 01xx is kept for fiction), where the call is simulated.
EXAMPLE_PHONE = "+1 202 555 0142"
# Longer than a phone rings, so that the call is not answered before its page is open.
RINGS_FOR_SECONDS = 45.0
CODE_PLACEHOLDER = "<the code that was typed>"  # in the example: whatever was typed here may be wrong
# Before the phone is answered, and while the call is heard.
RINGING = (CallStatus.QUEUED, CallStatus.DIALING, CallStatus.RINGING)
TALKING = (CallStatus.ANSWERED, CallStatus.SPEAKING)
NUMBERS = {"code_length": DEFAULT_CODE_LENGTH, "expires_in": DEFAULT_TTL_SECONDS}

# Counts a request of the token and checks its rights, as the guards do for a request to the API.
Admit = Callable[[Environ, Actor, Guard, CallerLimits], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to the API, and its response as it came."""

    title: str
    request: ApiRequestExample
    status: int
    content: Mapping[str, Any]

    @property
    def is_accepted(self) -> bool:
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def status_line(self) -> str:
        return f"{self.status} {HTTPStatus(self.status).phrase}"

    @property
    def text(self) -> str:
        return json.dumps(self.content, indent=2, ensure_ascii=False)

    @property
    def programs(self) -> tuple[tuple[str, str], ...]:
        return in_every_language(self.request)

    @property
    def errors(self) -> dict[str, str]:
        """What the response says of each field."""
        return {detail["field"]: detail["message"] for detail in reversed(self.content.get("details", []))}


@dataclass(frozen=True, slots=True)
class Sent:
    """The verification that this page has sent, which its next forms name."""

    verification_id: str
    phone: str
    token_id: str


def make_blueprint(
    trials: TrialService,
    sends: SendService,
    verifications: VerificationService,
    browsing: BrowsingService,
    admit: Admit,
    *,
    template_names: tuple[str, ...],
    phone: SimulatedPhone | None,
) -> Blueprint:
    """`phone` is the simulator's, on whose page admins answer; None with a real provider."""
    blueprint = Blueprint("trial", __name__)
    pace = Pace()

    def exchange(
        title: str, path: str, scope: Scope, body: dict[str, Any], key: str | None, call: Callable[[Actor], Reply]
    ) -> Exchange:
        """What the API responds to this request with the chosen token. `body` is as the example has it."""
        headers = {} if key is None else {"Idempotency-Key": key}
        asked = ApiRequestExample("POST", _address_of(path), body, headers)
        try:
            actor = trials.act_with(current_actor(), form_text("token_id"))
            _admit(admit, actor, scope, path)
            reply = call(actor)
        except (LetsTalkError, ValidationError) as error:
            known = invalid_request_from(error) if isinstance(error, ValidationError) else error
            record_refusal(known)
            response = render_error(known)
            return Exchange(title, asked, response.status_code, response.get_json())
        return Exchange(title, asked, reply.status, reply.content)

    def call_state(verification_id: str) -> dict[str, Any] | None:
        """What the page says of the call, and whether that can change. None for what this person may not see."""
        try:
            told = browsing.tell(current_actor(), verification_id)
        except NotFound:
            return None
        last = told.history.calls[-1].call.status if told.history.calls else None
        is_pending = told.history.status is VerificationStatus.PENDING
        return {
            "sentence": told.story.explanation.sentence,
            "is_ringing": is_pending and last in RINGING,
            "is_talking": is_pending and last in TALKING,
            "is_live": is_pending and last in (*RINGING, *TALKING),
            "may_answer": may_answer(),
        }

    def show(shown: Exchange | None = None, sent: Sent | None = None) -> str:
        form = {name: form_text(name) for name in (*TEXTS, *NUMBERS, "token_id")}
        if phone is not None and request.method == "GET":
            form["phone"] = EXAMPLE_PHONE
        if sent is not None:
            form["token_id"] = sent.token_id
        call = None if sent is None else call_state(sent.verification_id)
        return render_template(
            "verifications/try.html",
            tokens=trials.list_tokens(current_actor()),
            may_create=current_actor().holds(Scope.TOKENS_WRITE),
            form={**form, **{name: form[name] or str(usual) for name, usual in NUMBERS.items()}},
            shown=shown,
            sent=sent,
            call=call,
            tag=tag_of(repr(call)),
            errors={} if shown is None else shown.errors,
            submission=new_submission(),
            locales=supported_locales(),
            templates=template_names,
            lifetimes=LIFETIMES,
            code_lengths=CODE_LENGTHS,
            is_simulated=phone is not None,
            may_answer=may_answer(),
        )

    def may_answer() -> bool:
        return phone is not None and current_actor().is_admin

    def expect_answer() -> None:
        if phone is not None and may_answer():
            phone.expect_person(RINGS_FOR_SECONDS)

    @blueprint.get("/dashboard/try")
    @require_signed_in(Scope.OTP_SEND)
    def page() -> ResponseReturnValue:
        verification_id = request.args.get("verification_id")
        return show(sent=None if verification_id is None else find_pending(verification_id))

    @blueprint.get("/dashboard/try/<verification_id>/live")
    @require_signed_in(Scope.OTP_SEND)
    def live(verification_id: str) -> ResponseReturnValue:
        """The part of the page about the call, for a page that is open; 304 where nothing has changed."""
        call = call_state(verification_id)
        if call is None:
            return Response(status=404, mimetype="text/plain")  # for the script, which needs no page
        tag = tag_of(repr(call))
        html = "" if is_known(tag) else render_template("verifications/_trial_call.html", call=call)
        return answer_tab(pace, Fragment(tag, html))

    def find_pending(verification_id: str) -> Sent | None:
        """A verification that this person may see and that waits for its code; its phone is masked."""
        try:
            told = browsing.tell(current_actor(), verification_id)
        except NotFound:
            return None
        if told.token is None or told.history.status is not VerificationStatus.PENDING:
            return None
        found = told.verification
        return Sent(found.verification_id, mask_phone(found.e164), told.token.token_id)

    @blueprint.post("/dashboard/try/token")
    @require_signed_in(Scope.TOKENS_WRITE)
    def make_token() -> ResponseReturnValue:
        """A first token, for those who have none."""
        token = trials.make_token(current_actor())
        flash(f"The token “{token.name}” of {token.owner_id} is created. Only this page can use it.")
        return redirect(url_for("trial.page"))

    @blueprint.post("/dashboard/try")
    @require_signed_in(Scope.OTP_SEND)
    def send_code() -> ResponseReturnValue:
        """The page with the response. A form that is sent again, by a reload, gets the first response again."""
        body = _body_of_form()
        key = _key_of(body)

        def call(actor: Actor) -> Reply:
            wanted = SendRequest.model_validate(body)
            expect_answer()
            return send(sends, actor, wanted, read_idempotency_key("/calls/otp", key, body))

        shown = exchange("Call a phone", "/calls/otp", Scope.OTP_SEND, body, key, call)
        if not shown.is_accepted:
            return show(shown)
        sent = Sent(shown.content["verification_id"], shown.content["phone"], form_text("token_id"))
        trials.note(current_actor(), form_text("token_id"), sent.verification_id)
        return show(shown, sent)

    @blueprint.post("/dashboard/try/check")
    @require_signed_in(Scope.OTP_VERIFY)
    def check_code() -> ResponseReturnValue:
        body = {"verification_id": form_text("verification_id"), "code": form_text("code")}

        def call(actor: Actor) -> Reply:
            return check(verifications, actor, VerifyRequest.model_validate(body))

        example = {**body, "code": CODE_PLACEHOLDER}
        shown = exchange("Check the code", "/calls/verify", Scope.OTP_VERIFY, example, None, call)
        return show(shown, _sent_before())

    @blueprint.post("/dashboard/try/replay")
    @require_signed_in(Scope.OTP_REPLAY)
    def replay_code() -> ResponseReturnValue:
        body = {"verification_id": form_text("verification_id")}
        key = _key_of(body)

        def call(actor: Actor) -> Reply:
            wanted = ReplayRequest.model_validate(body)
            expect_answer()
            return replay(sends, verifications, actor, wanted, read_idempotency_key("/calls/replay", key, body))

        shown = exchange("Call again", "/calls/replay", Scope.OTP_REPLAY, body, key, call)
        return show(shown, _sent_before())

    return blueprint


def _admit(admit: Admit, actor: Actor, scope: Scope, path: str) -> None:
    """Raises TooManyRequests, InsufficientScope. The line of the request in the log still names the person and page."""
    kept = {name: request.environ.get(name) for name in (CALLER, ROUTE)}
    request.environ[ROUTE] = path
    try:
        admit(request.environ, actor, Guard(GuardKind.TOKEN, scope), request_limits())
    finally:
        request.environ.update(kept)


def _body_of_form() -> dict[str, Any]:
    """The body of a send with the fields that were filled in, but for those with their defaults."""
    body: dict[str, Any] = {"phone": form_text("phone")}
    body |= {name: form_text(name) for name in TEXTS if form_text(name)}
    for name, usual in NUMBERS.items():
        text = form_text(name)
        if text and text != str(usual):
            body[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return body


def _key_of(body: dict[str, Any]) -> str:
    """The same for the same form with the same content: to change a field after an error is another request."""
    content = json.dumps([form_text("submission"), body])
    return f"try-{hashlib.sha256(content.encode()).hexdigest()[:20]}"


def _sent_before() -> Sent:
    return Sent(form_text("verification_id"), form_text("phone"), form_text("token_id"))


def _address_of(path: str) -> str:
    base: str = current_app.config["PUBLIC_URL"] or request.host_url
    return base.rstrip("/") + path
