"""The entry: `python app.py` serves, and `flask` finds the application and its commands here."""

import sys
from pathlib import Path

from letstalk.http.server import serve
from letstalk.wiring import create_app

app = create_app()

if __name__ == "__main__":
    serve(app, Path(__file__), sys.argv[1:])
