"""Serving: Waitress in production, in several processes if set; Flask's own server in development."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from flask import Flask
from werkzeug.serving import is_running_from_reloader

from letstalk.core.ip_addresses import Network
from letstalk.observability.logs import get_logger

log = get_logger(__name__)

STOP_SECONDS = 9.0  # its processes need 8 s at most
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.1
LISTEN_FD_OPTION = "--listen-fd"
PHONE_PATH = "/simulator"


class Supervisor:
    """Several server processes on one port: opens the socket, starts them, and replaces those that die.

    Python's interpreter lock keeps a process on one core. A machine uses more of them in this way.
    """

    def __init__(self, entry: Path, listener: socket.socket, count: int) -> None:
        """`entry` is the program of the `count` processes, which all accept from `listener`."""
        self._entry = entry
        self._listener = listener
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._is_stopping = False

    def run(self) -> None:
        """Keep the processes running until SIGTERM or Ctrl-C, then stop them within `STOP_SECONDS`."""
        signal.signal(signal.SIGTERM, self._note_stop)
        signal.signal(signal.SIGINT, self._note_stop)
        # The Prometheus clients write here, so that each process can report the metrics of all.
        with tempfile.TemporaryDirectory(prefix="letstalk-metrics-") as metrics_folder:
            self._processes = [self._start(metrics_folder) for _ in range(self._count)]
            while not self._is_stopping:
                time.sleep(POLL_SECONDS)
                self._replace_dead(metrics_folder)
            # Otherwise the system would complete connections that nobody accepts.
            self._listener.close()
            self._stop_all()
            log.info("supervisor_stopped")

    def _start(self, metrics_folder: str) -> subprocess.Popen[bytes]:
        fd = self._listener.fileno()
        program = [sys.executable, str(self._entry), LISTEN_FD_OPTION, str(fd)]
        # `env` adds a variable to the environment: only `settings.py` may read that in Python.
        return subprocess.Popen(  # noqa: S603  # our own program, no shell
            ["/usr/bin/env", f"PROMETHEUS_MULTIPROC_DIR={metrics_folder}", *program], pass_fds=[fd]
        )

    def _replace_dead(self, metrics_folder: str) -> None:
        for index, process in enumerate(self._processes):
            if process.poll() is not None and not self._is_stopping:
                log.error("server_process_died", pid=process.pid, returncode=process.returncode)
                time.sleep(RESTART_SECONDS)
                self._processes[index] = self._start(metrics_folder)

    def _stop_all(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def _note_stop(self, *_: Any) -> None:
        self._is_stopping = True


class BackgroundWork(Protocol):
    """The work of this process that belongs to no request: see `worker/background_work.py`."""

    def start(self) -> None: ...

    def begin_stop(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ServerOptions:
    host: str
    port: int
    threads: int
    processes: int
    is_development: bool
    is_simulated: bool
    needs_credentials: bool  # to create a token on this machine
    proxies: int | tuple[Network, ...]
    dashboard_password: str  # shown at the start, in development only
    call_limits: str


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
        provider = f"the simulator, whose phone is {PHONE_PATH}" if options.is_simulated else "real phones"
        about = {"calls_go_to": provider, "calls_of_one_owner": options.call_limits}
        log.info("server_listening", url=_url(host, port), **about)
        if options.processes > 1:
            background.close()
            Supervisor(entry, listener, options.processes).run()
        else:
            _serve_production(app, options, background, listener)


def _listen(options: ServerOptions) -> socket.socket:
    """A socket at HOST and PORT; at `::` it accepts IPv4 too. Ends the process with one line if there can be none."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    is_dual = family == socket.AF_INET6 and not int(ip_address(options.host)) and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((options.host, options.port), family=family, dualstack_ipv6=is_dual)
    except OSError as error:
        sys.exit(_explain(error, options))


def _explain(error: OSError, options: ServerOptions) -> str:
    where = _url(options.host, options.port).removeprefix("http://")
    if error.errno == errno.EADDRINUSE:
        return f"PORT {options.port} is taken: another program listens on {where}. Stop it, or set another PORT in .env"
    if error.errno == errno.EACCES:
        return f"PORT {options.port} requires more rights than this user has. Set one above 1023 in .env"
    return f"HOST requires an address of this machine, and {where} is none: {error.strerror}. Set another HOST in .env"


def _serve_production(app: Flask, options: ServerOptions, background: BackgroundWork, listener: socket.socket) -> None:
    # Imported only here: development and the commands do not need Waitress.
    from letstalk.http.production_server import ProductionServer

    server = ProductionServer(app, listener, threads=options.threads, proxies=options.proxies)

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
        log.info("server_stopped")


def _serve_development(app: Flask, options: ServerOptions, background: BackgroundWork) -> None:
    signal.signal(signal.SIGTERM, _exit)
    is_reloaders_child = is_running_from_reloader()
    if is_reloaders_child:
        background.start()
        sys.stdout.write(welcome(options))
        sys.stdout.flush()
    else:
        _listen(options).close()  # Werkzeug, which listens next, would say less about a port that is taken
    try:
        app.run(options.host, options.port, debug=False, use_reloader=True, threaded=True, load_dotenv=False)
    finally:
        if is_reloaders_child:
            background.stop()
            log.info("server_stopped")


def _exit(*_: Any) -> None:
    raise SystemExit(0)  # as Ctrl-C: the server's loop ends, and the background work is stopped


_WITH_CREDENTIALS = "    .venv/bin/flask tokens create --user-id NAME --scopes read,write\n"
_WITHOUT_CREDENTIALS = """\
    curl -X POST {base}/api/tokens

  This machine needs no credentials for it. If others can reach this port, by a tunnel or a proxy,
  switch that off: TOKENS_WITHOUT_CREDENTIALS=off in .env
"""


def welcome(options: ServerOptions) -> str:
    """What a developer needs next: the addresses, the password and a first request."""
    base = _url(options.host, options.port)
    simulator = f"the simulator, whose phone is {base}{PHONE_PATH}"
    provider = simulator if options.is_simulated else "Telnyx: real calls, real money"
    how = _WITH_CREDENTIALS if options.needs_credentials else _WITHOUT_CREDENTIALS.format(base=base)
    return f"""
  Let's Talk is at   {base}
  Dashboard          {base}/dashboard
  Password           {options.dashboard_password}
  A first code       {base}/dashboard/try
  API description    {base}/docs
  Calls go to        {provider}
  Calls of one owner {options.call_limits}

  Create a token:

{how}
"""


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
