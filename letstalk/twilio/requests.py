"""What the views of Twilio's API share: the parameters of a request, pages of a list, and rendering for the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, current_app, jsonify, request

from letstalk.core.errors import InvalidRequest
from letstalk.http.guards import current_actor
from letstalk.twilio.errors import API
from letstalk.twilio.forms import Parameters
from letstalk.twilio.schemas import Page, Renderer
from letstalk.twilio.services import TwilioVerify

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_CURSOR_CHARACTERS = 200

Item = TypeVar("Item")
# Lists so many items at most from a cursor on, and returns the cursor of the next page.
ListItems = Callable[[int, str | None], tuple[list[Item], str | None]]


def form() -> Parameters:
    return Parameters(request.form)


def query() -> Parameters:
    return Parameters(request.args)


def renderer(verify: TwilioVerify) -> Renderer:
    host: str = current_app.config["PUBLIC_URL"] or request.host_url
    return Renderer(f"{host.rstrip('/')}{API}", verify.account_sid(current_actor().owner_id))


def page_of(verify: TwilioVerify, key: str, list_items: ListItems[Item], render: Callable[[Item], Any]) -> Response:
    """The page that the request asks for by PageSize, Page and PageToken. Raises InvalidRequest."""
    asked = query()
    size = asked.number("PageSize")
    size = DEFAULT_PAGE_SIZE if size is None else min(size, MAX_PAGE_SIZE)
    if size < 1:
        raise InvalidRequest.in_field("PageSize", f"It must be 1 to {MAX_PAGE_SIZE}.")
    number = asked.number("Page") or 0
    items, cursor = list_items(size, asked.text("PageToken", MAX_CURSOR_CHARACTERS))
    page = Page(key, [render(item) for item in items], cursor)
    path = request.path.removeprefix(f"{API}/")
    return jsonify(renderer(verify).page(path, request.args, page, number=number, size=size))
