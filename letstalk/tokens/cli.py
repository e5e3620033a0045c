"""`flask tokens …`: creates and manages tokens from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from flask.cli import AppGroup

from letstalk.core.actors import DEFAULT_OWNER_ID, ActorKind, CustomMessage, trusted_actor
from letstalk.core.clock import utc_now
from letstalk.core.errors import LetsTalkError
from letstalk.observability.terminal import escape_controls, print_line, print_table
from letstalk.tokens.models import DEFAULT_GRACE_SECONDS, DEFAULT_SCOPES, IssuedToken, NewToken, Standing, Token
from letstalk.tokens.schemas import TokenResponse
from letstalk.tokens.service import TokenService

COLUMNS: tuple[tuple[str, Callable[[Token], str]], ...] = (
    ("TOKEN ID", lambda token: token.token_id),
    ("PREFIX", lambda token: token.prefix),
    ("USER", lambda token: token.owner_id),
    ("NAME", lambda token: token.name or "-"),
    ("SCOPES", lambda token: ",".join(token.scopes)),
    ("STATE", lambda token: _state(token)),
    ("LAST USED", lambda token: _minute(token.last_used)),
    ("CREATED BY", lambda token: token.maker_name or token.created_by or token.parent_id or "-"),
    ("REQUESTS", lambda token: str(token.requests_total)),
)

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)


def make_commands(service: Callable[[], TokenService]) -> AppGroup:
    """`service` is only called when a command runs."""
    group = AppGroup("tokens", help="Create, list, rotate and revoke API tokens.")

    @contextmanager
    def find_service() -> Iterator[TokenService]:
        try:
            yield service()
        except LetsTalkError as error:
            raise click.ClickException(escape_controls(error.message)) from None

    @group.command("create", context_settings={"show_default": True})
    @click.option(
        "--user-id", "owner_id", default=DEFAULT_OWNER_ID, help="The owner whose verifications the token can see."
    )
    @click.option("--scopes", type=_split, metavar="TEXT", default=",".join(DEFAULT_SCOPES), help="Comma-separated.")
    @click.option("--name", help="A name by which people recognise the token.")
    @click.option("--expires-in", "expires_in_seconds", type=int, metavar="SECONDS", help="Default: never.")
    @click.option(
        "--allowed-ips",
        type=_split,
        metavar="IPS",
        help="Comma-separated IP addresses and CIDR blocks. Default: any address.",
    )
    @click.option("--rate-limit", metavar="RATES", help='Such as "100 per minute". Default: RATE_LIMIT_TOKEN.')
    @click.option(
        "--custom-message",
        type=click.Choice([choice.value for choice in CustomMessage]),
        callback=lambda _context, _option, value: None if value is None else CustomMessage(value),
        help="Whether it can have its own texts spoken. Default: CUSTOM_MESSAGE.",
    )
    def create(**fields: Any) -> None:
        """Create a token and print it, alone on a line. It is not shown again."""
        with find_service() as tokens:
            _print_secret(tokens.create_token(ACTOR, NewToken(**fields)))

    @group.command("list")
    @click.option("--user-id", "owner_id", help="Only this owner's tokens.")
    @click.option("--include-revoked", is_flag=True, help="Include revoked and expired tokens.")
    @click.option(
        "--standing",
        type=click.Choice([standing.value for standing in Standing]),
        callback=lambda _context, _option, value: None if value is None else Standing(value),
        help="Only those that nobody uses, that expire within 14 days, or whose maker's account is disabled.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
    def list_(owner_id: str | None, include_revoked: bool, standing: Standing | None, as_json: bool) -> None:
        """List tokens, newest first."""
        with find_service() as tokens:
            found = list(_all_tokens(tokens, owner_id, include_revoked, standing))
        if as_json:
            click.echo(json.dumps([TokenResponse.of(token).model_dump() for token in found], indent=2))
            return
        rows = [tuple(name for name, _ in COLUMNS), *(tuple(show(token) for _, show in COLUMNS) for token in found)]
        print_table(rows)

    @group.command("revoke")
    @click.argument("token_id")
    @click.option("--cascade", is_flag=True, help="Also revoke the tokens that came of it.")
    def revoke(token_id: str, cascade: bool) -> None:
        """Revoke a token. Every instance refuses it within a second."""
        with find_service() as tokens:
            tokens.revoke_token(ACTOR, token_id, cascade=cascade)
        print_line("Token revoked successfully", err=True)

    @group.command("rotate", context_settings={"show_default": True})
    @click.argument("token_id")
    @click.option("--grace-seconds", default=DEFAULT_GRACE_SECONDS, help="How long the old token still works.")
    def rotate(token_id: str, grace_seconds: int) -> None:
        """Rotate a token and print the new one, alone on a line. It is not shown again."""
        with find_service() as tokens:
            _print_secret(tokens.rotate_token(ACTOR, token_id, grace_seconds))

    return group


def _print_secret(issued: IssuedToken) -> None:
    record = issued.record
    print_line(f"Token {record.token_id} of {record.owner_id}. Store it now: it is not shown again.", err=True)
    print_line(issued.secret)


def _all_tokens(
    service: TokenService, owner_id: str | None, include_revoked: bool, standing: Standing | None
) -> Iterator[Token]:
    cursor = None
    while True:
        page = service.list_tokens(
            ACTOR, owner_id=owner_id, include_revoked=include_revoked, standing=standing, limit=100, cursor=cursor
        )
        yield from page.tokens
        cursor = page.next_cursor
        if cursor is None:
            return


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.is_live(utc_now()):
        return "expired"
    if token.is_suspended:
        return "suspended"
    return "live" if token.expires_at is None else f"until {_minute(token.expires_at)}"


def _minute(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}Z"
