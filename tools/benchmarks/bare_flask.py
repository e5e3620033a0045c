"""The reference: a bare Flask application that returns {"hello": "world"}, on Waitress with four threads.

`python -m tools.benchmarks.bare_flask PORT` serves it.
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

    # Waitress warns whenever a request waits for a thread. The warnings would cost a tenth of the speed.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=THREADS)
