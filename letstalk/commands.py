"""Every command of `flask` that is ours."""

from __future__ import annotations

import click

from letstalk.accounts.cli import make_commands as make_account_commands
from letstalk.command_context import services
from letstalk.operations.db_cli import db
from letstalk.operations.doctor_cli import doctor
from letstalk.operations.keys_cli import keys
from letstalk.operations.privacy_cli import privacy
from letstalk.operations.worker_cli import worker
from letstalk.tokens.cli import tokens

accounts = make_account_commands(
    lambda: services().accounts,
    lambda actor, account_id: services().single_sign_on.identities.unlink(actor, account_id),
)

GROUPS: tuple[click.Command, ...] = (tokens, accounts, db, keys, privacy, worker, doctor)
