"""`flask worker`: background work in a process of its own, beside servers that share its database and Redis."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click
from flask import current_app

from letstalk.cli import services


@click.command()
def worker() -> None:
    """Place calls and apply events until SIGTERM or Ctrl-C."""
    services()
    process = current_app.extensions["letstalk_process"]
    stopping = threading.Event()

    def stop(*_: Any) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    process.start()
    click.echo("The worker is at work.", err=True)
    stopping.wait()
    process.stop()
