"""Serving: Waitress in production, Flask's own server in development, and what is said and stopped around both."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.serving import is_running_from_reloader

from letstalk.processes import Process

MAX_BODY_BYTES_RECEIVED = 16 * 1024 * 1024  # over 64 KiB our own 413 answers; over this Waitress hangs up


@dataclass(frozen=True, slots=True)
class ServerOptions:
    host: str
    port: int
    threads: int
    is_development: bool
    is_simulated: bool
    dashboard_password: str  # shown at the start, in development only


def serve(app: Flask) -> None:
    """Serve until SIGTERM or Ctrl-C, with the background work of this process beside."""
    options: ServerOptions = app.extensions["letstalk_server"]
    process: Process = app.extensions["letstalk_process"]
    signal.signal(signal.SIGTERM, _exit)
    if options.is_development:
        _serve_development(app, options, process)
    else:
        _serve_production(app, options, process)


def _exit(*_: Any) -> None:
    # As Ctrl-C does: the server's own loop ends, and what stands after it is done.
    raise SystemExit(0)


def _serve_production(app: Flask, options: ServerOptions, process: Process) -> None:
    # Imported only here: development and the commands do not need it.
    from waitress.server import create_server

    server = create_server(
        app,
        host=options.host,
        port=options.port,
        threads=options.threads,
        ident=None,
        max_request_body_size=MAX_BODY_BYTES_RECEIVED,
        # `ProxyFix` decides which proxy to believe, by TRUSTED_PROXIES.
        clear_untrusted_proxy_headers=False,
    )
    process.start()
    sys.stderr.write(f"Let's Talk listens on http://{options.host}:{options.port}\n")
    try:
        server.run()
    finally:
        server.close()
        process.stop()


def _serve_development(app: Flask, options: ServerOptions, process: Process) -> None:
    is_reloaders_child = is_running_from_reloader()
    if is_reloaders_child:
        process.start()
        sys.stdout.write(welcome(options))
        sys.stdout.flush()
    try:
        app.run(options.host, options.port, debug=False, use_reloader=True, threaded=True, load_dotenv=False)
    finally:
        if is_reloaders_child:
            process.stop()


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
