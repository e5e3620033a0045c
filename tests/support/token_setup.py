"""The token services on a real database, with clocks that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from letstalk.audit import repository as audit_events
from letstalk.audit.models import AuditEvent
from letstalk.audit.repository import EventQuery
from letstalk.audit.service import AuditTrail
from letstalk.core.actors import ActorKind, trusted_actor
from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.db.database import Database
from letstalk.db.schema import metadata
from letstalk.tokens.models import IssuedToken, NewToken
from letstalk.tokens.service import TokenService
from letstalk.tokens.usage import UsageCounter

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OWNER = trusted_actor(ActorKind.OWNER, "127.0.0.1")
ADDRESS = "203.0.113.7"


@dataclass
class Clocks:
    """A wall clock and a monotonic clock. Both only move when a test moves them."""

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
class TokenSetup:
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
        """The service of a second process: the same database, and a cache of its own."""
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
        """A token that the owner of the installation creates."""
        given = {"scopes": scopes or None, **wanted}
        return self.service.create_token(OWNER, NewToken(**given))  # type: ignore[arg-type]  # a test's shorthand

    def events(self, action: str | None = None) -> list[AuditEvent]:
        with self.db.read() as connection:
            return audit_events.list_events(connection, EventQuery(action=action))


def make_setup(url: str, *, default_rate: str | None = "600 per minute") -> TokenSetup:
    db = Database(url)
    metadata.create_all(db.engine)
    return TokenSetup(db, Vault((make_encryption_key(),)), default_rate)


def make_sqlite_setup(folder: Path, *, default_rate: str | None = "600 per minute") -> TokenSetup:
    return make_setup(f"sqlite:///{folder / 'letstalk.db'}", default_rate=default_rate)
