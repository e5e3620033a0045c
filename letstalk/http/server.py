"""Serving: Waitress in production, Flask's own server in development; what is shown at the start."""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flask import Flask
from werkzeug.serving import is_running_from_reloader

from letstalk.http.supervisor import LISTEN_FD_OPTION, Supervisor


class BackgroundWork(Protocol):
    """The work of this process that belongs to no request."""

    def start(self) -> None: ...

    def begin_stop(self) -> None:
        """Start no more work, and return at once."""

    def stop(self) -> None:
        """Finish the work that was started, and close what it used."""

    def close(self) -> None:
        """Close what a process uses that only supervises others."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    host: str
    port: int
    threads: int
    processes: int
    is_development: bool
    is_simulated: bool
    dashboard_password: str  # shown at the start, in development only


def serve(app: Flask, entry: Path, arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C, and run this process's background work.

    `entry` is the calling program, and `arguments` its arguments: they tell a supervisor's child which socket to accept
    from.
    """
    options: ServerOptions = app.extensions["letstalk_server"]
    background: BackgroundWork = app.extensions["letstalk_background_work"]
    if options.is_development:
        _serve_development(app, options, background)
    elif arguments[:1] == [LISTEN_FD_OPTION]:
        _serve_production(app, options, background, socket.socket(fileno=int(arguments[1])))
    else:
        listener = _listen(options)
        host, port = listener.getsockname()[:2]
        sys.stderr.write(f"Let's Talk listens on http://{host}:{port}\n")
        if options.processes > 1:
            background.close()
            Supervisor(entry, listener, options.processes).run()
        else:
            _serve_production(app, options, background, listener)


def _listen(options: ServerOptions) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        sys.exit(f"HOST and PORT require an address that is free: {options.host}:{options.port}: {error.strerror}")


def _serve_production(app: Flask, options: ServerOptions, background: BackgroundWork, listener: socket.socket) -> None:
    # Imported only here: development and the commands do not need Waitress.
    from letstalk.http.production_server import ProductionServer

    server = ProductionServer(app, listener, threads=options.threads)

    def stop(*_: Any) -> None:
        background.begin_stop()
        server.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    background.start()
    try:
        server.run()
    finally:
        background.stop()


def _serve_development(app: Flask, options: ServerOptions, background: BackgroundWork) -> None:
    signal.signal(signal.SIGTERM, _exit)
    is_reloaders_child = is_running_from_reloader()
    if is_reloaders_child:
        background.start()
        sys.stdout.write(welcome(options))
        sys.stdout.flush()
    try:
        app.run(options.host, options.port, debug=False, use_reloader=True, threaded=True, load_dotenv=False)
    finally:
        if is_reloaders_child:
            background.stop()


def _exit(*_: Any) -> None:
    # As Ctrl-C does: the server's own loop ends, and what stands after it is done.
    raise SystemExit(0)


def welcome(options: ServerOptions) -> str:
    """What a developer needs next: where it is, how to get in, and a first request."""
    base = f"http://{options.host}:{options.port}"
    provider = "a simulator: this terminal shows what the phone hears"
    if not options.is_simulated:
        provider = "Telnyx: real calls, real money"
    return f"""
  Let's Talk is at   {base}
  Dashboard          {base}/api/tokens/dashboard
  Password           {options.dashboard_password}
  API description    {base}/docs
  Calls go to        {provider}

  Make a token:

    curl -X POST {base}/api/tokens

"""
