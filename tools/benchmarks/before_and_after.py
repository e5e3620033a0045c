"""Whether a change made `POST /calls/verify` slower: `python -m tools.benchmarks.before_and_after OLD_TREE [NEW_TREE]`.

Two checkouts take turns, each in a process of its own, which asks its application by WSGI, without a server, and counts
its own processor time: the ratio is of the medians, above 1 where the new tree is faster.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TURNS = 12
CHECKS = 1500
STRETCH = 50  # requests; the median over stretches leaves out what else the machine did
OUT_OF_REACH = "100000000 per minute"


def main() -> None:
    old, new = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    spent: dict[Path, list[float]] = {old: [], new: []}
    for turn in range(TURNS):
        for tree in (old, new) if turn % 2 else (new, old):
            spent[tree].append(_ask(tree.resolve()))
        before, after = spent[old][-1], spent[new][-1]
        print(f"{before:7.1f} µs before, {after:7.1f} µs after: {before / after:.3f}", flush=True)
    ratios = [before / after for before, after in zip(spent[old], spent[new], strict=True)]
    print(f"ratio of the medians {statistics.median(spent[old]) / statistics.median(spent[new]):.3f}, "
          f"median of the ratios {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")  # fmt: skip


def _ask(tree: Path) -> float:
    program = [sys.executable, str(Path(__file__).resolve()), "--measure", str(tree)]
    done = subprocess.run(program, cwd=tree, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _measure(tree: Path) -> float:
    """Microseconds of processor time that a right code costs in `tree`, at the median."""
    sys.path.insert(0, str(tree))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "FLASK_ENV": "production",
            "SECRET_KEY": "a secret key for this measurement only",
            "DASHBOARD_PASSWORD": "correct horse battery staple",
            "ENCRYPTION_KEYS": "k3yUwDZq0mLhA9d1rNf5sXvQpT7bGcYeJ2oKiM8WzR4=",
            "DATABASE_URL": f"sqlite:///{folder}/letstalk.db",
            "TELEPHONY_PROVIDER": "simulator",
            "SIMULATOR_SPEED": "1000",  # or the queue would be full
            "RATE_LIMIT_TOKEN": OUT_OF_REACH,
            "RATE_LIMIT_ADDRESS": OUT_OF_REACH,
        }
        from letstalk.wiring import create_app

        sends: Any = importlib.import_module("letstalk.verifications.sends")
        codes: list[str] = []
        generate = sends.generate_code

        def generate_and_tell(length: int) -> str:
            codes.append(generate(length))
            return codes[-1]

        sends.generate_code = generate_and_tell
        app = create_app()
        for handler in logging.getLogger().handlers:
            handler.stream = open(os.devnull, "w")  # type: ignore[attr-defined]  # noqa: SIM115  # for as long as we run
        made = app.test_cli_runner().invoke(args=["tokens", "create", "--user-id", "measured"]).output.split()
        token = next(word for word in made if word.startswith("lt_"))
        phones = [f"+25670{number:07d}" for number in range(CHECKS)]
        for phone in phones:
            _post(app, token, "/calls/otp", {"phone": phone, "expires_in": 600})
        stretches = []
        for first in range(0, CHECKS, STRETCH):
            started = time.process_time()
            for place in range(first, first + STRETCH):
                _post(app, token, "/calls/verify", {"phone": phones[place], "code": codes[place]})
            stretches.append((time.process_time() - started) / STRETCH * 1e6)
        return statistics.median(stretches)


def _post(app: Any, token: str, path: str, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:5000", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {token}", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(raw)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(raw), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    answered: list[str] = []
    answer = app(environ, lambda status, _headers, _error=None: answered.append(status))
    body_text = b"".join(answer)
    if not answered[0].startswith("20"):
        raise RuntimeError(f"{path}: {answered[0]} {body_text.decode()}")


if __name__ == "__main__":
    if sys.argv[1] == "--measure":
        print(_measure(Path(sys.argv[2])))
    else:
        main()
