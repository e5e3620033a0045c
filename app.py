"""The entry: `python app.py` serves, and `flask` finds the application and its commands here."""

import sys
from pathlib import Path

import click
from flask import Flask

from letstalk import wiring
from letstalk.config.settings import SettingsError
from letstalk.http.server import serve


def create_app() -> Flask:
    """The whole application; for `flask`, while it looks up a command of ours, the commands alone.

    Flask's own commands, such as `flask routes`, ask from within a context of theirs, and are given the whole. Ends the
    process with one line where the settings are wrong.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.parent is None:
        return wiring.create_command_app()
    try:
        return wiring.create_app()
    except SettingsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    serve(create_app(), Path(__file__), sys.argv[1:])
