"""`flask connections …`: other systems that have their codes spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import click
from flask.cli import AppGroup

from letstalk.connect.kinds import KINDS
from letstalk.connect.models import DEFAULT_RATE_LIMIT, SystemConnection
from letstalk.connect.receiving import Connections
from letstalk.connect.service import IssuedConnection, NewConnection
from letstalk.core.actors import DEFAULT_OWNER_ID, ActorKind, trusted_actor
from letstalk.core.errors import LetsTalkError
from letstalk.db.rotating_secrets import DEFAULT_GRACE_SECONDS
from letstalk.http.timestamps import day_and_time, exact_time
from letstalk.observability.terminal import escape_controls, print_line, print_table

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)
HEADER = ("CONNECTION ID", "KIND", "NAME", "USER", "STATE", "CREATED")
DELIVERY_HEADER = ("TIME", "OUTCOME", "PHONE", "CALL", "REASON")
MOST_DELIVERIES = 100
UNKNOWN_HOST = "https://YOUR_HOST"  # without PUBLIC_URL: only a request knows how this service is reached


Find = Callable[[], Connections]


def make_commands(find: Find) -> AppGroup:
    """`find` is only called when a command runs."""
    group = AppGroup("connections", help="Other systems that have their codes spoken.")

    @group.command("create", context_settings={"show_default": True})
    @click.argument("kind", type=click.Choice(list(KINDS)))
    @click.option("--user-id", "owner_id", default=DEFAULT_OWNER_ID, help="The owner for whom calls are placed.")
    @click.option("--name", help="By which people recognise it.")
    @click.option("--default-region", help="The country of phones without +, such as US.")
    @click.option("--locale", help="The language where a request names none.")
    @click.option("--rate-limit", default=DEFAULT_RATE_LIMIT, help="How many calls it may place.")
    @click.option("--types", "message_types", multiple=True, help="FusionAuth: Voice or SMS. May be given twice.")
    @click.option("--ask-secret", is_flag=True, help="Ask for the secret, which the other system has made.")
    def create(
        kind: str,
        owner_id: str,
        name: str | None,
        default_region: str | None,
        locale: str | None,
        rate_limit: str,
        message_types: tuple[str, ...],
        *,
        ask_secret: bool,
    ) -> None:
        """Make a connection. Prints its address, and its secret alone on the last line."""
        wanted = NewConnection(
            kind=kind,
            name=name,
            secret=_ask() if ask_secret else None,
            default_region=default_region,
            locale=locale,
            rate_limit=rate_limit,
            message_types=message_types or None,
        )
        with _services(find) as services:
            issued = services.service.create_connection(replace(ACTOR, owner_id=owner_id), wanted)
            _print_issued(services, issued)

    @group.command("list")
    @click.option("--user-id", "owner_id", help="Only this owner's connections.")
    def list_(owner_id: str | None) -> None:
        """List the newest connections, newest first."""
        with _services(find) as services:
            found = services.service.list_reached(None if owner_id is None else frozenset({owner_id}))
        print_table([HEADER, *map(_row, found)])

    @group.command("guide")
    @click.argument("connection_id")
    def guide(connection_id: str) -> None:
        """Print how to set the other system up, with the lines to paste."""
        with _services(find) as services:
            connection = services.service.get_connection(ACTOR, connection_id)
            url = services.service.url_of(connection, UNKNOWN_HOST)
        for number, step in enumerate(KINDS[connection.kind].guide, start=1):
            print_line(f"{number}. {step.text}")
            lines = step.lines(url, "YOUR_SECRET")
            if lines is not None:
                print_line("")
                for line in lines.splitlines():
                    print_line(f"    {line}")
                print_line("")
        _explain_host(url)

    @group.command("rotate", context_settings={"show_default": True})
    @click.argument("connection_id")
    @click.option("--grace-seconds", type=int, default=DEFAULT_GRACE_SECONDS, help="The old secret counts so long too.")
    @click.option("--ask-secret", is_flag=True, help="Ask for the secret, which the other system has made.")
    def rotate(connection_id: str, grace_seconds: int, *, ask_secret: bool) -> None:
        """Make a new secret and print it, alone on the last line."""
        given = _ask() if ask_secret else None
        with _services(find) as services:
            issued = services.service.rotate_secret(ACTOR, connection_id, grace_seconds, given)
            _print_issued(services, issued)

    @group.command("test")
    @click.argument("connection_id")
    @click.argument("phone")
    def test(connection_id: str, phone: str) -> None:
        """Call a phone as if the other system had asked, and print what that system would be told."""
        with _services(find) as services:
            answer = services.hooks.send_test(ACTOR, connection_id, phone)
        print_line(f"{answer.delivery.outcome.value}: HTTP {answer.reply.status}")
        print_line(answer.reply.body.decode("utf-8"))
        if answer.error is not None:
            raise click.ClickException(escape_controls(answer.error.message))

    @group.command("deliveries")
    @click.argument("connection_id")
    def deliveries(connection_id: str) -> None:
        """List what a connection received, newest first."""
        with _services(find) as services:
            found, _ = services.service.list_deliveries(ACTOR, connection_id, limit=MOST_DELIVERIES)
        rows = [
            (
                exact_time(each.delivery.received_at),
                each.delivery.outcome.value,
                each.delivery.phone or "",
                each.call_status or "",
                each.delivery.reason or "",
            )
            for each in found
        ]
        print_table([DELIVERY_HEADER, *rows])

    @group.command("delete")
    @click.argument("connection_id")
    def delete(connection_id: str) -> None:
        """Delete a connection with the record of what it received."""
        with _services(find) as services:
            services.service.delete_connection(ACTOR, connection_id)
        print_line("Connection deleted", err=True)

    return group


@contextmanager
def _services(find: Find) -> Iterator[Connections]:
    try:
        yield find()
    except LetsTalkError as error:
        raise click.ClickException(escape_controls(error.message)) from None


def _ask() -> str:
    """A secret, which must not stand in the history of a shell."""
    secret: str = click.prompt("Secret", hide_input=True, err=True)
    return secret


def _print_issued(services: Connections, issued: IssuedConnection) -> None:
    connection = issued.connection
    print_line(f"Connection {connection.connection_id} of {connection.owner_id}", err=True)
    url = services.service.url_of(connection, UNKNOWN_HOST)
    print_line(f"Address: {url}", err=True)
    _explain_host(url)
    if issued.secret is None:
        command = f"flask connections rotate {connection.connection_id} --ask-secret"
        print_line(f"It waits for the secret that {KINDS[connection.kind].title} makes: {command}", err=True)
    else:
        print_line("Secret:", err=True)
        print_line(issued.secret)


def _explain_host(url: str) -> None:
    """Says what to put in place of UNKNOWN_HOST, where the URL has it."""
    if url.startswith(UNKNOWN_HOST):
        print_line(
            f"PUBLIC_URL is not set: put the address of this service in place of {UNKNOWN_HOST}, "
            "such as the one that `make run` prints.",
            err=True,
        )


def _row(connection: SystemConnection) -> tuple[str, ...]:
    created = day_and_time(connection.created_at)
    name = connection.name or ""
    return connection.connection_id, connection.kind, name, connection.owner_id, connection.status, created
