"""All our commands of `flask`, with the services that they use."""

from __future__ import annotations

from typing import Any, cast

import click
from flask import current_app

from letstalk.accounts.cli import make_commands as make_account_commands
from letstalk.audit.cli import make_commands as make_audit_commands
from letstalk.connect.cli import make_commands as make_connection_commands
from letstalk.events.cli import make_commands as make_event_commands
from letstalk.operations.cli import CommandServices
from letstalk.operations.cli import make_commands as make_operation_commands
from letstalk.services import Services
from letstalk.telephony.recordings.cli import make_commands as make_voice_commands
from letstalk.test_numbers.cli import make_commands as make_test_number_commands
from letstalk.tokens.cli import make_commands as make_token_commands


def _part(name: str) -> Any:
    """A part of the application, by its name in `Flask.extensions`.

    Under `flask` the application is built when a command first needs a part. Raises ClickException, a line on standard
    error, if the settings are wrong.
    """
    extensions = current_app.extensions
    build = extensions.get("letstalk_build")
    if build is not None and name not in extensions:
        extensions |= build().extensions
    return extensions[name]


def _services() -> Services:
    return cast(Services, _part("letstalk"))


def _command_services() -> CommandServices:
    services = _services()
    return CommandServices(
        db=_part("letstalk_db"),
        health=services.health,
        inspections=services.inspections,
        key_rotation=services.key_rotation,
        privacy=services.privacy,
        rotate_signing_keys=services.accounts.access_tokens.rotate_keys,
        background_work=_part("letstalk_background_work"),
        metrics_address=_part("letstalk_worker_metrics"),
    )


GROUPS: tuple[click.Command, ...] = (
    make_token_commands(lambda: _services().tokens),
    make_audit_commands(lambda: _services().audit_search),
    *make_event_commands(lambda: _services().app_events),
    make_connection_commands(lambda: _services().connections),
    make_test_number_commands(lambda: _services().test_numbers),
    make_account_commands(
        lambda: _services().accounts,
        lambda actor, account_id: _services().single_sign_on.identities.unlink(actor, account_id),
    ),
    *make_operation_commands(_command_services),
    make_voice_commands(),
)
