"""Every command of `flask` that is ours."""

from __future__ import annotations

import click

from letstalk.cli.accounts import accounts
from letstalk.cli.db import db
from letstalk.cli.doctor import doctor
from letstalk.cli.keys import keys
from letstalk.cli.privacy import privacy
from letstalk.cli.tokens import tokens
from letstalk.cli.worker import worker

GROUPS: tuple[click.Command, ...] = (tokens, accounts, db, keys, privacy, worker, doctor)
