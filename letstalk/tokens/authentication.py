"""Authenticates the token of each request, with a short-lived cache that makes repeated checks fast."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest

from letstalk.core.actors import Actor, ActorKind, CustomMessage
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

# A revocation must take effect on every instance within a second. Half of that is left for the rest.
TTL_SECONDS = 0.5
MAX_CACHED_TOKENS = 4096


@dataclass(slots=True)
class _Verified:
    """A valid token. `actor` has the address of the last request, because the next one mostly has the same."""

    actor: Actor
    networks: tuple[Network, ...]
    expires_at: datetime | None
    remove_at: float


class TokenCache:
    """Valid tokens, for at most `ttl_seconds`, by a keyed hash of their text.

    The key of the hash is random for each process, so the hashes match nothing that is stored elsewhere. Invalid tokens
    are not cached: the second try of one would be refused faster than the first. The time is counted from before the
    database was read, so that no entry is older than `ttl_seconds`.
    """

    def __init__(
        self, *, ttl_seconds: float, monotonic: Callable[[], float], max_size: int = MAX_CACHED_TOKENS
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._monotonic = monotonic
        self._max_size = max_size
        self._entries: dict[bytes, _Verified] = {}
        self._generation = 0
        self._lock = threading.Lock()
        self._hash_key = secrets.token_bytes(32)

    def key_of(self, presented: str) -> bytes:
        return blake2b(presented.encode(errors="replace"), key=self._hash_key, digest_size=32).digest()

    def begin_read(self) -> tuple[int, float]:
        """Call this before the database is read. Returns the generation for `put`, and the entry's `remove_at`."""
        return self._generation, self._monotonic() + self._ttl_seconds

    def get(self, key: bytes) -> _Verified | None:
        entry = self._entries.get(key)
        return entry if entry is not None and self._monotonic() < entry.remove_at else None

    def put(self, key: bytes, entry: _Verified, generation: int) -> None:
        """Store `entry`, unless a token was removed since `begin_read`: it may be this one."""
        with self._lock:
            if generation != self._generation:
                return
            self._entries.pop(key, None)
            if len(self._entries) >= self._max_size:
                self._make_room()
            self._entries[key] = entry

    def remove(self, *token_ids: str) -> None:
        """Remove these tokens, and ignore reads of the database that have already begun."""
        with self._lock:
            self._generation += 1
            self._entries = {
                key: entry for key, entry in self._entries.items() if entry.actor.token_id not in token_ids
            }

    def _make_room(self) -> None:
        # All entries have the same lifetime, so they are in the order in which they expire.
        now = self._monotonic()
        for key in list(self._entries):
            if self._entries[key].remove_at > now and len(self._entries) < self._max_size:
                break
            del self._entries[key]


class TokenAuthenticator:
    def __init__(
        self, db: Database, *, vault: Vault, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._cache = TokenCache(ttl_seconds=TTL_SECONDS, monotonic=monotonic)
        # Decrypted if no row was found, so that the check of an unknown token takes as long as that of a known one.
        self._decoy = vault.encrypt(secrets.token_bytes(32))

    def authenticate(self, presented: str, address: str) -> Actor:
        """The actor of the token `presented` in a request from `address`.

        A cached token requires only its look-up. For all others:

        1. Text without the format or the checksum of a token is refused without a database read.
        2. Unknown, wrong, revoked, suspended and expired tokens all take one SELECT, one decryption and one comparison.
           The error is the same for all of them.
        3. Only a valid token gets the error for a wrong address.

        Raises InvalidToken or AddressNotAllowed. Its `token_id`, for the audit trail, is set if the whole secret was
        right.
        """
        key = self._cache.key_of(presented)
        verified = self._cache.get(key)
        if verified is None or self._has_passed(verified.expires_at):
            parsed = parse_token(presented)
            if parsed is None:
                raise InvalidToken
            verified = self._verify(key, parsed.lookup_id, parsed.secret_hash)
        if not is_allowed(address, verified.networks):
            error = AddressNotAllowed("This token can't be used from this address.")
            error.token_id, error.owner_id = verified.actor.token_id, verified.actor.owner_id
            raise error
        return _called_from(address, verified)

    def forget(self, *token_ids: str) -> None:
        """Remove these tokens from the cache. Call this after the commit."""
        self._cache.remove(*token_ids)

    def _verify(self, key: bytes, lookup_id: str, secret_hash: bytes) -> _Verified:
        generation, remove_at = self._cache.begin_read()
        with self._db.read() as connection:
            row = tokens.find_by_lookup(connection, lookup_id)
        is_right = compare_digest(self._decrypt(row.secret_hash_encrypted if row else self._decoy), secret_hash)
        if row is None or not is_right:
            raise InvalidToken
        if row.revoked_at is not None or row.is_suspended or self._has_passed(row.expires_at):
            error = InvalidToken()
            error.token_id, error.owner_id = row.token_id, row.owner_id
            raise error
        token = tokens.to_token(row)
        networks = to_networks(token.allowed_ips)
        verified = _Verified(actor_of(token, self._find_bounds(token)), networks, token.expires_at, remove_at)
        self._cache.put(key, verified, generation)
        return verified

    def _find_bounds(self, token: Token) -> list[Token]:
        if token.parent_id is None:
            return [token]
        with self._db.read() as connection:
            return tokens.list_bounds(connection, token)

    def _has_passed(self, time: datetime | None) -> bool:
        return time is not None and time <= self._clock()

    def _decrypt(self, encrypted: str) -> bytes:
        try:
            return self._vault.decrypt(encrypted)
        except LostKey:
            lost_keys_total.labels("token").inc()
            log.error("token_key_lost", hint="a key is missing from ENCRYPTION_KEYS")
            return b""


def _called_from(address: str, verified: _Verified) -> Actor:
    actor = verified.actor  # read once: another thread may replace it
    if actor.address != address:
        actor = verified.actor = replace(actor, address=address)
    return actor


def actor_of(token: Token, bounds: list[Token]) -> Actor:
    """The actor that calls with `token`, from no address yet. `bounds` are those of `repository.list_bounds`."""
    return Actor(
        kind=ActorKind.TOKEN,
        owner_id=token.owner_id,
        scopes=token.granted,
        token_id=token.token_id,
        token_prefix=token.prefix,
        allowed_ips=token.allowed_ips,
        expires_at=token.expires_at,
        rate_limit=token.rate_limit,
        custom_message=token.custom_message or CustomMessage.ON,
        limits=tuple((one.counted_under, one.rate_limit) for one in bounds),
    )
