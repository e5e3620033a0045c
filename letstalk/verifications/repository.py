"""The table of verifications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    CheckConstraint,
    Column,
    ColumnClause,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)

from letstalk.calls.models import CallStatus
from letstalk.calls.queue import FIRST_WAITING_TURN, own_last_turn
from letstalk.calls.repository import IS_UNFINISHED, all_have_failed, calls
from letstalk.core.errors import NoPendingVerification
from letstalk.core.ids import canonical_id
from letstalk.core.numbering import canonical_e164
from letstalk.db.crypto import sealed_as
from letstalk.db.schema import UtcDateTime, metadata, partial_index
from letstalk.db.statements import Statement
from letstalk.events.models import DueEvents
from letstalk.telephony.phone_numbers import parse_phone
from letstalk.test_numbers.repository import id_of_test_number
from letstalk.verifications.models import (
    LOOKUP_WINDOW,
    MAX_ATTEMPTS,
    MAX_TTL_SECONDS,
    PendingCheck,
    SendState,
    Verification,
    VerificationFilter,
    VerificationRef,
    VerificationStatus,
)
from letstalk.verifications.wrong_codes import OF_SESSION, wrong_codes

PENDING = VerificationStatus.PENDING.value

verifications = Table(
    "verifications",
    metadata,
    Column("verification_id", String(36), primary_key=True),
    Column("user_id", String(128), key="owner_id", nullable=False),
    Column("phone", String(16), nullable=False),
    Column("status", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_spoken_for_at", UtcDateTime, nullable=False),
    Column("attempts_used", Integer, nullable=False),
    Column("replays_used", Integer, nullable=False),
    Column("locale", String(35)),
    Column("code_digest", String(64), nullable=False),
    Column("digest_key_id", String(36), nullable=False),
    Column("speech_sealed", Text, info=sealed_as("waiting codes")),
    Column("approved_at", UtcDateTime),
    Column("reference", String(64)),
    Column("phone_as_given", String(16)),
    Column("session_digest", String(32), nullable=False, server_default=""),
    Column("token_id", String(36)),
    Column("country", String(3)),
    Column("ended_at", UtcDateTime),
    Column("is_test", Boolean, nullable=False, server_default=false()),
    Column("request_id", String(36)),
    Column("events_due", Integer, nullable=False, server_default=text("0")),
    CheckConstraint(
        "status IN ({})".format(", ".join(f"'{status.value}'" for status in VerificationStatus)), name="status"
    ),
    CheckConstraint(f"attempts_used BETWEEN 0 AND {MAX_ATTEMPTS}", name="attempts_used"),
    CheckConstraint("replays_used >= 0", name="replays_used"),
    CheckConstraint("expires_at > created_at", name="expires_at"),
    CheckConstraint("(status = 'approved') = (approved_at IS NOT NULL)", name="approved_at"),
    CheckConstraint("status = 'pending' OR speech_sealed IS NULL", name="speech_erased"),
)
partial_index(
    "uq_verifications_pending",
    "status = 'pending'",
    verifications.c.owner_id,
    verifications.c.phone,
    verifications.c.session_digest,
    unique=True,
)
Index("ix_verifications_phone", verifications.c.phone, verifications.c.owner_id, verifications.c.created_at)
Index("ix_verifications_country", verifications.c.country, verifications.c.created_at)
partial_index("ix_verifications_token_id", "token_id IS NOT NULL", verifications.c.token_id, verifications.c.created_at)
# Without those that wait or were approved: a send and a check write no entry.
partial_index(
    "ix_verifications_failed",
    "status NOT IN ('pending', 'approved')",
    verifications.c.status,
    verifications.c.created_at,
)
Index("ix_verifications_user_id_created_at", verifications.c.owner_id, verifications.c.created_at)
partial_index(
    "ix_verifications_reference",
    "reference IS NOT NULL",
    verifications.c.owner_id,
    verifications.c.reference,
    verifications.c.created_at,
)
partial_index("ix_verifications_events_due", "events_due > 0", verifications.c.verification_id)
partial_index("ix_verifications_expiring", "status = 'pending'", verifications.c.expires_at)

# The exact text of the partial indexes: SQLite does not use them for a parameter.
IS_PENDING = text("verifications.status = 'pending'")

_SELECT = select(verifications)
_BY_ID = Statement(
    _SELECT.where(
        verifications.c.verification_id == bindparam("verification_id"),
        verifications.c.owner_id == bindparam("owner_id"),
    )
)
_LOCKED = Statement(_SELECT.where(verifications.c.verification_id == bindparam("verification_id")).with_for_update())
_INSERT = Statement(insert(verifications).values({column.key: bindparam(column.key) for column in verifications.c}))
_END = Statement(
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(status=bindparam("ended_as"), speech_sealed=None, ended_at=bindparam("ended_at", type_=UtcDateTime))
    .returning(verifications.c.owner_id)
)
_EXPIRE = Statement(
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(
        status=literal_column(f"'{VerificationStatus.EXPIRED.value}'"),
        speech_sealed=null(),
        ended_at=verifications.c.expires_at,
    )
    .returning(verifications.c.owner_id)
)
_ONE: ColumnClause[int] = literal_column("1")
_OWNER_ID: BindParameter[str] = bindparam("owner_id")
_PHONE: BindParameter[str] = bindparam("phone")
_SESSION: BindParameter[str] = bindparam("session_digest")
_OF_PHONE = (verifications.c.owner_id == _OWNER_ID, verifications.c.phone == _PHONE)
_OWN = (*_OF_PHONE, verifications.c.session_digest == _SESSION)
_OF_OTHER_SESSIONS = (
    *_OF_PHONE,
    IS_PENDING,
    verifications.c.session_digest != _SESSION,
    verifications.c.session_digest != literal_column("''"),
)
_SINCE: BindParameter[datetime] = bindparam("since", type_=UtcDateTime)
_NEWEST = Statement(
    _SELECT.where(*_OWN, verifications.c.created_at > _SINCE).order_by(verifications.c.created_at.desc()).limit(_ONE)
)
_PENDING_ONE = Statement(_SELECT.where(*_OWN, IS_PENDING))
_OTHER_SESSIONS = Statement(
    select(verifications.c.expires_at).where(
        *_OF_OTHER_SESSIONS, verifications.c.expires_at > bindparam("now", type_=UtcDateTime)
    )
)
_SEND_STATE = Statement(
    select(
        select(func.max(verifications.c.created_at))
        .where(*_OWN, verifications.c.created_at > bindparam("cooling_since", type_=UtcDateTime))
        .scalar_subquery(),
        select(_ONE).select_from(verifications).where(*_OWN, IS_PENDING).exists(),
        select(func.max(wrong_codes.c.judged_at)).where(*OF_SESSION).scalar_subquery(),
        select(func.count())
        .select_from(
            select(calls.c.created_at)
            .where(calls.c.phone == _PHONE, calls.c.created_at > _SINCE)
            .limit(bindparam("at_most", type_=Integer))
            .subquery()
        )
        .scalar_subquery(),
        own_last_turn(_OWNER_ID),
        FIRST_WAITING_TURN,
        select(func.count()).select_from(verifications).where(*_OF_OTHER_SESSIONS).scalar_subquery(),
        id_of_test_number(_OWNER_ID, _PHONE),
    )
)
_SPEND = (
    update(verifications)
    .where(verifications.c.verification_id == bindparam("id"), IS_PENDING)
    .values(attempts_used=verifications.c.attempts_used + _ONE)
)
_SPEND_ON_WRONG = Statement(_SPEND)
_SPEND_ON_RIGHT = Statement(
    _SPEND.values(
        status=literal_column(f"'{VerificationStatus.APPROVED.value}'"),
        speech_sealed=null(),
        approved_at=bindparam("now", type_=UtcDateTime),
        ended_at=bindparam("now", type_=UtcDateTime),
        events_due=verifications.c.events_due + literal_column(str(DueEvents.APPROVED.value)),
    )
)
_FIELDS = tuple(column.key for column in verifications.c)  # also the fields of a Verification, in their order
_values_of = attrgetter(*_FIELDS)
_STATUSES = {status.value: status for status in VerificationStatus}


def verification_from(row: Sequence[Any]) -> Verification:
    """The verification of a row with all columns, in their order."""
    verification_id, owner_id, phone, status, *others = row
    return Verification(verification_id, owner_id, phone, _STATUSES[status], *others)


def insert_verification(connection: Connection, verification: Verification) -> None:
    """Insert a verification. Raises IntegrityError when the owner has another pending one for its phone and session."""
    _INSERT.execute(connection, dict(zip(_FIELDS, _values_of(verification), strict=True)))


def find_verification(connection: Connection, owner_id: str, verification_id: str) -> Verification | None:
    row = _BY_ID.first(connection, {"verification_id": verification_id, "owner_id": owner_id})
    return None if row is None else verification_from(row)


def find_newest(
    connection: Connection, owner_id: str, phone: str, session_digest: str, *, since: datetime
) -> Verification | None:
    """The newest verification of an owner, phone and session that was made after `since`."""
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest, "since": since}
    row = _NEWEST.first(connection, parameters)
    return None if row is None else verification_from(row)


def find_pending(connection: Connection, owner_id: str, phone: str, session_digest: str) -> Verification | None:
    """The verification of an owner, phone and session that is marked pending, also if its time ran out."""
    row = _PENDING_ONE.first(connection, {"owner_id": owner_id, "phone": phone, "session_digest": session_digest})
    return None if row is None else verification_from(row)


def lock_verification(connection: Connection, verification_id: str) -> Verification | None:
    """The verification, locked until the transaction ends; None when it was deleted.

    Lock it before its calls, so that no two transactions wait for each other.
    """
    row = _LOCKED.first(connection, {"verification_id": verification_id})
    return None if row is None else verification_from(row)


def find(connection: Connection, owner_id: str, ref: VerificationRef, now: datetime) -> Verification:
    """The owner's verification that `ref` names, in any status.

    Raises NoPendingVerification, and InvalidPhone when the phone is not a valid number.
    """
    if ref.phone is not None:
        phone = parse_phone(ref.phone)  # `+44 0…` looks like E.164, and is a different number in E.164
        found = find_newest(connection, owner_id, phone.canonical, ref.session_digest, since=now - LOOKUP_WINDOW)
    else:
        verification_id = canonical_id(ref.verification_id or "")
        found = None if verification_id is None else find_verification(connection, owner_id, verification_id)
    if found is None:
        raise NoPendingVerification("No verification waits for a code here.")
    return found


def lock(connection: Connection, verification_id: str) -> Verification:
    """The same as `lock_verification`. Raises NoPendingVerification when it was deleted since it was found."""
    locked = lock_verification(connection, verification_id)
    if locked is None:
        raise NoPendingVerification("No verification waits for a code here.")
    return locked


class _PendingQuery:
    """Reads the `PendingCheck` of the verification that `conditions` select."""

    _of_verification = (
        verifications.c.verification_id,
        verifications.c.phone,
        verifications.c.created_at,
        verifications.c.attempts_used,
        verifications.c.replays_used,
        verifications.c.code_digest,
        verifications.c.digest_key_id,
        verifications.c.reference,
        verifications.c.phone_as_given,
        verifications.c.session_digest,
        verifications.c.is_test,
    )
    _of_others = (
        select(func.max(wrong_codes.c.judged_at, type_=UtcDateTime))
        .where(
            wrong_codes.c.owner_id == verifications.c.owner_id,
            wrong_codes.c.phone == verifications.c.phone,
            wrong_codes.c.session_digest == verifications.c.session_digest,
        )
        .scalar_subquery(),
        exists(_ONE).where(calls.c.subject_id == verifications.c.verification_id, IS_UNFINISHED),
    )

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        has_attempts = verifications.c.attempts_used < literal_column(str(MAX_ATTEMPTS))
        is_alive = verifications.c.expires_at > bindparam("now", type_=UtcDateTime)
        can_be_checked = and_(*conditions, IS_PENDING, has_attempts, is_alive)
        # `key_share` is the lock that an UPDATE of the row takes.
        self._locking = Statement(select(*self._of_verification).where(can_be_checked).with_for_update(key_share=True))
        self._others = Statement(select(*self._of_others).select_from(verifications).where(*conditions, IS_PENDING))
        self._all = Statement(select(*self._of_verification, *self._of_others).where(can_be_checked))

    def get(self, connection: Connection, parameters: dict[str, Any], *, for_update: bool) -> PendingCheck | None:
        if not for_update or connection.dialect.name == "sqlite":  # its writer is the only one
            row = self._all.first(connection, parameters)
            return None if row is None else PendingCheck(*row)
        # A statement that had to wait for the row does not see what was committed meanwhile. The next one does: of
        # parallel guesses, the tenth wrong one must be the last. Both find the same verification: it is pending and
        # locked, and the only pending one of its session.
        row = self._locking.first(connection, parameters)
        return None if row is None else PendingCheck(*row, *self._others.one(connection, parameters))


_PENDING_BY_ID = _PendingQuery(
    verifications.c.verification_id == bindparam("verification_id"), verifications.c.owner_id == _OWNER_ID
)
# The newest of its session: a newer one is only added when this one has ended.
_PENDING_OF_SESSION = _PendingQuery(*_OWN)


def get_pending(
    connection: Connection, owner_id: str, ref: VerificationRef, now: datetime, *, for_update: bool
) -> PendingCheck | None:
    """What a guess at the owner's verification `ref` depends on. None when it is over or no attempt is left.

    By phone, that is the newest verification of the session only. With `for_update` it is locked until the transaction
    ends.
    """
    if ref.phone is not None:
        phone = canonical_e164(ref.phone)
        parameters = {"owner_id": owner_id, "phone": phone, "session_digest": ref.session_digest, "now": now}
        return _PENDING_OF_SESSION.get(connection, parameters, for_update=for_update)
    verification_id = canonical_id(ref.verification_id or "")
    if verification_id is None:
        return None
    parameters = {"owner_id": owner_id, "verification_id": verification_id, "now": now}
    return _PENDING_BY_ID.get(connection, parameters, for_update=for_update)


def spend_attempt(connection: Connection, verification_id: str) -> None:
    """Count a wrong guess at a verification that this transaction has locked."""
    _SPEND_ON_WRONG.execute(connection, {"id": verification_id})


def spend_attempt_and_approve(connection: Connection, verification_id: str, now: datetime) -> None:
    """Count the right guess at a verification that this transaction has locked: approve it and erase the code."""
    _SPEND_ON_RIGHT.execute(connection, {"id": verification_id, "now": now})


def load_send_state(
    connection: Connection,
    owner_id: str,
    phone: str,
    session_digest: str,
    *,
    since: datetime,
    at_most: int,
    cooling_since: datetime,
) -> SendState:
    """What a send depends on, in one statement. Counts `at_most` of the calls that were accepted after `since`, and
    looks for a verification that was made after `cooling_since`.
    """
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest, "since": since}
    return SendState(*_SEND_STATE.one(connection, parameters | {"at_most": at_most, "cooling_since": cooling_since}))


def list_other_sessions(
    connection: Connection, owner_id: str, phone: str, session_digest: str, now: datetime
) -> list[datetime]:
    """When the pending verifications of an owner's other sessions for a phone expire."""
    parameters = {"owner_id": owner_id, "phone": phone, "session_digest": session_digest, "now": now}
    return [expires_at for (expires_at,) in _OTHER_SESSIONS.all(connection, parameters)]


