"""`flask accounts …`: accounts, from a shell on the machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup

from letstalk.accounts.models import Account, AccountChanges, NewAccount, Role, describe_account
from letstalk.accounts.service import AccountService
from letstalk.accounts.services import Accounts
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.core.errors import LetsTalkError
from letstalk.observability.terminal import escape_controls, print_line, print_table

COLUMNS: tuple[tuple[str, Callable[[Account], str]], ...] = (
    ("ACCOUNT ID", lambda account: account.account_id),
    ("USERNAME", lambda account: account.username or "-"),
    ("E-MAIL", lambda account: account.email),
    ("ROLE", lambda account: account.role.value),
    ("STATE", lambda account: account.state.value),
    ("USER IDS", lambda account: ",".join(account.owner_ids) or "-"),
)
ROLES = click.Choice([role.value for role in Role])

ACTOR = trusted_actor(ActorKind.COMMAND_LINE)


def make_commands(accounts: Callable[[], Accounts], unlink_identities: Callable[[Actor, str], int]) -> AppGroup:
    """`accounts` is called when a command runs, not before. `unlink_identities` is `IdentityService.unlink`."""
    group = AppGroup("accounts", help="Accounts: create, list and disable them, set roles and passwords.")

    @contextmanager
    def service_of() -> Iterator[AccountService]:
        try:
            yield accounts().service
        except LetsTalkError as error:
            raise click.ClickException(escape_controls(error.message)) from None

    @group.command("create")
    @click.option("--username", required=True, help="2 to 64 of a-z, 0-9, dot, hyphen and underscore.")
    @click.option("--email", required=True)
    @click.option("--role", type=ROLES, default=Role.VIEWER.value, show_default=True)
    @click.option(
        "--user-ids",
        "owner_ids",
        default="",
        metavar="IDS",
        help="Owners granted, comma-separated. An admin needs none.",
    )
    @click.option("--phone", help="In international format, for a second factor. The person proves it on their page.")
    def create(username: str, email: str, role: str, owner_ids: str, phone: str | None) -> None:
        """Create an account and print its id. The password is asked for, or read from standard input."""
        with service_of() as service:
            wanted = NewAccount(
                email=email,
                username=username,
                role=role,
                owner_ids=tuple(part.strip() for part in owner_ids.split(",") if part.strip()),
                password=_read_password(),
                phone=phone,
            )
            print_line(service.create_account(wanted, ACTOR).account_id)

    @group.command("list")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
    def list_(as_json: bool) -> None:
        """List people, newest first."""
        with service_of() as service:
            found = list(_all_accounts(service))
        if as_json:
            click.echo(json.dumps([describe_account(account) for account in found], indent=2))
            return
        rows = [tuple(name for name, _ in COLUMNS), *(tuple(show(account) for _, show in COLUMNS) for account in found)]
        print_table(rows)

    @group.command("disable")
    @click.argument("name")
    @click.option("--undo", is_flag=True, help="Allow signing in again.")
    @click.option("--revoke-tokens", is_flag=True, help="Revoke the tokens that NAME has created.")
    def disable(name: str, undo: bool, revoke_tokens: bool) -> None:
        """End all sessions of NAME (username, e-mail address or id), prevent new ones, and suspend NAME's tokens."""
        with service_of() as service:
            account = _find(service, name)
            made = service.list_tokens(ACTOR, account.account_id)
            changed = service.update_account(
                ACTOR, account.account_id, AccountChanges(disabled=not undo), revoke_tokens=revoke_tokens
            )
        print_line(f"{name} is {changed.state.value}.", err=True)
        outcome = "works again" if undo else "revoked" if revoke_tokens else "suspended"
        for token in made:
            print_line(f"Token {token.token_id} of {token.owner_id}: {outcome}.", err=True)

    @group.command("set-role")
    @click.argument("name")
    @click.argument("role", type=ROLES)
    def set_role(name: str, role: str) -> None:
        """Give NAME (username, e-mail address or id) another role."""
        with service_of() as service:
            service.update_account(ACTOR, _find(service, name).account_id, AccountChanges(role=role))
        print_line(f"{name} is {role}.", err=True)

    @group.command("set-password")
    @click.argument("name")
    def set_password(name: str) -> None:
        """Give NAME (username, e-mail address or id) a new password, asked for or read from standard input."""
        with service_of() as service:
            account = _find(service, name)
            accounts().passwords.set_password(account.account_id, _read_password(), ACTOR)
        print_line(f"{name} has a new password, and all their sessions have ended.", err=True)

    @group.command("reset-second-factor")
    @click.argument("name")
    def reset_second_factor(name: str) -> None:
        """Take the phone, the second factor and the recovery codes away from NAME (username, e-mail address or id), who
        has lost them. If the role requires a code, NAME enters a phone at the next sign-in.
        """
        with service_of() as service:
            service.reset_second_factor(ACTOR, _find(service, name).account_id)
        print_line(f"{name} has no phone, no second factor and no recovery codes now.", err=True)

    @group.command("unlink")
    @click.argument("name")
    def unlink(name: str) -> None:
        """Forget which identities NAME (username, e-mail address or id) has at the providers of single sign-on. The
        next sign-in there links them again, by the verified e-mail address.
        """
        with service_of() as service:
            forgotten = unlink_identities(ACTOR, _find(service, name).account_id)
        print_line(f"{name} was linked with {forgotten} identities, and has none now.", err=True)

    return group


def _read_password() -> str:
    """Never an argument: arguments are kept in the shell's history and shown in the list of processes."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _find(service: AccountService, name: str) -> Account:
    found = service.find_by_email(name) or service.find_by_username(name) or service.find(name)
    if found is None:
        raise click.ClickException(f"There is no account {name!r}.")
    return found


def _all_accounts(service: AccountService) -> Iterator[Account]:
    cursor = None
    while True:
        page = service.list_accounts(ACTOR, limit=100, cursor=cursor)
        yield from page.accounts
        cursor = page.next_cursor
        if cursor is None:
            return
