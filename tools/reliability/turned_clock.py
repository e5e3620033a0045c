"""`app.py` with a clock that can be turned: the real one, plus the seconds that stand in the file named first.

libfaketime 0.9.10 can't do this to Python 3.11: either it moves the monotonic clock too, which no clock that is set
does, or every `time.sleep` fails with EINVAL. The service reads the time of day through one `Clock`, so that one it is.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from letstalk.config.settings import load_settings
from letstalk.core.clock import utc_now
from letstalk.http.server import serve
from letstalk.wiring import create_app


class TurnedClock:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> datetime:
        return utc_now() + timedelta(seconds=int(self._path.read_text()))


if __name__ == "__main__":
    app = create_app(load_settings(), clock=TurnedClock(Path(sys.argv[1])))
    serve(app, Path(__file__), [])
