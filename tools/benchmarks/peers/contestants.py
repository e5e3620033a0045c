"""The peers as contestants, and how far ahead of them we are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from tools.benchmarks.contestants import shared
from tools.benchmarks.contests import Results
from tools.benchmarks.installations import phones
from tools.benchmarks.loads import request
from tools.benchmarks.peers.installs import HERE, NotInstalled, install_better_auth, install_python_peers
from tools.benchmarks.sections import Goal, Section
from tools.benchmarks.servers import Contender, Opening, greet_forever, serving
from tools.reliability.programs import free_port

COMPILING_SECONDS = 4.0  # until Node has compiled what is called often
FEW_ROWS = 1_000  # django-phone-verify reads its whole table for each code
GRANIAN = "bare Flask on granian"
BETTER_AUTH = ("send, Better Auth", "verify, Better Auth", "consume, Better Auth")
DJANGO = ("send, django-phone-verify", "verify, django-phone-verify")
TIMES = {"send": 1.8, "verify": 4.0}


def openings(say: Callable[[str], None]) -> dict[str, Opening]:
    """Those that can be installed here."""
    found: dict[str, Opening] = {}
    try:
        say("Installing Python peers")
        binaries = install_python_peers()
        found |= {GRANIAN: partial(_granian, binaries)}
        found |= {DJANGO[0]: partial(_django_send, binaries), DJANGO[1]: partial(_django_verify, binaries)}
    except NotInstalled as error:
        say(f"left out: {error}")
    try:
        say("Installing Better Auth")
        folder = install_better_auth()
        found[BETTER_AUTH[0]] = partial(_better_auth_send, folder)
        for name, how in zip(BETTER_AUTH[1:], ("verify", "consume"), strict=True):
            found[name] = partial(_better_auth_verify, how, folder)
    except NotInstalled as error:
        say(f"left out: {error}")
    return found


def compare_peers(results: Results) -> Section:
    """Beside the fastest of the peers that keep durable rows."""
    section = Section("Peers", "", ())
    for name, theirs in (("send", (BETTER_AUTH[0], DJANGO[0])), ("verify", (*BETTER_AUTH[1:], DJANGO[1]))):
        peers = [peer for peer in theirs if peer in results.by_name]
        if name not in results.by_name or not peers:
            continue
        faster = max(peers, key=lambda peer: results.spread(peer).median)
        ahead = results.ratio_between(name, faster)
        goal = f"{name} at {TIMES[name]:g} times the faster peer ({faster}) or more"
        section.goals.append(Goal(goal, ahead.show(), ahead.median >= TIMES[name]))
    return section


@contextmanager
def _granian(binaries: Path, folder: Path, _requests: int) -> Iterator[Contender]:
    port = free_port()
    command = [str(binaries / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-ws", "--workers", "1", "tools.benchmarks.hello:application"]
    with serving("granian", command, port, folder) as program:
        yield Contender([port], greet_forever, [program])


def _codes(count: int) -> list[tuple[str, str]]:
    return [(phone, f"{number % 10**6:06d}") for number, phone in enumerate(islice(phones("77"), count))]


def _prepare(command: list[str], codes: list[tuple[str, str]], folder: Path, **environment: str) -> list[str]:
    """The lines that it prints, having stored the codes."""
    path = folder / "codes.json"
    path.write_text(json.dumps(codes), encoding="utf-8")
    done = subprocess.run(
        [*command, str(path)], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def _posts(path: str, header: str, bodies: Iterable[dict[str, str | bool]]) -> Iterator[bytes]:
    for body in bodies:
        yield request("POST", path, json.dumps(body).encode(), header)


@contextmanager
def _better_auth(app: Path, folder: Path, codes: list[tuple[str, str]]) -> Iterator[tuple[int, str, Contender]]:
    database = str(folder / "better-auth.db")
    (key,) = _prepare(["node", str(app / "server.mjs"), "prepare", database], codes, folder)
    port = free_port()
    command = ["node", str(app / "server.mjs"), "serve", database, str(port)]
    with serving("better-auth", command, port, folder, {"NODE_ENV": "production"}) as program:
        yield (
            port,
            f"X-Api-Key: {key}\r\nX-Real-IP: 127.0.0.1\r\n",
            Contender([port], list, [program], {}, COMPILING_SECONDS),
        )


@contextmanager
def _better_auth_send(app: Path, folder: Path, _requests: int) -> Iterator[Contender]:
    with _better_auth(app, folder, []) as (_, header, contender):
        bodies: Iterator[dict[str, str | bool]] = ({"phoneNumber": phone} for phone in phones("77"))
        contender.talks = partial(shared, _posts("/api/auth/phone-number/send-otp", header, bodies), 200)
        yield contender


@contextmanager
def _better_auth_verify(how: str, app: Path, folder: Path, requests: int) -> Iterator[Contender]:
    """`verify` is its HTTP endpoint, which marks a user's phone as verified; `consume` knows no user."""
    codes = _codes(requests // 3)
    with _better_auth(app, folder, codes) as (_, header, contender):
        extra = {"disableSession": True} if how == "verify" else {}
        bodies: Iterator[dict[str, str | bool]] = ({"phoneNumber": p, "code": code, **extra} for p, code in codes)
        path = "/api/auth/phone-number/verify" if how == "verify" else "/consume"
        contender.talks = partial(shared, _posts(path, header, bodies), 200)
        yield contender


@contextmanager
def _django(binaries: Path, folder: Path, codes: list[tuple[str, str]]) -> Iterator[tuple[str, list[str], Contender]]:
    app = HERE / "django_phone_verify"
    environment = {"DATABASE": str(folder / "django.db"), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}
    key, *sessions = _prepare([str(binaries / "python"), str(app / "application.py")], codes, folder, **environment)
    port = free_port()
    command = [str(binaries / "gunicorn"), "--chdir", str(app), "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    command += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"]
    command += ["--no-control-socket", "application:application"]
    with serving("gunicorn", command, port, folder, environment) as program:
        yield f"Authorization: Api-Key {key}\r\n", sessions, Contender([port], list, [program])


@contextmanager
def _django_send(binaries: Path, folder: Path, _requests: int) -> Iterator[Contender]:
    with _django(binaries, folder, _codes(FEW_ROWS)) as (header, _, contender):
        bodies: Iterator[dict[str, str | bool]] = ({"phone_number": phone} for phone in phones("78"))
        contender.talks = partial(shared, _posts("/phone/register", header, bodies), 200)
        yield contender


@contextmanager
def _django_verify(binaries: Path, folder: Path, _requests: int) -> Iterator[Contender]:
    """Ends when all of its few rows are used up, which one turn does: more of them would slow it down."""
    codes = _codes(FEW_ROWS)
    with _django(binaries, folder, codes) as (header, sessions, contender):
        contender.most_turns = 1
        bodies: Iterator[dict[str, str | bool]] = (
            {"phone_number": phone, "security_code": code, "session_token": session}
            for (phone, code), session in zip(codes, sessions, strict=True)
        )
        contender.talks = partial(shared, _posts("/phone/verify", header, bodies), 200)
        yield contender
