"""The peers as contestants, and how much faster the service is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from tests.support.surroundings import environment_for_programs
from tools.benchmarks.contests import Results
from tools.benchmarks.figures import Goal, Section
from tools.benchmarks.installations import phones
from tools.benchmarks.loads import request, share_requests
from tools.benchmarks.peers.installs import HERE, NotInstalled, install_better_auth, install_python_peers
from tools.benchmarks.servers import Contestant, OpenContestant, serving
from tools.reliability.programs import free_port

COMPILING_SECONDS = 4.0  # until Node has compiled what is called often
FEW_ROWS = 1_000  # django-phone-verify reads its whole table for each code
BETTER_AUTH = ("send, Better Auth", "verify, Better Auth", "consume, Better Auth")
DJANGO = ("send, django-phone-verify", "verify, django-phone-verify")
# Peers that keep durable rows, by what they are compared with.
DURABLE = {"verify": (*BETTER_AUTH[1:], DJANGO[1]), "send": (BETTER_AUTH[0], DJANGO[0])}
LEAST_TIMES = {"verify": 5.0, "send": 3.0}


def open_peers(say: Callable[[str], None]) -> dict[str, OpenContestant]:
    """The peers that can be installed on this machine."""
    found: dict[str, OpenContestant] = {}
    try:
        say("Installing Python peers")
        binaries = install_python_peers()
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


def were_measured(results: Results) -> bool:
    return {*BETTER_AUTH, *DJANGO} <= set(results.by_name)


def compare_peers(results: Results) -> Section:
    """The goals beside the fastest of the peers that keep durable rows."""
    section = Section("Peers", "", ())
    for name, theirs in DURABLE.items():
        peers = [peer for peer in theirs if peer in results.by_name]
        if name not in results.by_name or not peers:
            continue
        fastest = max(peers, key=lambda peer: results.spread(peer).median)
        times = results.ratio_between(name, fastest)
        goal = f"{name} ÷ fastest durable peer ({fastest})"
        section.goals.append(Goal.at_least(goal, times, LEAST_TIMES[name]))
    return section


def _codes(count: int) -> list[tuple[str, str]]:
    return [(phone, f"{number % 10**6:06d}") for number, phone in enumerate(islice(phones("77"), count))]


def _prepare(command: list[str], codes: list[tuple[str, str]], folder: Path, **environment: str) -> list[str]:
    """The words that `command` prints after it has stored the codes."""
    path = folder / "codes.json"
    path.write_text(json.dumps(codes), encoding="utf-8")
    done = subprocess.run(
        [*command, str(path)], env=environment_for_programs(environment), capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def _posts(path: str, header: str, bodies: Iterable[dict[str, str | bool]]) -> Iterator[bytes]:
    for body in bodies:
        yield request("POST", path, json.dumps(body).encode(), header)


@contextmanager
def _better_auth(app: Path, folder: Path, codes: list[tuple[str, str]]) -> Iterator[tuple[str, Contestant]]:
    database = str(folder / "better-auth.db")
    (key,) = _prepare(["node", str(app / "server.mjs"), "prepare", database], codes, folder)
    port = free_port()
    command = ["node", str(app / "server.mjs"), "serve", database, str(port)]
    with serving("better-auth", command, port, folder, {"NODE_ENV": "production"}) as program:
        header = f"X-Api-Key: {key}\r\nX-Real-IP: 127.0.0.1\r\n"
        yield header, Contestant(port, list, program, warm_up_seconds=COMPILING_SECONDS)


@contextmanager
def _better_auth_send(app: Path, folder: Path, _requests: int) -> Iterator[Contestant]:
    with _better_auth(app, folder, []) as (header, contestant):
        bodies: Iterator[dict[str, str | bool]] = ({"phoneNumber": phone} for phone in phones("77"))
        requests = _posts("/api/auth/phone-number/send-otp", header, bodies)
        contestant.make_exchanges = partial(share_requests, requests, 200)
        yield contestant


@contextmanager
def _better_auth_verify(how: str, app: Path, folder: Path, requests: int) -> Iterator[Contestant]:
    """`verify` is its HTTP endpoint, which marks a user's phone as verified. `consume` knows no user."""
    codes = _codes(requests // 3)
    with _better_auth(app, folder, codes) as (header, contestant):
        extra = {"disableSession": True} if how == "verify" else {}
        bodies: Iterator[dict[str, str | bool]] = ({"phoneNumber": p, "code": code, **extra} for p, code in codes)
        path = "/api/auth/phone-number/verify" if how == "verify" else "/consume"
        contestant.make_exchanges = partial(share_requests, _posts(path, header, bodies), 200)
        yield contestant


@contextmanager
def _django(binaries: Path, folder: Path, codes: list[tuple[str, str]]) -> Iterator[tuple[str, list[str], Contestant]]:
    app = HERE / "django_phone_verify"
    environment = {"DATABASE": str(folder / "django.db"), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}
    key, *sessions = _prepare([str(binaries / "python"), str(app / "application.py")], codes, folder, **environment)
    port = free_port()
    command = [str(binaries / "gunicorn"), "--chdir", str(app), "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    command += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60"]
    command += ["--no-control-socket", "application:application"]
    with serving("gunicorn", command, port, folder, environment) as program:
        yield f"Authorization: Api-Key {key}\r\n", sessions, Contestant(port, list, program)


@contextmanager
def _django_send(binaries: Path, folder: Path, _requests: int) -> Iterator[Contestant]:
    with _django(binaries, folder, _codes(FEW_ROWS)) as (header, _, contestant):
        bodies: Iterator[dict[str, str | bool]] = ({"phone_number": phone} for phone in phones("78"))
        contestant.make_exchanges = partial(share_requests, _posts("/phone/register", header, bodies), 200)
        yield contestant


@contextmanager
def _django_verify(binaries: Path, folder: Path, _requests: int) -> Iterator[Contestant]:
    """One turn, which ends when its few rows are used. With more rows it would be slower."""
    codes = _codes(FEW_ROWS)
    with _django(binaries, folder, codes) as (header, sessions, contestant):
        contestant.most_turns = 1
        bodies: Iterator[dict[str, str | bool]] = (
            {"phone_number": phone, "security_code": code, "session_token": session}
            for (phone, code), session in zip(codes, sessions, strict=True)
        )
        contestant.make_exchanges = partial(share_requests, _posts("/phone/verify", header, bodies), 200)
        yield contestant
