"""Who presents a token: the check on every request, and the short memory that makes it cheap."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest

from letstalk.core.actors import Actor, ActorKind
from letstalk.core.clock import Clock
from letstalk.core.errors import AddressNotAllowed, InvalidToken
from letstalk.core.ip_addresses import Network, is_allowed, to_networks
from letstalk.db.crypto import LostKey, Vault
from letstalk.db.database import Database
from letstalk.observability.logs import get_logger
from letstalk.observability.metrics import lost_keys_total
from letstalk.tokens import repository as tokens
from letstalk.tokens.models import Token, parse_token

log = get_logger(__name__)

# Half of the second within which a revocation has to hold on every instance.
TTL_SECONDS = 0.5
MAX_REMEMBERED = 4096


@dataclass(slots=True)
class _Verified:
    """`actor` is as whoever presented the token last was: who presents it again mostly calls from the same address."""

    actor: Actor
    networks: tuple[Network, ...]
    expires_at: datetime | None
    forget_at: float


class TokenMemory:
    """Tokens found good, for half a second at most, by a keyed hash of what was presented.

    Its key is this process's own, so that what is kept matches nothing elsewhere, not even what is at rest. Only good
    ones: a memory of bad ones would answer the second try faster than the first. The time counts from before the
    database was read, so that what was read can never be older than that.
    """

    def __init__(self, *, ttl_seconds: float, monotonic: Callable[[], float], max_size: int = MAX_REMEMBERED) -> None:
        self._ttl_seconds = ttl_seconds
        self._monotonic = monotonic
        self._max_size = max_size
        self._entries: dict[bytes, _Verified] = {}
        self._generation = 0
        self._lock = threading.Lock()
        self._hash_key = secrets.token_bytes(32)

    def key_of(self, presented: str) -> bytes:
        return blake2b(presented.encode(errors="replace"), key=self._hash_key, digest_size=32).digest()

    def begin(self) -> tuple[int, float]:
        """A ticket to take before reading the database, and to hand to `keep` afterwards."""
        return self._generation, self._monotonic() + self._ttl_seconds

    def get(self, key: bytes) -> _Verified | None:
        entry = self._entries.get(key)
        return entry if entry is not None and self._monotonic() < entry.forget_at else None

    def keep(self, key: bytes, entry: _Verified, generation: int) -> None:
        """Remember `entry`, unless something was forgotten since its ticket: it may be about that very token."""
        with self._lock:
            if generation != self._generation:
                return
            self._entries.pop(key, None)
            if len(self._entries) >= self._max_size:
                self._make_room()
            self._entries[key] = entry

    def forget(self, *token_ids: str) -> None:
        """Drop these tokens, and whatever is being read about them now."""
        with self._lock:
            self._generation += 1
            self._entries = {
                key: entry for key, entry in self._entries.items() if entry.actor.token_id not in token_ids
            }

    def _make_room(self) -> None:
        # Entries stand in the order in which they will be forgotten: all live equally long.
        now = self._monotonic()
        for key in list(self._entries):
            if self._entries[key].forget_at > now and len(self._entries) < self._max_size:
                break
            del self._entries[key]


class TokenAuthenticator:
    def __init__(
        self, db: Database, *, vault: Vault, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._memory = TokenMemory(ttl_seconds=TTL_SECONDS, monotonic=monotonic)
        # Opened where no row was found, so that an unknown token costs the same decryption as a known one.
        self._decoy = vault.encrypt(secrets.token_bytes(32))

    def authenticate(self, presented: str, address: str) -> Actor:
        """The actor that `presented` stands for, called from `address`.

        What is remembered as good needs no more than its look-up. For the rest:

        1. What is no token by shape and checksum is refused without a database read.
        2. Unknown, wrong, revoked and expired tokens all take one SELECT, one decryption and one comparison before
           the refusal, which is the same for all.
        3. Only a good token is told that it may not be used from here.

        Raises InvalidToken, or AddressNotAllowed. The error knows the token (`token_id`, for the audit trail) where
        its whole secret was presented.
        """
        key = self._memory.key_of(presented)
        verified = self._memory.get(key)
        if verified is None or self._has_passed(verified.expires_at):
            parsed = parse_token(presented)
            if parsed is None:
                raise InvalidToken
            verified = self._verify(key, parsed.lookup_id, parsed.secret_hash)
        if not is_allowed(address, verified.networks):
            error = AddressNotAllowed("This token may not be used from this address.")
            error.token_id = verified.actor.token_id
            raise error
        return _called_from(address, verified)

    def recall(self, presented: str, address: str) -> Actor | None:
        """What `authenticate` would return, where that needs no look at the database; None where it does, or raises."""
        verified = self._memory.get(self._memory.key_of(presented))
        if verified is None or self._has_passed(verified.expires_at) or not is_allowed(address, verified.networks):
            return None
        return _called_from(address, verified)

    def forget(self, *token_ids: str) -> None:
        """Read these tokens from the database when they are next presented. Call it after the commit."""
        self._memory.forget(*token_ids)

    def _verify(self, key: bytes, lookup_id: str, secret_hash: bytes) -> _Verified:
        generation, forget_at = self._memory.begin()
        with self._db.read() as connection:
            row = tokens.find_by_lookup(connection, lookup_id)
        is_right = compare_digest(self._open(row.secret_hash_encrypted if row else self._decoy), secret_hash)
        if row is None or not is_right:
            raise InvalidToken
        if row.revoked_at is not None or self._has_passed(row.expires_at):
            error = InvalidToken()
            error.token_id = row.token_id
            raise error
        token = tokens.to_token(row)
        networks = to_networks(token.allowed_ips)
        verified = _Verified(_actor_of(token), networks, token.expires_at, forget_at)
        self._memory.keep(key, verified, generation)
        return verified

    def _has_passed(self, time: datetime | None) -> bool:
        return time is not None and time <= self._clock()

    def _open(self, sealed: str) -> bytes:
        try:
            return self._vault.decrypt(sealed)
        except LostKey:
            lost_keys_total.labels("token").inc()
            log.error("token_key_lost", hint="a key is missing from ENCRYPTION_KEYS")
            return b""


def _called_from(address: str, verified: _Verified) -> Actor:
    actor = verified.actor  # once: another thread may put its own there
    if actor.address != address:
        actor = verified.actor = replace(actor, address=address)
    return actor


def _actor_of(token: Token) -> Actor:
    return Actor(
        kind=ActorKind.TOKEN,
        user_id=token.user_id,
        scopes=token.granted,
        token_id=token.token_id,
        allowed_ips=token.allowed_ips,
        expires_at=token.expires_at,
        rate_limit=token.rate_limit,
    )
