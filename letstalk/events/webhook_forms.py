"""The form for a webhook endpoint, as it was filled in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask import request

from letstalk.core.errors import InvalidRequest
from letstalk.events.endpoint_models import Endpoint
from letstalk.events.endpoints import EndpointChanges
from letstalk.events.models import MEANINGS, AppEventType
from letstalk.http.forms import form_text

FIELDS = ("url", "user_id", "description", "types")
SPANS = {
    "hour": ("The last hour", timedelta(hours=1)),
    "day": ("The last day", timedelta(days=1)),
    "week": ("The last 7 days", timedelta(days=7)),
    "all": ("All that is kept: 30 days", timedelta(days=30)),
}
TYPES = tuple((type_.value, meaning) for type_, meaning in MEANINGS.items())


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """A rejected form is shown again with its values."""

    url: str = ""
    user_id: str = ""
    description: str = ""
    types: tuple[str, ...] = ()
    shows_phones: bool = False

    @classmethod
    def from_request(cls) -> EndpointForm:
        return cls(
            form_text("url"),
            form_text("user_id"),
            form_text("description"),
            tuple(request.form.getlist("types")),
            "shows_phones" in request.form,
        )

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointForm:
        types = () if endpoint.types is None else tuple(type_.value for type_ in endpoint.types)
        return cls(endpoint.url, endpoint.owner_id, endpoint.description or "", types, endpoint.shows_phones)

    def chosen_types(self) -> tuple[AppEventType, ...] | None:
        """None is all. Raises InvalidRequest."""
        return tuple(read_type(name) for name in self.types) or None

    def as_changes(self) -> EndpointChanges:
        return EndpointChanges(self.url, self.description or None, self.chosen_types(), self.shows_phones)


def read_type(name: str) -> AppEventType:
    """Raises InvalidRequest."""
    try:
        return AppEventType(name)
    except ValueError:
        raise InvalidRequest.in_field("types", "Choose types of the list.") from None
