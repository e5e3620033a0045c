"""The token services on a real database, with clocks that a test can turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from letstalk.audit import repository as audit_events
from letstalk.audit.repository import AuditEvent
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.db.crypto import Vault, generate_key
from letstalk.db.database import Database
from letstalk.db.schema import metadata
from letstalk.tokens.service import IssuedToken, NewToken, TokenService
from letstalk.tokens.usage import UsageCounter

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OWNER = trusted_actor(ActorKind.OWNER, "127.0.0.1")
ADDRESS = "203.0.113.7"


@dataclass
class Clocks:
    """The time of day, and the seconds that only go forward; both stand still until moved."""

    now: datetime = NOON
    seconds: float = 0.0

    def utc(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


@dataclass
class Parts:
    db: Database
    vault: Vault
    default_rate: str | None = "600 per minute"
    clocks: Clocks = field(default_factory=Clocks)
    audit: AuditTrail = field(init=False)
    usage: UsageCounter = field(init=False)
    service: TokenService = field(init=False)

    def __post_init__(self) -> None:
        self.audit = AuditTrail(self.db, clock=self.clocks.utc)
        self.usage = UsageCounter(self.db, clock=self.clocks.utc, audit=self.audit, interval_seconds=0.02)
        self.service = self.another_instance()

    def another_instance(self) -> TokenService:
        """A service as a second process would have it: the same database, a memory of its own."""
        return TokenService(
            self.db,
            vault=self.vault,
            clock=self.clocks.utc,
            usage=self.usage,
            audit=self.audit,
            default_rate=self.default_rate,
            monotonic=self.clocks.monotonic,
        )

    def issue(self, *scopes: str, **wanted: object) -> IssuedToken:
        """A token made by the person who owns the installation."""
        given = {"scopes": scopes or None, **wanted}
        return self.service.create_token(OWNER, NewToken(**given))  # type: ignore[arg-type]  # a test's shorthand

    def events(self, action: str | None = None) -> list[AuditEvent]:
        with self.db.read() as connection:
            return audit_events.list_events(connection, action=action)


def make_parts(url: str, *, default_rate: str | None = "600 per minute") -> Parts:
    db = Database(url)
    metadata.create_all(db.engine)
    return Parts(db, Vault((generate_key(),)), default_rate)


def make_sqlite_parts(folder: Path, *, default_rate: str | None = "600 per minute") -> Parts:
    return make_parts(f"sqlite:///{folder / 'letstalk.db'}", default_rate=default_rate)
