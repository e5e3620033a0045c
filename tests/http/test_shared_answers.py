"""Requests that the loop which heard them answers with one commit, over real sockets and a real database."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from letstalk.db.database import Database
from letstalk.db.engines import BUSY_TIMEOUT_SECONDS
from letstalk.http import shared_answers
from letstalk.http.shared_answers import MOST_BODY_BYTES, MOST_TOGETHER, Dispatcher, SharedCommit
from tests.support.channel_servers import serving
from tests.telephony.lines import wait_until

TOGETHER = "/together"


class Application:
    """Stores the name in the body of a POST, if it is not too long, and says how often it has been asked so far."""

    def __init__(self, path: Path) -> None:
        self.db = Database(f"sqlite:///{path}")
        self.asked = 0
        self.shared = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        with self.db.write() as connection:
            connection.execute(text("CREATE TABLE owners (name TEXT PRIMARY KEY)"))
            owner = "owner TEXT REFERENCES owners (name) DEFERRABLE INITIALLY DEFERRED"
            connection.execute(text(f"CREATE TABLE names (name TEXT PRIMARY KEY, {owner})"))

    @contextmanager
    def share_commit(self, patience_seconds: float) -> Iterator[SharedCommit]:
        with self.db.share_commit(patience_seconds) as shared:
            self.shared += 1
            yield shared

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["wsgi.input"].read().decode()
        self.asked += 1
        status, body = "200 OK", f"{name} {self.asked}"
        if name == "a mistake":
            raise LookupError(name)
        if name == "refused at once":
            status, body = "403 FORBIDDEN", ""
        elif name == "slow":
            self.may_go_on.wait(20)
        try:
            if environ["REQUEST_METHOD"] == "POST" and len(name) <= MOST_BODY_BYTES and not status.startswith("403"):
                with self.db.write_together() as connection:
                    if name == "unwanted":
                        raise ValueError(name)
                    owner = "nobody" if name == "an orphan" else None
                    connection.execute(text("INSERT INTO names VALUES (:name, :owner)"), {"name": name, "owner": owner})
                    if name == "unwanted too late":
                        raise ValueError(name)
        except (IntegrityError, ValueError) as error:
            status, body = "409 CONFLICT", type(error).__name__
        start_response(status, [("Content-Length", str(len(body)))])
        return [body.encode()]


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    made = Application(tmp_path / "names.db")
    yield made
    made.db.close()


@pytest.fixture
def dispatcher(application: Application) -> Dispatcher:
    made = Dispatcher(frozenset({TOGETHER}), application.share_commit)
    made.set_thread_count(2)
    return made


@pytest.fixture
def port(application: Application, dispatcher: Dispatcher) -> Iterator[int]:
    with serving(application, answer_heard=dispatcher.answer_heard, _dispatcher=dispatcher) as found:
        yield found


def post(name: str, path: str = TOGETHER) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()


def hear(wire: socket.socket, answers: int = 1) -> list[tuple[int, str]]:
    """Status and body of so many answers."""
    received = b""
    while True:
        found = re.findall(rb"HTTP/1.1 (\d+) .*?\r\n\r\n(.*?)(?=HTTP/1.1 |$)", received, re.DOTALL)
        lengths = re.findall(rb"Content-Length: (\d+)", received)
        if len(found) == answers and len(found[-1][1]) == int(lengths[-1]):
            return [(int(status), body.decode()) for status, body in found]
        piece = wire.recv(65536)
        assert piece, received
        received += piece


def ask(port: int, request: bytes) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(request)
        return hear(wire)[0]


def ask_at_once(application: Application, port: int, names: list[str]) -> list[tuple[int, str]]:
    """Each name by a connection of its own, while none can be stored until all are waiting."""
    with ExitStack() as stack:
        with application.db.write():
            wires = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in names]
            for wire, name in zip(wires, names, strict=True):
                wire.sendall(post(name))
            # An answer of another kind, asked for last: by now all have been heard.
            assert ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        return [hear(wire)[0] for wire in wires]


def stored(application: Application) -> list[str]:
    with application.db.read() as connection:
        return list(connection.execute(text("SELECT name FROM names ORDER BY name")).scalars())


def test_all_that_came_at_once_are_stored_by_few_commits_and_each_hears_of_its_own(
    application: Application, port: int
) -> None:
    names = [f"name-{number:02d}" for number in range(3 * MOST_TOGETHER)]
    answers = ask_at_once(application, port, names)
    assert [(status, body.split()[0]) for status, body in answers] == [(200, name) for name in names]
    assert stored(application) == names
    assert 3 <= application.shared <= 6
    assert application.asked == len(names) + 1, "nobody was asked twice"


def test_what_is_refused_to_one_is_given_to_the_others(application: Application, port: int) -> None:
    answers = ask_at_once(application, port, ["a", "unwanted", "b"])
    assert [status for status, _ in answers] == [200, 409, 200]
    assert stored(application) == ["a", "b"]


@pytest.mark.parametrize("bad", ["unwanted", "unwanted too late", "an orphan"])
def test_who_was_refused_without_the_database_is_answered_whatever_comes_next(
    application: Application, port: int, bad: str
) -> None:
    answers = ask_at_once(application, port, ["refused at once", bad, "b"])
    assert [status for status, _ in answers] == [403, 409, 200]
    assert stored(application) == ["b"]


CONFLICT = (409, "IntegrityError")
REFUSAL = (409, "ValueError")


@pytest.mark.parametrize(
    ("bad", "answer"),
    [("an orphan", CONFLICT), ("twice", CONFLICT), ("unwanted too late", REFUSAL), ("a mistake", (500, ""))],
)
def test_where_the_commit_can_not_be_shared_each_is_answered_anew(
    application: Application, port: int, bad: str, answer: tuple[int, str]
) -> None:
    with application.db.write() as connection:
        connection.execute(text("INSERT INTO names VALUES ('twice', NULL)"))
    answers = dict(zip(["a", bad, "b"], ask_at_once(application, port, ["a", bad, "b"]), strict=True))
    assert answers[bad][0] == answer[0]
    assert answer[1] in answers[bad][1]
    assert (answers["a"][0], answers["b"][0]) == (200, 200)
    assert [answers[name][1].split()[0] for name in ("a", "b")] == ["a", "b"], "the body is read again from its start"
    assert stored(application) == ["a", "b", "twice"]
    assert ask(port, post("c"))[0] == 200, "the next ones share a commit again"
    assert stored(application) == ["a", "b", "c", "twice"]


@pytest.mark.usefixtures("application")
def test_whoever_is_answered_finds_it_stored(port: int, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "names.db")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        for number in range(50):
            wire.sendall(post(f"name-{number}"))
            assert hear(wire)[0][0] == 200
            assert other.execute("SELECT count(*) FROM names").fetchone() == (number + 1,)
    other.close()


def test_requests_of_one_connection_are_answered_in_their_order(application: Application, port: int) -> None:
    names = ["a", "b", "c", "d"]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(post("a") + post("b", "/alone") + post("c") + post("d"))
        assert [body for _, body in hear(wire, answers=4)] == ["a 1", "b 2", "c 3", "d 4"]
    assert stored(application) == names


@pytest.mark.parametrize(
    "other",
    [
        b"GET /together HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /alone HTTP/1.1\r\nHost: x\r\n\r\n",
        post("x" * (MOST_BODY_BYTES + 1)),
    ],
    ids=["another method", "another path", "a long body"],
)  # fmt: skip
def test_others_do_not_wait_for_the_database(application: Application, port: int, other: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        with application.db.write():
            wire.sendall(post("a"))
            assert ask(port, other)[0] == 200
            assert stored(application) == []
        assert hear(wire)[0][0] == 200


def test_a_client_that_has_gone_keeps_nobody_from_an_answer(application: Application, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        with application.db.write():
            with socket.create_connection(("127.0.0.1", port), timeout=20) as gone:
                gone.sendall(post("a"))
            wire.sendall(post("b"))
            assert ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert hear(wire)[0][0] == 200
    assert "b" in stored(application)


def test_others_do_not_wait_for_another_process_that_writes(
    application: Application, port: int, tmp_path: Path
) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "names.db", isolation_level=None)) as other,
        socket.create_connection(("127.0.0.1", port), timeout=20) as wire,
    ):
        other.execute("BEGIN IMMEDIATE")
        wire.sendall(post("a"))
        for _ in range(5):
            assert ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert application.shared == 0
        other.execute("COMMIT")
        assert hear(wire)[0][0] == 200
    assert (stored(application), application.shared) == (["a"], 1)
    with application.db.read() as connection:
        patience = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
    assert patience == BUSY_TIMEOUT_SECONDS * 1000, "whoever writes alone is as patient as before"


def test_who_has_waited_for_too_long_is_answered_by_a_thread(
    application: Application, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_answers, "LONGEST_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        with application.db.write():
            wire.sendall(post("a"))
            assert wait_until(lambda: application.asked == 1)  # which waits for the database by itself
            assert ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert hear(wire)[0][0] == 200
        assert (stored(application), application.shared) == (["a"], 0)
        wire.sendall(post("b"))
        assert hear(wire)[0][0] == 200
    assert (stored(application), application.shared) == (["a", "b"], 1), "the next one waits for no longer than it must"


def test_a_database_that_can_not_be_opened_is_told_to_each_and_the_loop_goes_on(
    application: Application, port: int, tmp_path: Path
) -> None:
    application.db.close()
    (tmp_path / "names.db").write_bytes(b"no database" * 100)
    for _ in range(2):
        assert ask(port, post("a"))[0] == 500
        assert ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
    assert application.asked == 4


def test_who_is_heard_in_the_last_turn_of_the_loop_is_answered(
    application: Application, dispatcher: Dispatcher
) -> None:
    with ExitStack() as stack:
        with serving(application, answer_heard=dispatcher.answer_heard, _dispatcher=dispatcher) as port:
            slow, last = (
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(2)
            )
            application.may_go_on.clear()
            slow.sendall(post("slow"))
            assert wait_until(lambda: application.asked == 1)
            last.sendall(post("last"))
            threading.Timer(0.2, application.may_go_on.set).start()  # by then the loop has been told to end
        assert [hear(wire)[0][0] for wire in (slow, last)] == [200, 200]
    assert stored(application) == ["last", "slow"]
