"""Which files of ours one accepted `POST /calls/verify` runs: `python -m tools.traced_check` prints them.

A real application responds in this process, on a database of its own. The simulator has
placed the call and read the code, and the call is over: a person types the code after hearing it.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from flask import Flask

from letstalk.calls.models import Script
from letstalk.config.settings import load_settings
from letstalk.core.actors import Actor, ActorKind, trusted_actor
from letstalk.core.scopes import ALL_SCOPES
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.tokens.models import NewToken
from letstalk.verifications import repository
from letstalk.verifications.models import NewVerification
from letstalk.wiring import create_app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = f"{ROOT}/letstalk/"
USER_ID = "acme"
PHONES = ("+12025550143", "+12025550144")


def trace(app: Flask, environ: dict[str, Any]) -> tuple[str, set[str]]:
    """The status line of the response, and the files of ours in which the request ran a function."""
    files: set[str] = set()
    statuses: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            files.add(str(Path(name).relative_to(ROOT)))

    def start_response(status: str, _headers: Any, _error: Any = None, /) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    sys.setprofile(note)
    try:
        b"".join(app.wsgi_app(environ, start_response))
    finally:
        sys.setprofile(None)
    return statuses[0], files


def make_environ(content: dict[str, str], token: str) -> dict[str, Any]:
    """A `POST /calls/verify` as the server passes it to the application."""
    body = json.dumps(content).encode("utf-8")
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/calls/verify",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:5000",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def files_of_a_check(folder: Path) -> set[str]:
    """The files that one accepted check runs, on a new database in `folder`. Raises RuntimeError if it is rejected."""
    key = make_encryption_key()
    environment = {
        "FLASK_ENV": "production",
        "DASHBOARD_PASSWORD": "correct horse battery staple",
        "SECRET_KEY": "a secret key for one traced request",
        "ENCRYPTION_KEYS": key,
        "DATABASE_URL": f"sqlite:///{folder}/letstalk.db",
        "TELEPHONY_PROVIDER": "simulator",
        "SIMULATOR_SPEED": "100",
    }
    app = create_app(load_settings(environment, None, root=folder))
    services = app.extensions["letstalk"]
    owner = trusted_actor(ActorKind.OWNER, "127.0.0.1")
    token = services.tokens.create_token(owner, NewToken(owner_id=USER_ID, scopes=("read", "write"))).secret
    actor = Actor(kind=ActorKind.TOKEN, owner_id=USER_ID, scopes=ALL_SCOPES)
    background = app.extensions["letstalk_background_work"]
    background.start()
    try:
        codes = [_let_hear(app, actor, phone, Vault((key,))) for phone in PHONES]
    finally:
        background.begin_stop()
    files: set[str] = set()
    # The first check also does what a process does once: it looks up the token and reads the keys of the digests.
    for phone, code in zip(PHONES, codes, strict=True):
        status, files = trace(app, make_environ({"phone": phone, "code": code}, token))
        if not status.startswith("200"):
            raise RuntimeError(f"the check was rejected: {status}")
    background.stop()
    return files


def _let_hear(app: Flask, actor: Actor, phone: str, vault: Vault) -> str:
    """Have a code read to `phone`, and return it once the call is over. Raises RuntimeError after a minute."""
    services, db = app.extensions["letstalk"], app.extensions["letstalk_db"]
    accepted = services.sends.start(actor, NewVerification(phone, None, None, 6, 300))
    with db.read() as connection:
        verification = repository.find_verification(connection, USER_ID, accepted.verification_id)
    if verification is None or verification.speech_sealed is None:
        raise RuntimeError("the verification was not stored")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if all(
            item.call.is_over for item in services.verifications.get_verification(actor, accepted.verification_id).calls
        ):
            return Script.from_json(vault.decrypt(verification.speech_sealed)).code
        time.sleep(0.05)
    raise RuntimeError("the call did not end")


def main() -> None:
    with TemporaryDirectory(prefix="letstalk-traced-") as folder:
        print(*sorted(files_of_a_check(Path(folder))), sep="\n")


if __name__ == "__main__":
    main()
