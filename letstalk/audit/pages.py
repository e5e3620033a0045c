"""The dashboard's page of the audit trail, and its download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from letstalk.audit.csv_export import COLUMNS, cells_of
from letstalk.audit.models import ACTIONS, AuditFilter, AuditPage
from letstalk.audit.search import MAX_EXPORTED, AuditSearch, check_filter, public_start
from letstalk.core.actors import ActorKind
from letstalk.core.errors import InvalidRequest
from letstalk.core.field_errors import FieldErrors
from letstalk.core.scopes import Scope
from letstalk.http.csv_files import send_csv
from letstalk.http.forms import form_response
from letstalk.http.guards import current_actor, require_signed_in

ENTRIES_PER_PAGE = 50
TEXT_FIELDS = ("action", "actor", "token", "account", "user_id", "address", "request_id")
FIELDS = (*TEXT_FIELDS, "from", "to")
MAX_SHOWN = 254
KINDS = (
    (ActorKind.OWNER.value, "the built-in owner"),
    (ActorKind.COMMAND_LINE.value, "the command line"),
    (ActorKind.LOOPBACK.value, "this machine, without credentials"),
)
# The groups of actions in the filter, by the word before the dot.
GROUPS = {
    "token": "Tokens",
    "account": "Accounts",
    "identity": "Accounts",
    "link": "Accounts",
    "role_policy": "Accounts",
    "session": "Signing in",
    "second_factor": "Signing in",
    "recovery_codes": "Signing in",
    "recovery_code": "Signing in",
    "destination": "Calls",
    "phone": "Calls",
    "test_number": "Test numbers",
    "verification": "Calls",
    "webhook_endpoint": "Webhooks",
    "verify_service": "Twilio Verify",
    "verify_rate_limit": "Twilio Verify",
    "connection": "Connections",
    "refused": "Refusals",
    "refusals_dropped": "Refusals",
}


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The filters as they were filled in: a wrong one is shown again with its error."""

    texts: dict[str, str]

    @classmethod
    def from_request(cls) -> FilterForm:
        texts = {name: request.args.get(name, "").strip()[:MAX_SHOWN] for name in FIELDS}
        # The rest of a pasted token is its secret, which must not reach a page or a query.
        return cls({**texts, **{name: public_start(texts[name]) for name in ("actor", "token")}})

    def as_filter(self) -> AuditFilter:
        """Raises InvalidRequest, with every field that is wrong."""
        wrong = FieldErrors()
        texts = {name: self.texts[name] or None for name in TEXT_FIELDS}
        owner_id = texts.pop("user_id")
        times: dict[str, datetime | None] = {"from": None, "to": None}
        for field in times:
            with wrong.collected():
                times[field] = _read_time(field, self.texts[field])
        wanted = AuditFilter(since=times["from"], until=times["to"], owner_id=owner_id, **texts)
        with wrong.collected():
            check_filter(wanted)
        wrong.raise_found()
        return wanted

    @property
    def given(self) -> dict[str, Any]:
        return {name: text for name, text in self.texts.items() if text}


def make_blueprint(search: AuditSearch, list_owners: Callable[[], list[str]]) -> Blueprint:
    """`list_owners` returns the owners that exist, for admins to choose from."""
    blueprint = Blueprint("audit_pages", __name__)

    @blueprint.get("/dashboard/audit")
    @require_signed_in(Scope.TOKENS_READ)
    def index() -> ResponseReturnValue:
        form = FilterForm.from_request()
        actor = current_actor()
        cursor = request.args.get("cursor") or None
        error, page = None, AuditPage((), None)
        try:
            page = search.list_entries(actor, form.as_filter(), limit=ENTRIES_PER_PAGE, cursor=cursor)
        except InvalidRequest as wrong:
            error = wrong
        return form_response(
            "audit/audit.html",
            error,
            fields=FIELDS,
            page=page,
            form=form.texts,
            is_filtered=bool(form.given),
            cursor=cursor,
            action_groups=_action_groups(is_admin=actor.is_admin),
            kinds=KINDS,
            sees_all=actor.is_admin,
            owners=list_owners() if actor.is_admin else sorted(actor.owner_ids),
            first_page=url_for("audit_pages.index", **form.given),
            next_page=url_for("audit_pages.index", cursor=page.next_cursor, **form.given) if page.next_cursor else None,
            csv=url_for("audit_pages.download", **form.given),
            most_exported=MAX_EXPORTED,
        )

    @blueprint.get("/dashboard/audit.csv")
    @require_signed_in(Scope.TOKENS_READ)
    def download() -> ResponseReturnValue:
        """The same entries as CSV, sent while they are read. Raises InvalidRequest for a wrong filter."""
        entries = search.export(current_actor(), FilterForm.from_request().as_filter())
        return send_csv("audit", COLUMNS, map(cells_of, entries))

    return blueprint


def _read_time(field: str, text: str) -> datetime | None:
    """The time in `text`, in UTC if it names no zone. Raises InvalidRequest."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{field} must be a day and a time, such as 2026-11-20T17:00."
        raise InvalidRequest.in_field(field, message) from None


def _action_groups(*, is_admin: bool) -> dict[str, list[tuple[str, str]]]:
    """The actions for the filter, by group. What only admins can see is offered to them only."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for action in ACTIONS:
        group = GROUPS[action.split(".")[0]]
        if is_admin or group in ("Tokens", "Calls", "Test numbers") or action == "refused":
            groups.setdefault(group, []).append((action, action.replace(".", ": ").replace("_", " ")))
    return groups
