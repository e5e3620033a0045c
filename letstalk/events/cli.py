"""`flask events …` and `flask webhooks …`: what happened, who is told, and forwarding to an app in development."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

import click
from flask.cli import AppGroup

from letstalk.core.actors import DEFAULT_OWNER_ID, ActorKind, trusted_actor
from letstalk.core.clock import utc_now
from letstalk.core.errors import LetsTalkError
from letstalk.core.ids import first_id
from letstalk.db.rotating_secrets import DEFAULT_GRACE_SECONDS
from letstalk.events.endpoint_models import Answer, Endpoint
from letstalk.events.endpoints import IssuedEndpoint
from letstalk.events.models import AppEvent, AppEventType
from letstalk.events.publishing import body_of
from letstalk.events.services import AppEvents
from letstalk.events.signatures import headers_of, new_secret
from letstalk.events.targets import TargetPolicy, read_url
from letstalk.http.timestamps import day_and_time, exact_time
from letstalk.observability.terminal import escape_controls, print_line, print_table

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)
ANYWHERE = TargetPolicy((IPv4Network("0.0.0.0/0"), IPv6Network("::/0")))  # who has a shell here reaches it anyway
LOOK_SECONDS = 0.5
LOOK_BACK = timedelta(seconds=30)  # an event is seen when its transaction ends, which may be after a later one's
MOST_AT_ONCE = 500
TYPES = click.Choice([type_.value for type_ in AppEventType])
EVENT_HEADER = ("TIME", "TYPE", "USER", "EVENT ID")
ENDPOINT_HEADER = ("ENDPOINT ID", "URL", "USER", "TYPES", "STATE", "CREATED")


Find = Callable[[], AppEvents]


def make_commands(find: Find) -> tuple[AppGroup, AppGroup]:
    """`find` is only called when a command runs."""
    return _make_events(find), _make_webhooks(find)


@contextmanager
def _services(find: Find) -> Iterator[AppEvents]:
    try:
        yield find()
    except LetsTalkError as error:
        raise click.ClickException(escape_controls(error.message)) from None


def _make_events(find: Find) -> AppGroup:
    group = AppGroup("events", help="What happened, as apps are told.")

    @group.command("list", context_settings={"show_default": True})
    @click.option("--user-id", "owner_id", help="Only this owner's events.")
    @click.option("--limit", type=click.IntRange(1, MOST_AT_ONCE), default=50, help="How many of the newest.")
    def list_(owner_id: str | None, limit: int) -> None:
        """List the newest events, newest first."""
        owner_ids = None if owner_id is None else frozenset({owner_id})
        with _services(find) as events:
            found = events.log.list_newest(owner_ids, after=None, limit=limit)
        print_table([EVENT_HEADER, *map(_event_row, found)])

    @group.command("listen")
    @click.option("--forward", "url", help="Where each event is sent, signed. It is not tried again.")
    @click.option("--types", multiple=True, type=TYPES, help="Only these types. May be given several times.")
    def listen(url: str | None, types: tuple[str, ...]) -> None:
        """Print new events, a line each, and forward them to an app that is being developed. Ctrl-C ends it."""
        secret = new_secret()
        with _services(find) as events:
            if url is not None:
                read_url(url)
                print_line(f"Events are forwarded to {url}. They are signed with this secret:", err=True)
                print_line(secret, err=True)
            for event in _new_events(events):
                if types and event.type not in types:
                    continue
                line = "  ".join(_event_row(event))
                if url is not None:
                    content = events.log.describe([event])[0]
                    answer = asyncio.run(_forward(url, secret, event.event_id, body_of(content)))
                    line += f"  {answer.error or answer.status}"
                print_line(line)

    return group


def _make_webhooks(find: Find) -> AppGroup:
    group = AppGroup("webhooks", help="Where apps are told what happened.")

    @group.command("create", context_settings={"show_default": True})
    @click.argument("url")
    @click.option("--user-id", "owner_id", default=DEFAULT_OWNER_ID, help="The owner whose events are sent.")
    @click.option("--types", multiple=True, type=TYPES, help="Only these types. May be given several times.")
    @click.option("--description", help="A name by which people recognise it.")
    @click.option("--shows-phones", is_flag=True, help="Send whole phone numbers.")
    def create(url: str, owner_id: str, types: tuple[str, ...], description: str | None, *, shows_phones: bool) -> None:
        """Create an endpoint and print its secret, alone on a line."""
        wanted = tuple(AppEventType(name) for name in types) or None
        with _services(find) as events:
            issued = events.endpoints.create_endpoint(
                replace(ACTOR, owner_id=owner_id), url, description=description, types=wanted, shows_phones=shows_phones
            )
        _print_secret(issued)

    @group.command("list")
    @click.option("--user-id", "owner_id", help="Only this owner's endpoints.")
    def list_(owner_id: str | None) -> None:
        """List the newest endpoints, newest first."""
        with _services(find) as events:
            found = events.endpoints.list_reached(None if owner_id is None else frozenset({owner_id}))
        print_table([ENDPOINT_HEADER, *map(_endpoint_row, found)])

    @group.command("rotate", context_settings={"show_default": True})
    @click.argument("endpoint_id")
    @click.option("--grace-seconds", type=int, default=DEFAULT_GRACE_SECONDS, help="The old secret also signs so long.")
    def rotate(endpoint_id: str, grace_seconds: int) -> None:
        """Make a new secret and print it, alone on a line."""
        with _services(find) as events:
            _print_secret(events.endpoints.rotate_secret(ACTOR, endpoint_id, grace_seconds))

    @group.command("enable")
    @click.argument("endpoint_id")
    def enable(endpoint_id: str) -> None:
        """Send events from now on."""
        _set_enabled(find, endpoint_id, is_enabled=True)

    @group.command("disable")
    @click.argument("endpoint_id")
    def disable(endpoint_id: str) -> None:
        """Send nothing more. What waits is given up."""
        _set_enabled(find, endpoint_id, is_enabled=False)

    @group.command("delete")
    @click.argument("endpoint_id")
    def delete(endpoint_id: str) -> None:
        """Delete an endpoint with the record of its deliveries."""
        with _services(find) as events:
            events.endpoints.delete_endpoint(ACTOR, endpoint_id)
        print_line("Endpoint deleted", err=True)

    return group


def _set_enabled(find: Find, endpoint_id: str, *, is_enabled: bool) -> None:
    with _services(find) as events:
        events.endpoints.set_enabled(ACTOR, endpoint_id, is_enabled=is_enabled)
    print_line("Endpoint enabled" if is_enabled else "Endpoint disabled", err=True)


def _new_events(events: AppEvents) -> Iterator[AppEvent]:
    """Every event from now on, of all owners."""

    def look() -> list[AppEvent]:
        return events.log.list_newest(None, after=first_id(utc_now() - LOOK_BACK), limit=MOST_AT_ONCE)

    seen = {event.event_id for event in look()}
    while True:
        found = look()
        yield from (event for event in reversed(found) if event.event_id not in seen)
        seen = {event.event_id for event in found}
        time.sleep(LOOK_SECONDS)


async def _forward(url: str, secret: str, event_id: str, body: str) -> Answer:
    # Imported only here: no other command needs what it loads.
    from letstalk.events.webhook_client import WebhookClient

    sent = body.encode("utf-8")
    async with WebhookClient(ANYWHERE) as client:
        return await client.post(url, headers_of([secret], event_id, int(time.time()), sent), sent)


def _print_secret(issued: IssuedEndpoint) -> None:
    endpoint = issued.endpoint
    print_line(f"Endpoint {endpoint.endpoint_id} of {endpoint.owner_id}, secret:", err=True)
    print_line(issued.secret)


def _event_row(event: AppEvent) -> tuple[str, ...]:
    return exact_time(event.created_at), event.type.value, event.owner_id, event.event_id


def _endpoint_row(endpoint: Endpoint) -> tuple[str, ...]:
    types = "all" if endpoint.types is None else str(len(endpoint.types))
    created = day_and_time(endpoint.created_at)
    return endpoint.endpoint_id, endpoint.url, endpoint.owner_id, types, endpoint.status, created
