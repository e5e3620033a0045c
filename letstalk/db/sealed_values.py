"""Everything that stands in the database under Fernet, for whoever changes the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, select, update

from letstalk.accounts.access_tokens import signing_keys
from letstalk.accounts.repository import accounts, password_history
from letstalk.mail.repository import mails
from letstalk.sso.repository import sso_attempts
from letstalk.tokens.repository import tokens
from letstalk.verifications.repository import digest_keys, verifications


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of encrypted values, and the key by which its rows are found."""

    name: str
    key: Column[str]
    value: Column[str]


SEALED_COLUMNS = (
    SealedColumn("digest keys", digest_keys.c.key_id, digest_keys.c.key_encrypted),
    SealedColumn("tokens", tokens.c.token_id, tokens.c.secret_hash_encrypted),
    SealedColumn("waiting codes", verifications.c.verification_id, verifications.c.speech_sealed),
    SealedColumn("passwords", accounts.c.account_id, accounts.c.password_sealed),
    SealedColumn("old passwords", password_history.c.entry_id, password_history.c.password_sealed),
    SealedColumn("signing keys", signing_keys.c.kid, signing_keys.c.private_key_encrypted),
    SealedColumn("mails", mails.c.mail_id, mails.c.sealed),
    SealedColumn("sign-ins elsewhere", sso_attempts.c.state_hash, sso_attempts.c.verifier_sealed),
)


def list_sealed(connection: Connection, column: SealedColumn, after: str, limit: int) -> Sequence[tuple[str, str]]:
    """(key, encrypted value) of the rows after the key `after`, in order of their keys."""
    statement = (
        select(column.key, column.value)
        .where(column.key > after, column.value.is_not(None))
        .order_by(column.key)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def replace_sealed(connection: Connection, column: SealedColumn, key: str, old: str, new: str) -> bool:
    """Put `new` where `old` stands. False when something else has taken its place meanwhile."""
    statement = update(column.key.table).where(column.key == key, column.value == old).values({column.value: new})
    return connection.execute(statement).rowcount == 1
