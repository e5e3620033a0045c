"""`app.py` with a clock that can be set: the real one plus the seconds in the file that the first argument names.

libfaketime 0.9.10 does not work with Python 3.11: it either changes the monotonic clock too, or makes `time.sleep`
fail with EINVAL. The service reads the time through one `Clock`, so this one is replaced.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from letstalk.config.settings import load_settings
from letstalk.core.clock import utc_now
from letstalk.http.server import serve
from letstalk.wiring import create_app


class AdjustedClock:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> datetime:
        return utc_now() + timedelta(seconds=int(self._path.read_text()))


if __name__ == "__main__":
    app = create_app(load_settings(), clock=AdjustedClock(Path(sys.argv[1])))
    serve(app, Path(__file__), [])
