"""Access tokens: what a person's program shows on every request (RFC 7519, RFC 9068; signed with Ed25519, RFC 9864)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from sqlalchemy import Column, Connection, Index, String, Table, Text, insert, select, update

from letstalk.accounts import account_session_repository
from letstalk.accounts.models import Account, AccountSession, person_actor
from letstalk.core.actors import Actor
from letstalk.core.clock import Clock
from letstalk.core.errors import InvalidToken
from letstalk.db.crypto import Vault, sealed_as
from letstalk.db.database import Database
from letstalk.db.schema import UtcDateTime, metadata
from letstalk.observability.logs import get_logger

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(36), primary_key=True),
    # Fernet over the 32 bytes of an Ed25519 private key.
    Column("private_key_encrypted", Text, nullable=False, info=sealed_as("signing keys")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),
    Index(None, "retired_at"),
)


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    kid: str
    private_key_encrypted: str
    created_at: datetime
    retired_at: datetime | None


def insert_signing_key(connection: Connection, row: SigningKeyRow) -> None:
    connection.execute(insert(signing_keys).values(**asdict(row)))


def find_signing_key(connection: Connection, kid: str) -> SigningKeyRow | None:
    row = connection.execute(select(signing_keys).where(signing_keys.c.kid == kid)).one_or_none()
    return None if row is None else SigningKeyRow(*row)


def find_current_signing_key(connection: Connection) -> SigningKeyRow | None:
    """The key that signs: the newest that is not retired."""
    statement = select(signing_keys).where(signing_keys.c.retired_at.is_(None))
    row = connection.execute(statement.order_by(signing_keys.c.created_at.desc()).limit(1)).one_or_none()
    return None if row is None else SigningKeyRow(*row)


def retire_signing_keys(connection: Connection, now: datetime) -> int:
    """Retire the present keys, which then sign no more. Returns how many there were."""
    present = signing_keys.c.retired_at.is_(None)
    return connection.execute(update(signing_keys).where(present).values(retired_at=now)).rowcount


log = get_logger(__name__)

ALGORITHM = "Ed25519"
TYPE = "at+jwt"
# Not the server's address: all servers of one database are one issuer. Installations differ in their keys.
ISSUER = "letstalk"
AUDIENCE = "letstalk-api"
# After a rotation the other servers sign with the old key for at most this long.
REREAD_SECONDS = 30.0
# How long a retired key is kept after its last token expired: servers' clocks differ, and see REREAD_SECONDS.
RETIRED_MARGIN = timedelta(minutes=5)
SEEN_AGAIN_SECONDS = 300
MAX_LENGTH = 4096
_REQUIRED = ("iss", "aud", "sub", "sid", "iat", "exp", "jti", "role", "epoch")


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: OKPKey
    public: OKPKey
    retired_at: datetime | None


class AccessTokenService:
    """Makes access tokens and authenticates their owners.

    Each request reads its session and account, so that the end of a session, a change of role, a disabled account and
    a new password take effect at once on every server. Only keys are cached.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        *,
        ttl_seconds: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, _Key] = {}
        self._current: tuple[str, float] | None = None
        self.ttl_seconds = ttl_seconds

    def sign(self, account: Account, session_id: str, epoch: int) -> str:
        """A new access token for a session. Do not call it within a transaction: the first call ever writes a key.

        Raises LostKey when ENCRYPTION_KEYS no longer opens the key.
        """
        key = self._signing_key()
        now = int(self._clock().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": account.account_id,
            "sid": session_id,
            "iat": now,
            "exp": now + self.ttl_seconds,
            "jti": str(uuid4()),
            "role": account.role.value,
            "epoch": epoch,
        }
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
        return jwt.encode(header, claims, key.private, algorithms=[ALGORITHM])

    def authenticate(self, presented: str, address: str) -> Actor:
        """The person whose token it is, with their present role and grants.

        Raises InvalidToken, whether the token is malformed, forged or expired or its session has ended.
        """
        claims = self._read(presented)
        now = self._clock()
        with self._db.read() as connection:
            found = account_session_repository.find_live(connection, claims["sid"], now)
        if found is None:
            raise InvalidToken
        session, account = found
        if account.account_id != claims["sub"] or session.epoch != claims["epoch"]:
            raise InvalidToken
        self._note_seen(session, now)
        return person_actor(account, session.session_id, address)

    def rotate_keys(self) -> str:
        """Sign with a new key from now on. Existing tokens stay valid until they expire. Returns the id of the key."""
        with self._db.write() as connection:
            self._db.lock(connection, "signing_keys")
            retire_signing_keys(connection, self._clock())
            row = self._add_key(connection)
        self._current = None
        log.info("signing_key_rotated", kid=row.kid)
        return row.kid

    def retired_before(self) -> datetime:
        """No token of a key that was retired before this time is still valid."""
        return self._clock() - timedelta(seconds=self.ttl_seconds) - RETIRED_MARGIN

    def _read(self, presented: str) -> dict[str, Any]:
        if len(presented) > MAX_LENGTH or not presented.isascii():
            raise InvalidToken
        try:
            token = jwt.decode(presented, self._verifying_key, algorithms=[ALGORITHM])
        # Whatever error an invalid token causes in the library, the response is the same.
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise InvalidToken from None
        claims: dict[str, Any] = token.claims
        is_ours = token.header.get("typ") == TYPE and all(name in claims for name in _REQUIRED)
        if not is_ours or not _is_uuid(claims["sid"]) or claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
            raise InvalidToken
        expires = claims["exp"]
        if not isinstance(expires, int) or expires <= self._clock().timestamp():
            raise InvalidToken
        return claims

    def _verifying_key(self, presented: Any) -> OKPKey:
        kid = presented.headers().get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            key = self._load(kid)
        if key.retired_at is not None and key.retired_at < self.retired_before():
            raise InvalidToken
        return key.public

    def _load(self, kid: object) -> _Key:
        """A key that another server made. An invented key id costs one query, as any request does."""
        if not isinstance(kid, str) or not _is_uuid(kid):
            raise InvalidToken
        with self._db.read() as connection:
            row = find_signing_key(connection, kid)
        if row is None:
            raise InvalidToken
        return self._keep(row)

    def _signing_key(self) -> _Key:
        with self._lock:
            if self._current is not None and self._monotonic() < self._current[1]:
                return self._keys[self._current[0]]
            reread_at = self._monotonic() + REREAD_SECONDS
            with self._db.read() as connection:
                row = find_current_signing_key(connection)
            key = self._keep(self._make_first() if row is None else row)
            self._current = (key.kid, reread_at)
            return key

    def _make_first(self) -> SigningKeyRow:
        with self._db.write() as connection:
            self._db.lock(connection, "signing_keys")
            return find_current_signing_key(connection) or self._add_key(connection)

    def _add_key(self, connection: Connection) -> SigningKeyRow:
        sealed = self._vault.encrypt(Ed25519PrivateKey.generate().private_bytes_raw())
        row = SigningKeyRow(str(uuid4()), sealed, self._clock(), retired_at=None)
        insert_signing_key(connection, row)
        return row

    def _keep(self, row: SigningKeyRow) -> _Key:
        private = Ed25519PrivateKey.from_private_bytes(self._vault.decrypt(row.private_key_encrypted))
        public = OKPKey.import_key(private.public_key(), {"use": "sig"})
        key = _Key(row.kid, OKPKey.import_key(private, {"use": "sig"}), public, row.retired_at)
        self._keys = {**self._keys, row.kid: key}
        return key

    def _note_seen(self, session: AccountSession, now: datetime) -> None:
        if (now - session.last_seen_at).total_seconds() > SEEN_AGAIN_SECONDS:
            with self._db.write() as connection:
                account_session_repository.note_seen(connection, session.session_id, now)


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False
