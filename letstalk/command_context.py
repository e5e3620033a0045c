"""The commands of `flask`, a file per group."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from letstalk.db.database import Database
from letstalk.services import Services


def part(name: str) -> Any:
    """A part of the whole application, by its name in `Flask.extensions`.

    Under `flask` the application is built when a command first asks for a part. Raises ClickException, a line on
    standard error, where the settings do not allow that.
    """
    extensions = current_app.extensions
    build = extensions.get("letstalk_build")
    if build is not None and name not in extensions:
        extensions |= build().extensions
    return extensions[name]


def services() -> Services:
    return cast(Services, part("letstalk"))


def database() -> Database:
    return cast(Database, part("letstalk_db"))
