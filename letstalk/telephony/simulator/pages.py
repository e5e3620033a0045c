"""The phone's page: it rings, and a person answers, listens, presses a key or hangs up."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.core.errors import NotFound
from letstalk.core.scopes import Scope
from letstalk.http.guards import require_signed_in
from letstalk.telephony.simulator.phone import SimulatedPhone
from letstalk.telephony.simulator.phone_calls import Action
from letstalk.telephony.simulator.scenarios import NUMBERS
from letstalk.telephony.simulator.views import HABITS, DescribeCalls, choose, show_calls

# The page asks every second, and reloads itself every three without a script. A browser lets a page that is not seen
# ask only once in a minute.
SEEN_SECONDS = 10.0
UNSEEN_SECONDS = 75.0
LEFT_SECONDS = 2.0  # another page that is open asks again by then
MAX_KEY_LENGTH = 1


def make_blueprint(phone: SimulatedPhone, describe: DescribeCalls, *, brand_name: str) -> Blueprint:
    blueprint = Blueprint("simulator", __name__)

    def _screen() -> dict[str, Any]:
        views = show_calls(phone.list_calls(), describe)
        chosen = choose(views, request.args.get("call"), is_firm=request.args.get("firm") == "1")
        return {"views": views, "chosen": chosen, "brand_name": brand_name}

    @blueprint.get("/simulator")
    @require_signed_in(Scope.ADMIN)
    def show() -> ResponseReturnValue:
        phone.attend(SEEN_SECONDS)
        numbers = [(digits, HABITS[scenario]) for digits, scenario in NUMBERS.items()]
        return render_template("simulator/phone.html", numbers=numbers, is_part=False, **_screen())

    @blueprint.get("/simulator/screen")
    @require_signed_in(Scope.ADMIN)
    def show_screen() -> ResponseReturnValue:
        """The part of the page that changes."""
        phone.attend(UNSEEN_SECONDS if request.args.get("unseen") == "1" else SEEN_SECONDS)
        return render_template("simulator/screen.html", is_part=True, **_screen())

    @blueprint.post("/simulator/leave")
    @require_signed_in(Scope.ADMIN)
    def leave() -> ResponseReturnValue:
        """The page is being closed: from now on calls act by themselves."""
        phone.attend(LEFT_SECONDS)
        return "", 204

    @blueprint.post("/simulator/calls/<call_id>/<action>")
    @require_signed_in(Scope.ADMIN)
    def act(call_id: str, action: str) -> ResponseReturnValue:
        if action not in {each.value for each in Action}:
            raise NotFound("The phone has no such button.")
        if not phone.act(call_id, Action(action), request.form.get("key", "")[:MAX_KEY_LENGTH]):
            flash("That was too late: the call had gone on, or was over.")
        return redirect(url_for("simulator.show", call=call_id))

    return blueprint