def list_starts(connection: Connection, owner_id: str, since: datetime) -> list[datetime]:
    """When the owner's verifications since then were started, to whatever phone, newest first."""
    table = verifications.c
    statement = select(table.created_at).where(table.owner_id == owner_id, table.created_at > since)
    return list(connection.execute(statement.order_by(table.created_at.desc())).scalars())


def list_verifications(
    connection: Connection,
    owner_id: str,
    wanted: VerificationFilter,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
    now: datetime,
) -> list[Verification]:
    """Newest first. `after` is the timestamp and id of the last one on the page before."""
    table = verifications.c
    statement = _SELECT.where(table.owner_id == owner_id)
    status = wanted.get("status")
    if (phone := wanted.get("phone")) is not None:
        statement = statement.where(table.phone == phone)
    if (reference := wanted.get("reference")) is not None:
        statement = statement.where(table.reference == reference)
    if status is VerificationStatus.PENDING:
        statement = statement.where(IS_PENDING, table.expires_at > now)
    elif status is VerificationStatus.EXPIRED:
        ran_out = and_(IS_PENDING, table.expires_at <= now)
        statement = statement.where(or_(table.status == status.value, ran_out))
    elif status is not None:
        statement = statement.where(table.status == status.value)
    if after is not None:
        created_at, verification_id = after
        earlier = or_(
            table.created_at < created_at, and_(table.created_at == created_at, table.verification_id < verification_id)
        )
        statement = statement.where(earlier)
    statement = statement.order_by(table.created_at.desc(), table.verification_id.desc()).limit(limit)
    return [verification_from(row) for row in connection.execute(statement)]


