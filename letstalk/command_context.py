"""The commands of `flask`, a file per group."""

from __future__ import annotations

from typing import cast

import click
from flask import current_app

from letstalk.db.database import Database
from letstalk.services import Services


def services() -> Services:
    """The services of the application that the command runs in.

    Raises ClickException, a line on standard error, where the settings did not allow to build them.
    """
    problem = current_app.extensions.get("letstalk_problem")
    if problem is not None:
        raise click.ClickException(str(problem))
    return cast(Services, current_app.extensions["letstalk"])


def database() -> Database:
    services()
    return cast(Database, current_app.extensions["letstalk_db"])
