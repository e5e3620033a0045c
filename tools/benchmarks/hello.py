"""The ceiling: a bare Flask application that answers "hello" as JSON, on Waitress with four threads.

`python -m tools.benchmarks.hello PORT` serves it; `application` is the same for any other WSGI server.
"""

from __future__ import annotations

import logging
import sys

from flask import Flask, Response, jsonify

THREADS = 4

application = Flask(__name__)


@application.get("/")
def hello() -> Response:
    return jsonify(hello="world")


if __name__ == "__main__":
    from waitress import serve

    # Its remarks on a queue that is longer than the threads are many would cost it a tenth of its speed.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=THREADS)
