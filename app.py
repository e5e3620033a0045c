"""The entry: `python app.py` serves, and `flask` finds the application and its commands here."""

import sys
from pathlib import Path
from typing import cast

import click
from flask import Flask

from letstalk import wiring
from letstalk.config.settings import SettingsError
from letstalk.http.server import serve

# Commands that come with Flask and its extensions, and do only half of what they seem to.
REFUSED = {
    "run": "flask run would accept calls and place none. Start with `make run`, or with `python app.py`.",
    "limiter": "flask limiter does not know this service's limits. They are settings: see .env.example.",
}


def create_app() -> Flask:
    """The whole application; for `flask`, while it looks up a command of ours, the commands alone.

    Flask's own commands, such as `flask routes`, ask from within a context of theirs, and are given the whole. Ends the
    process with one line where the settings are wrong. Raises ClickException for a command in REFUSED.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.parent is None:
        for name in REFUSED:
            cast(click.Group, context.command).commands.pop(name, None)  # not in `flask --help`
        return wiring.create_command_app()
    while context is not None and context.parent is not None and context.parent.parent is not None:
        context = context.parent
    if context is not None and context.info_name in REFUSED:
        raise click.ClickException(REFUSED[context.info_name])
    try:
        return wiring.create_app()
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    serve(create_app(), Path(__file__), sys.argv[1:])
