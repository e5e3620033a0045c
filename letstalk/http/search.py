"""One search for everything of the dashboard: it leads to the only thing found, or lists what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from letstalk.core.scopes import Scope
from letstalk.core.search import Hit, SearchSource
from letstalk.http.guards import current_actor, require_signed_in

MAX_CHARACTERS = 200
TOKEN_START = "lt_"
# An id as the interface of Twilio writes it: two letters before our UUID, without its hyphens.
TWILIO_ID = re.compile(r"[A-Z]{2}([0-9a-f]{32})")


def make_blueprint(sources: Sequence[SearchSource]) -> Blueprint:
    """`sources` are what each feature finds, in the order in which it is listed."""
    blueprint = Blueprint("search", __name__)

    @blueprint.get("/dashboard/search")
    @require_signed_in(Scope.CALLS_READ)
    def show() -> ResponseReturnValue:
        text = _read_text(request.args.get("q", ""))
        hits = [hit for source in sources for hit in source(current_actor(), text)] if text else []
        if len(hits) == 1:
            return redirect(hits[0].path)
        return render_template("http/search.html", text=text, groups=_by_kind(hits))

    return blueprint


def _read_text(typed: str) -> str:
    """What is looked for. Of a whole token that was pasted only its public start: the rest must reach no query."""
    text = "".join(character for character in typed if character.isprintable()).strip()[:MAX_CHARACTERS]
    if found := TWILIO_ID.fullmatch(text):
        return str(UUID(found[1]))
    return "_".join(text.split("_")[:2]) if text.startswith(TOKEN_START) else text


def _by_kind(hits: list[Hit]) -> list[tuple[str, list[Hit]]]:
    return [(kind, list(found)) for kind, found in groupby(hits, key=lambda hit: hit.kind)]