def list_pending_tests(connection: Connection, owner_id: str, phone: str) -> list[str]:
    """Ids of the owner's pending verifications of a phone that is a test number."""
    table = verifications.c
    statement = select(table.verification_id).where(table.owner_id == owner_id, table.phone == phone, IS_PENDING)
    return list(connection.execute(statement.where(table.is_test)).scalars())


def spend_replay(connection: Connection, verification_id: str, now: datetime) -> None:
    connection.execute(
        update(verifications)
        .where(verifications.c.verification_id == verification_id)
        .values(replays_used=verifications.c.replays_used + 1, last_spoken_for_at=now)
    )


def end_verification(
    connection: Connection, verification_id: str, status: VerificationStatus, now: datetime
) -> str | None:
    """Give a pending verification its last status, any but `approved`, and erase its code.

    It ended now, or when it expired. Returns its owner; None when it was not pending.
    """
    if status is VerificationStatus.EXPIRED:
        row = _EXPIRE.first(connection, {"id": verification_id})
    else:
        row = _END.first(connection, {"id": verification_id, "ended_as": status.value, "ended_at": now})
    return None if row is None else str(row[0])


def find_expired(connection: Connection, now: datetime, limit: int = 500) -> list[str]:
    """Ids of verifications that are still marked pending although their time ran out."""
    statement = (
        select(verifications.c.verification_id).where(IS_PENDING, verifications.c.expires_at <= now).limit(limit)
    )
    return list(connection.execute(statement).scalars())


def list_unplaceable(connection: Connection, now: datetime, limit: int = 500) -> list[str]:
    """Ids of pending verifications all of whose calls have failed."""
    # Found by the calls that have ended lately, which are fewer than pending verifications when many wait.
    statement = (
        select(verifications.c.verification_id)
        .distinct()
        .select_from(calls.join(verifications, verifications.c.verification_id == calls.c.subject_id))
        .where(
            calls.c.ended_at > now - timedelta(seconds=MAX_TTL_SECONDS),
            calls.c.status == CallStatus.FAILED.value,
            IS_PENDING,
            verifications.c.expires_at > now,
            all_have_failed(verifications.c.verification_id),
        )
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())
