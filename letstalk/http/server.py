"""Serving: Waitress in production, Flask's own server in development, and what is said and stopped around both."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import is_running_from_reloader

from letstalk.http.supervisor import LISTEN_FD_OPTION, Supervisor
from letstalk.worker.background_work import Process, share_heaps

MAX_BODY_BYTES_RECEIVED = 16 * 1024 * 1024  # over 64 KiB our own 413 answers; over this Waitress does
MAX_BODY_BYTES_IN_MEMORY = 64 * 1024  # of a longer one the rest waits in a file
MAX_HEADER_BYTES = 32 * 1024
# Those that send slowly take no thread, only a place among these: with Waitress's own 100, and 256 KiB of headers
# each, one slow sender could lock everyone else out. A process may usually have 1,024 files open.
MAX_CONNECTIONS = 800
BACKLOG = 1024
# A stop takes less than ten seconds in all: first the requests, then what is left of the background's work
# (`worker.pool.STOP_SECONDS`, from the signal on), then the last flush.
DRAIN_SECONDS = 5.0  # for requests that are under way when the stop comes
LEAST_DRAIN_SECONDS = 0.3
ABANDON_SECONDS = 0.5  # for threads that answer requests even then


@dataclass(frozen=True, slots=True)
class ServerOptions:
    host: str
    port: int
    threads: int
    processes: int
    is_development: bool
    is_simulated: bool
    shared_paths: frozenset[str]  # of requests that share commits
    share_commit: Callable[[float], Any]
    dashboard_password: str  # shown at the start, in development only


def serve(app: Flask, entry: Path, arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C, with the background work of this process beside.

    `entry` is the program that called, and `arguments` what it was called with: a supervisor's child is told there
    which socket to accept from.
    """
    options: ServerOptions = app.extensions["letstalk_server"]
    process: Process = app.extensions["letstalk_process"]
    share_heaps()
    if options.is_development:
        _serve_development(app, options, process)
    elif arguments[:1] == [LISTEN_FD_OPTION]:
        _serve_production(app, options, process, socket.socket(fileno=int(arguments[1])))
    else:
        listener = _listen(options)
        host, port = listener.getsockname()[:2]
        sys.stderr.write(f"Let's Talk listens on http://{host}:{port}\n")
        if options.processes > 1:
            process.close()
            Supervisor(entry, listener, options.processes).run()
        else:
            _serve_production(app, options, process, listener)


def _listen(options: ServerOptions) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        return socket.create_server((options.host, options.port), family=family, backlog=BACKLOG)
    except OSError as error:
        sys.exit(f"HOST and PORT want an address that is free: {options.host}:{options.port}: {error.strerror}")


def _serve_production(app: Flask, options: ServerOptions, process: Process, listener: socket.socket) -> None:
    # Imported only here: development and the commands do not need it.
    from waitress.server import create_server

    from letstalk.http.connection_loops import ConnectionLoop
    from letstalk.http.connections import Channel
    from letstalk.http.shared_answers import Dispatcher

    dispatcher: Any = Dispatcher(options.shared_paths, options.share_commit)
    dispatcher.set_thread_count(options.threads)
    server: Any = create_server(
        app,
        sockets=[listener],
        ident=None,
        connection_limit=MAX_CONNECTIONS,
        asyncore_use_poll=True,  # select() knows no file beyond 1,023
        max_request_header_size=MAX_HEADER_BYTES,
        max_request_body_size=MAX_BODY_BYTES_RECEIVED,
        inbuf_overflow=MAX_BODY_BYTES_IN_MEMORY,
        # `ProxyFix` decides which proxy to believe, by TRUSTED_PROXIES.
        clear_untrusted_proxy_headers=False,
        _dispatcher=dispatcher,
    )
    server.channel_class = Channel
    if sys.platform == "linux":
        ConnectionLoop(server, dispatcher.answer_heard)
    stop = _GracefulStop(server, process)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Where several threads answer, each with a good part of the interpreter, a call's steps would wait for them all.
    process.start(requests_first=bool(options.shared_paths))
    try:
        server.run()
    finally:
        dispatcher.shutdown(timeout=ABANDON_SECONDS)
        server.close()
        process.stop()


class _GracefulStop:
    """Takes the signal to stop: no new connection, the requests under way answered, then out of the server's loop."""

    def __init__(self, server: Any, process: Process) -> None:
        self._server = server
        self._process = process
        self._is_draining = False

    def __call__(self, *_: Any) -> None:
        # In a thread of its own: the one that takes the signal answers requests, and may hold any lock at this moment.
        if not self._is_draining:
            self._is_draining = True
            threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _stop_accepting(self) -> None:
        # Whoever the system has let in already would be cut off, not refused.
        waiting = len(self._server.active_channels)
        self._server.handle_accept()
        while len(self._server.active_channels) > waiting:
            waiting = len(self._server.active_channels)
            self._server.handle_accept()
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()

    def _drain(self) -> None:
        self._process.begin_stop()
        # In the server's own loop, which must not find its socket closed beneath it.
        self._server.trigger.pull_trigger(self._stop_accepting)
        started = time.monotonic()
        # The first moments are for those who have just been let in, or had begun to speak.
        while time.monotonic() - started < (DRAIN_SECONDS if self._is_busy() else LEAST_DRAIN_SECONDS):
            time.sleep(0.02)
        # The loop ends where it has nothing left to listen to.
        self._server.trigger.pull_trigger(self._server._map.clear)

    def _is_busy(self) -> bool:
        return any(
            channel.requests or channel.total_outbufs_len for channel in list(self._server.active_channels.values())
        )


def _serve_development(app: Flask, options: ServerOptions, process: Process) -> None:
    signal.signal(signal.SIGTERM, _exit)
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
