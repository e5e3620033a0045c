"""`flask test-numbers …`: creates and manages test numbers from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup

from letstalk.core.actors import DEFAULT_OWNER_ID, ActorKind, trusted_actor
from letstalk.core.errors import LetsTalkError
from letstalk.core.unset import UNSET
from letstalk.http.timestamps import day_and_time
from letstalk.observability.terminal import escape_controls, print_line, print_table
from letstalk.test_numbers.models import NewTestNumber, NumberChanges, ShownTestNumber
from letstalk.test_numbers.schemas import TestNumberResponse
from letstalk.test_numbers.service import TestNumberService

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)
DAY_SECONDS = 86_400
HEADER = ("TEST NUMBER ID", "PHONE", "CODE", "USER", "NAME", "ENDS")


def make_commands(service: Callable[[], TestNumberService]) -> AppGroup:
    """`service` is only called when a command runs."""
    group = AppGroup("test-numbers", help="Phones with a fixed code, to which no call is placed.")

    @contextmanager
    def find_service() -> Iterator[TestNumberService]:
        try:
            yield service()
        except LetsTalkError as error:
            raise click.ClickException(escape_controls(error.message)) from None

    @group.command("create", context_settings={"show_default": True})
    @click.argument("phone")
    @click.option("--user-id", "owner_id", default=DEFAULT_OWNER_ID, help="The owner for whom its code counts.")
    @click.option("--code", help="6 to 10 digits. Default: one is made.")
    @click.option("--name", help="What it is for.")
    @click.option("--days", type=click.IntRange(1, 365), help="Ends after so many days. Required in production.")
    def create(phone: str, owner_id: str, code: str | None, name: str | None, days: int | None) -> None:
        """Create a test number and print its code, alone on a line."""
        wanted = NewTestNumber(phone, owner_id, code, name, None if days is None else days * DAY_SECONDS)
        with find_service() as numbers:
            created = numbers.create_test_number(ACTOR, wanted)
        number = created.number
        print_line(f"Test number {number.test_number_id} of {number.owner_id}, {number.e164}, code:", err=True)
        print_line(created.code)

    @group.command("list")
    @click.option("--user-id", "owner_id", help="Only this owner's test numbers.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
    def list_(owner_id: str | None, as_json: bool) -> None:
        """List test numbers with their codes, newest first."""
        with find_service() as numbers:
            found = list(_all(numbers, owner_id))
        if as_json:
            click.echo(json.dumps([TestNumberResponse.of(shown).model_dump() for shown in found], indent=2))
            return
        print_table([HEADER, *map(_row, found)])

    @group.command("update")
    @click.argument("test_number_id")
    @click.option("--code", help="Another code.")
    @click.option("--name", help="Another name.")
    @click.option("--days", type=click.IntRange(1, 365), help="Ends after so many days from now.")
    def update(test_number_id: str, code: str | None, name: str | None, days: int | None) -> None:
        """Change a test number. What waits for its old code is canceled."""
        changes = NumberChanges(
            code=UNSET if code is None else code,
            name=UNSET if name is None else name,
            expires_in_seconds=UNSET if days is None else days * DAY_SECONDS,
        )
        with find_service() as numbers:
            numbers.update_test_number(ACTOR, test_number_id, changes)
        print_line("Test number changed", err=True)

    @group.command("delete")
    @click.argument("test_number_id")
    def delete(test_number_id: str) -> None:
        """Delete a test number. The next call to its phone is a real one."""
        with find_service() as numbers:
            numbers.delete_test_number(ACTOR, test_number_id)
        print_line("Test number deleted", err=True)

    return group


def _all(service: TestNumberService, owner_id: str | None) -> Iterator[ShownTestNumber]:
    cursor = None
    while True:
        page = service.list_test_numbers(ACTOR, owner_id=owner_id, limit=100, cursor=cursor)
        yield from page.numbers
        cursor = page.next_cursor
        if cursor is None:
            return


def _row(shown: ShownTestNumber) -> tuple[str, ...]:
    number = shown.number
    end = "never" if number.expires_at is None else day_and_time(number.expires_at)
    ends = end if shown.is_live else f"{end}, ended" if number.expires_at else "has no end: not used in production"
    return number.test_number_id, number.e164, shown.code, number.owner_id, number.name or "-", ends
