"""The metrics page of a process that serves nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST


class MetricsServer:
    """Responds to `GET /metrics`, and to nothing else, in threads of its own until `stop`."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes]) -> None:
        """`port` 0 takes any free port. Raises OSError if it cannot listen."""

        class Page(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:  # the standard library's name
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404)
                    return
                page = render()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE_LATEST)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Logs nothing: Prometheus asks every few seconds."""

        self._server = ThreadingHTTPServer((host, port), Page)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
