"""The entry: `python app.py` serves, and `flask` finds the application and its commands here."""

import sys
from pathlib import Path

from letstalk.factory import create_app
from letstalk.servers import serve

app = create_app()

if __name__ == "__main__":
    serve(app, Path(__file__), sys.argv[1:])
