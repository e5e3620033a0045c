"""The form for a connection, as it was filled in."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from letstalk.connect.kinds.base import Kind
from letstalk.connect.models import DEFAULT_RATE_LIMIT, Pointers, SystemConnection
from letstalk.connect.service import ConnectionChanges, NewConnection, find_kind
from letstalk.http.forms import form_text


def fields_of(kind: Kind) -> tuple[str, ...]:
    """The fields of the form for a kind, in their order on the page."""
    region = () if kind.is_international else ("default_region",)
    more = ("message_types",) if kind.message_types else ("pointers",) if kind.has_pointers else ()
    return ("user_id", "name", *region, "locale", "rate_limit", *more, "secret")


@dataclass(frozen=True, slots=True)
class ConnectionForm:
    """A rejected form is shown again with its values, but for the secret."""

    kind: str = ""
    user_id: str = ""
    name: str = ""
    default_region: str = ""
    locale: str = ""
    rate_limit: str = DEFAULT_RATE_LIMIT
    message_types: tuple[str, ...] = ()
    pointers: Pointers = Pointers()  # noqa: RUF009  # it is frozen

    @classmethod
    def from_request(cls, kind: str) -> ConnectionForm:
        return cls(
            kind,
            form_text("user_id"),
            form_text("name"),
            form_text("default_region"),
            form_text("locale"),
            form_text("rate_limit"),
            tuple(request.form.getlist("message_types")),
            Pointers(form_text("phone_pointer"), form_text("code_pointer"), form_text("locale_pointer") or None),
        )

    @classmethod
    def of(cls, connection: SystemConnection) -> ConnectionForm:
        return cls(
            connection.kind,
            connection.owner_id,
            connection.name or "",
            connection.default_region or "",
            connection.locale or "",
            connection.rate_limit,
            connection.message_types or (),
            connection.pointers or Pointers(),
        )

    def as_new_connection(self) -> NewConnection:
        """Raises InvalidRequest for a kind that there is not."""
        kind = find_kind(self.kind)
        return NewConnection(
            kind=kind.name,
            name=self.name or None,
            secret=form_text("secret") or None,
            default_region=self.default_region or None,
            locale=self.locale or None,
            rate_limit=self.rate_limit or None,
            message_types=self._types(),
            pointers=self.pointers if kind.has_pointers else None,
        )

    def as_changes(self) -> ConnectionChanges:
        """Raises InvalidRequest for a kind that there is not."""
        return ConnectionChanges(
            name=self.name or None,
            default_region=self.default_region or None,
            locale=self.locale or None,
            rate_limit=self.rate_limit or None,
            message_types=self._types(),
            pointers=self.pointers if find_kind(self.kind).has_pointers else None,
        )

    def _types(self) -> tuple[str, ...] | None:
        """An empty choice is refused where the kind has types."""
        return self.message_types if find_kind(self.kind).message_types else None
