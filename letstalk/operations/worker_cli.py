"""`flask worker`: background work in a process of its own, beside servers that share its database and Redis."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click
from flask import current_app

from letstalk.command_context import services
from letstalk.observability.pages import MetricsServer


@click.command()
def worker() -> None:
    """Place calls and apply events until SIGTERM or Ctrl-C. With WORKER_METRICS it answers GET /metrics there."""
    health = services().health
    process = current_app.extensions["letstalk_process"]
    metrics_address: tuple[str, int] | None = current_app.extensions["letstalk_worker_metrics"]
    if metrics_address is not None:
        try:
            MetricsServer(*metrics_address, health.metrics_page)
        except OSError as error:
            raise click.ClickException(f"WORKER_METRICS wants an address that is free: {error.strerror}") from None
    stopping = threading.Event()

    def stop(*_: Any) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    process.start()
    click.echo("The worker is at work.", err=True)
    stopping.wait()
    process.stop()
