"""`flask audit …`: the audit trail, from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from letstalk.audit.models import AuditEntry, AuditFilter
from letstalk.audit.schemas import AuditEntryResponse
from letstalk.audit.search import MAX_PAGE, AuditSearch
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.errors import LetsTalkError
from letstalk.observability.terminal import escape_controls, escape_json, print_table

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


def make_commands(search: Callable[[], AuditSearch]) -> AppGroup:
    """`search` is only called when a command runs."""
    group = AppGroup("audit", help="Who did what: read the audit trail.")

    @group.command("list", context_settings={"show_default": True})
    @click.option("--from", "since", type=TIME, help="From this time on, in UTC.")
    @click.option("--to", "until", type=TIME, help="Before this time, in UTC.")
    @click.option("--action", help="Such as token.revoked or refused.")
    @click.option("--actor", help="An account or a token, or owner, command_line, loopback, service.")
    @click.option("--token", help="About this token: its id or its prefix.")
    @click.option("--account", help="About this account: its id, username or e-mail address.")
    @click.option("--user-id", "owner_id", help="About what this owner has.")
    @click.option("--address", help="Only requests from this IP address.")
    @click.option("--request-id", help="Only of the request with this X-Request-Id.")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="The most entries to print.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
    def list_(since: datetime | None, until: datetime | None, limit: int, as_json: bool, **texts: str | None) -> None:
        """List what was done, newest first."""
        wanted = AuditFilter(since=_in_utc(since), until=_in_utc(until), **texts)
        try:
            found = _newest(search(), wanted, limit)
        except LetsTalkError as error:
            raise click.ClickException(escape_controls(error.message)) from None
        if as_json:
            document = json.dumps([AuditEntryResponse.of(entry).model_dump() for entry in found], indent=2)
            click.echo(escape_json(document))
            return
        rows = [(f"{one.event.at:%Y-%m-%d %H:%M:%S}Z", one.event.action, one.sentence) for one in found]
        print_table([("TIME", "ACTION", "WHAT HAPPENED"), *rows])

    return group


def _newest(search: AuditSearch, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    cursor = None
    while len(found) < limit:
        page = search.list_entries(ACTOR, wanted, limit=min(MAX_PAGE, limit - len(found)), cursor=cursor)
        found += page.entries
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
