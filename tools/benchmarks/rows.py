"""Rows that the benchmark stores by itself, because there are too many to make by requests.

All that the benchmark knows of the database is in this module: tables, columns, states, and how secrets are stored.
Columns that a table does not have are left out, so that older versions of the service can be compared too.
"""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text

from letstalk.core.ids import new_id
from tools.benchmarks.copies import MOST_COPIES, Copies, drop_indexes
from tools.benchmarks.pasts import CALL_SECONDS, RARE_COUNTRIES, TOKENS_PER_OWNER, Past, Row, call_of

LIFETIME_SECONDS = 600  # the most that the API allows as `expires_in`
ROWS_AT_ONCE = 5_000
CACHE_KIB = 512 * 1024

OWNERS = 200
LEAST_COPIED = 20_000  # fewer verifications are made one by one
FILLED_TABLES = ("verifications", "calls", "call_events")
EVENTS = ("initiated", "answered", "human", "completed")
# Older than the limits consider, younger than the retention period.
YOUNGEST_DAYS, OLDEST_DAYS = 2.0, 80.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pending verification and its code."""

    verification_id: str
    phone: str
    code: str


class Rows:
    """Makes, reads and ends rows of one installation. `owner` is the `user_id` of the pending verifications."""

    def __init__(self, database_url: str, encryption_key: str, owner: str) -> None:
        url = make_url(database_url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        options = {"timeout": 30} if self.is_sqlite else {}
        driver = "sqlite" if self.is_sqlite else "postgresql+psycopg"
        self.engine: Engine = create_engine(url.set(drivername=driver), connect_args=options)
        self._fernet = Fernet(encryption_key)
        self._owner = owner
        self._columns: dict[str, frozenset[str]] = {}
        self._turn = 0

    def close(self) -> None:
        self.engine.dispose()

    def store_pending(self, phones: Iterator[str], count: int) -> list[Prepared]:
        """Store `count` verifications whose calls have spoken their codes."""
        return self._store(phones, count, _completed)

    def store_waiting(self, phones: Iterator[str], count: int) -> list[Prepared]:
        """Store `count` verifications whose calls wait for a channel."""
        return self._store(phones, count, _queued)

    def store_history(
        self,
        phones: Iterator[str],
        verifications: int,
        tokens: int,
        *,
        youngest_days: float = YOUNGEST_DAYS,
        oldest_days: float = OLDEST_DAYS,
        with_events: bool = True,
    ) -> None:
        """Store ended `verifications` of the past days, each with a call and its events, and others' `tokens`.

        Of many, a hundredth is made, and the database copies it. Of the rare countries there are no copies, so there
        are a little fewer in all.
        """
        now = datetime.now(UTC)
        others = (self._token(number, now) for number in range(tokens))
        while some := list(islice(others, ROWS_AT_ONCE)):
            self._insert("tokens", some)
        copies, originals, originals_until_days = None, verifications, youngest_days
        if verifications >= LEAST_COPIED:
            step_seconds = int((oldest_days - youngest_days) * 86_400 / (MOST_COPIES + 1))
            copies = Copies(MOST_COPIES, step_seconds, self.is_sqlite)
            originals //= MOST_COPIES + 1
            originals_until_days = oldest_days - step_seconds / 86_400
        owners = [f"owner-{number}" for number in range(OWNERS)]
        past = Past(self._owner, owners, self._read_tokens(), now, originals_until_days, oldest_days)
        made = past.make(phones, originals)
        while pairs := list(islice(made, ROWS_AT_ONCE)):
            self._insert("verifications", [verification for verification, _ in pairs])
            self._insert("calls", [call for _, call in pairs])
            if with_events:
                self._insert("call_events", [event for _, call in pairs for event in _events_of(call)])
        if copies is not None:
            self._copy(copies, with_events=with_events)

    def _copy(self, copies: Copies, *, with_events: bool) -> None:
        """Copy what is over, but for rare countries, in one transaction and with the indexes made at its end."""
        is_copied = "status <> 'pending'"
        if "country" in self._columns_of("verifications"):
            rare = ", ".join(f"'{country}'" for country in RARE_COUNTRIES)
            is_copied += f" AND coalesce(country, '') NOT IN ({rare})"
        ended = f"subject_id IN (SELECT verification_id FROM verifications WHERE {is_copied})"  # noqa: S608
        with self.engine.connect() as connection:
            if self.is_sqlite:
                for setting in ("synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = MEMORY"):
                    connection.exec_driver_sql(f"PRAGMA {setting}")
                connection.commit()  # of nothing: the connection believes that it has begun a transaction
            with connection.begin():
                created_again = drop_indexes(connection, FILLED_TABLES, is_sqlite=self.is_sqlite)
                copies.add(connection, "calls", self._columns_of("calls"), ended)
                if with_events:
                    copies.add_events(connection, ended)
                copies.add(connection, "verifications", self._columns_of("verifications"), is_copied)
                for statement in created_again:
                    connection.exec_driver_sql(statement)

    def analyze(self) -> None:
        """Tell the database how many rows of what kind there are now, as PostgreSQL's own background work does."""
        if not self.is_sqlite:  # SQLite plans without: the service runs no ANALYZE
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))

    def read_token_of(self, owner: str) -> str:
        """The id of a token of `owner`."""
        statement = text("SELECT min(token_id) FROM tokens WHERE user_id = :owner")
        with self.engine.connect() as connection:
            return str(connection.execute(statement, {"owner": owner}).scalar_one())

    def read_code(self, verification_id: str) -> str:
        """The code of a pending verification, decrypted as the worker that speaks it does."""
        statement = text("SELECT speech_sealed FROM verifications WHERE verification_id = :verification_id")
        with self.engine.connect() as connection:
            sealed = connection.execute(statement, {"verification_id": verification_id}).scalar_one()
        return str(json.loads(self._fernet.decrypt(sealed))["code"])

    def cancel_waiting(self) -> None:
        """Cancel all verifications that are pending and all calls that wait. Servers may be running."""
        with self.engine.begin() as connection:
            self._cancel(connection, "status = 'queued'")

    def end_everything(self) -> None:
        """Leave nothing pending, waiting or live. No server may be running."""
        with self.engine.begin() as connection:
            self._cancel(connection, "ended_at IS NULL")

    def _cancel(self, connection: Connection, which_calls: str) -> None:
        # Literals, because SQLite uses a partial index only for a condition without parameters.
        connection.execute(
            text("UPDATE verifications SET status = 'canceled', speech_sealed = NULL WHERE status = 'pending'")
        )
        erased = ", script_sealed = NULL" if "script_sealed" in self._columns_of("calls") else ""
        statement = f"UPDATE calls SET status = 'canceled', ended_at = :now, holds_channel = FALSE{erased}"  # noqa: S608
        connection.execute(text(f"{statement} WHERE {which_calls}"), {"now": self._adapt(datetime.now(UTC))})

    def _store(self, phones: Iterator[str], count: int, state_of: Callable[[Row], Row]) -> list[Prepared]:
        key_id, key = self._digest_key()
        now = datetime.now(UTC)
        made: list[Prepared] = []
        while len(made) < count:
            some = list(islice(phones, min(ROWS_AT_ONCE, count - len(made))))
            prepared = [Prepared(new_id(now), phone, _code(len(made) + n)) for n, phone in enumerate(some)]
            verifications = [self._pending(one, key_id, key, now) for one in prepared]
            calls = [state_of(call_of(row) | {"turn": self._turn + n}) for n, row in enumerate(verifications)]
            self._turn += len(some)
            self._insert("verifications", verifications)
            self._insert("calls", calls)
            made += prepared
        return made

    def _pending(self, one: Prepared, key_id: str, key: bytes, now: datetime) -> Row:
        return {
            "verification_id": one.verification_id,
            "user_id": self._owner,
            "phone": one.phone,
            "status": "pending",
            "created_at": now,
            "expires_at": now + timedelta(seconds=LIFETIME_SECONDS),
            "last_spoken_for_at": now,
            "attempts_used": 0,
            "replays_used": 0,
            "code_digest": hmac.digest(key, f"{one.verification_id}:{one.code}".encode(), "sha256").hex(),
            "digest_key_id": key_id,
            "speech_sealed": self._seal(json.dumps({"code": one.code, "message": None}).encode()),
        }

    def _token(self, number: int, now: datetime) -> Row:
        return {
            "token_id": str(uuid.uuid4()),
            "lookup_id": secrets.token_hex(6),
            "secret_hash_encrypted": self._seal(secrets.token_bytes(32)),
            "user_id": f"owner-{number % OWNERS}",
            "name": f"token {number}",
            "scopes": json.dumps(["read", "write"]),
            "allowed_ips": "[]",
            "created_at": now - timedelta(days=OLDEST_DAYS),
        }

    def _read_tokens(self) -> dict[str, list[str]]:
        """The ids of some tokens of each owner."""
        found: dict[str, list[str]] = {}
        with self.engine.connect() as connection:
            for owner, token_id in connection.execute(text("SELECT user_id, token_id FROM tokens ORDER BY token_id")):
                of_owner = found.setdefault(owner, [])
                if len(of_owner) < TOKENS_PER_OWNER:
                    of_owner.append(token_id)
        return found

    def _digest_key(self) -> tuple[str, bytes]:
        """The id and the bytes of the key of the code digests, which is made if the service has not made it yet."""
        newest = text("SELECT key_id, key_encrypted FROM digest_keys ORDER BY created_at DESC LIMIT 1")
        with self.engine.connect() as connection:
            found = connection.execute(newest).one_or_none()
        if found is None:
            sealed = self._seal(secrets.token_bytes(32))
            key = {"key_id": str(uuid.uuid4()), "key_encrypted": sealed, "created_at": datetime.now(UTC)}
            self._insert("digest_keys", [key])
            return self._digest_key()
        return found.key_id, self._fernet.decrypt(found.key_encrypted)

    def _seal(self, value: bytes) -> str:
        return self._fernet.encrypt(value).decode("ascii")

    def _insert(self, table: str, rows: Iterable[Row]) -> None:
        rows = list(rows)
        names = [name for name in rows[0] if name in self._columns_of(table)]
        places = ", ".join(f":{name}" for name in names)
        statement = text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})")  # noqa: S608
        with self.engine.begin() as connection:
            if self.is_sqlite:
                # A large cache, because the rows are stored in no order and touch all pages of the indexes.
                connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(statement, [{name: self._adapt(row[name]) for name in names} for row in rows])

    def _columns_of(self, table: str) -> frozenset[str]:
        if table not in self._columns:
            self._columns[table] = frozenset(column["name"] for column in inspect(self.engine).get_columns(table))
        return self._columns[table]

    def _adapt(self, value: Any) -> Any:
        """A moment as the service writes it: text in UTC on SQLite."""
        if self.is_sqlite and isinstance(value, datetime):
            return value.isoformat(" ", "microseconds").removesuffix("+00:00")
        return value


def _code(number: int) -> str:
    return f"{number * 7919 % 10**6:06d}"


def _queued(call: Row) -> Row:
    return call | {"status": "queued", "spoken": "nothing"}


def _completed(call: Row) -> Row:
    begun = call["created_at"]
    return call | {
        "script_sealed": None,
        "status": "completed",
        "reason": "The code was read.",
        "spoken": "code",
        "dial_round": 1,
        "dial_attempts": 1,
        "command_seq": 1,
        "started_at": begun,
        "first_dial_at": begun,
        "answered_at": begun,
        "ended_at": begun + timedelta(seconds=CALL_SECONDS),
        "duration_seconds": CALL_SECONDS,
        "provider_call_id": str(uuid.uuid4()),
    }


def _events_of(call: Row) -> Iterator[Row]:
    for seconds, type_ in enumerate(EVENTS):
        yield {"call_id": call["call_id"], "at": call["created_at"] + timedelta(seconds=seconds), "type": type_}
