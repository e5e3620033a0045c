"""A disk that is full, as SQLite sees one: its file may not grow. A PostgreSQL has a disk of its own."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import Pool

from tests.flows.served import served

UNLIMITED_PAGES = 1_073_741_823
MOST_SENDS = 500
RECOVERY_SECONDS = 80


class Disk:
    """Every connection to the file is told how many pages it may have: less than it has means no more than those.

    It knows every connection only where it is there before the first one: one that a thread was opening while the disk
    came to be was missed, and wrote on.
    """

    def __init__(self) -> None:
        self._pages = UNLIMITED_PAGES
        self._connections: list[Any] = []
        self._guard = threading.Lock()  # one that is just being opened must not miss what it may have

    def __enter__(self) -> Self:
        event.listen(Pool, "connect", self._remember)
        event.listen(Pool, "close", self._forget)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Pool, "connect", self._remember)
        event.remove(Pool, "close", self._forget)

    def fill(self) -> None:
        self._limit(1)

    def free(self) -> None:
        self._limit(UNLIMITED_PAGES)

    def _limit(self, pages: int) -> None:
        with self._guard:
            self._pages = pages
            for connection in self._connections:
                connection.execute(f"PRAGMA max_page_count = {pages}")

    def _remember(self, connection: Any, _record: object) -> None:
        with self._guard:
            connection.execute(f"PRAGMA max_page_count = {self._pages}")
            self._connections.append(connection)

    def _forget(self, connection: Any, _record: object) -> None:
        with self._guard:
            if connection in self._connections:
                self._connections.remove(connection)


def test_a_full_disk_is_answered_503_and_nothing_accepted_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/letstalk.db"
    with Disk() as disk, served(tmp_path, url, MAX_CONCURRENT_CALLS="50") as service:
        acme = service.owner
        phones = [f"+25670033{number:04}" for number in range(MOST_SENDS)]
        accepted = {phone: acme.send(phone) for phone in phones[:3]}

        disk.fill()
        with pytest.raises(OperationalError, match="database or disk is full"), service.database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE filler AS SELECT zeroblob(1000000)")
        refused: list[httpx.Response] = []
        for phone in phones[3:]:
            answer = acme.post("/calls/otp", {"phone": phone})
            if answer.status_code == 202:  # there was still room in the pages that it has
                accepted[phone] = answer.json()["verification_id"]
            else:
                refused.append(answer)
            if len(refused) == 5:
                break
        assert Counter((answer.status_code, answer.json()["code"]) for answer in refused) == {(503, "not_ready"): 5}
        assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
        assert acme.get("/calls").status_code == 200  # what only reads goes on

        disk.free()
        accepted[phones[-1]] = acme.send(phones[-1])
        for phone, verification_id in accepted.items():
            # Telnyx repeats an event that was refused within a minute.
            assert acme.ended_call(verification_id, RECOVERY_SECONDS)["status"] == "completed"
            (code,) = service.codes(phone, [1])
            assert acme.verify(phone, code).status_code == 200
        refused_phones = set(phones) - set(accepted)
        called = {call["to"] for call in service.telnyx.state()["calls"]}
        assert not called & refused_phones
        open_calls = "SELECT count(*) FROM calls WHERE holds_channel"
        with service.database.read() as connection:
            assert connection.exec_driver_sql(open_calls).scalar() == 0
