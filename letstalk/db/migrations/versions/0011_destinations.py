"""A phone is counted under one of its numbers and called by the one that was given. Counts of calls by destination."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from letstalk.core.numbering import SAME_PHONE_CODES, canonical_e164

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

IS_REACHED = sa.text("reached_until > 0")
HAS_PARENT = sa.text("parent_id IS NOT NULL")
COUNTS = ("hour", "hour_calls", "day", "day_calls", "closed_until", "reached_until")
COLUMNS = ("phone", "phone_as_given", "user_id", "status", "holds_channel")
VERIFICATIONS, CALLS = (sa.table(name, *map(sa.column, COLUMNS)) for name in ("verifications", "calls"))
_pending, _live = VERIFICATIONS.alias("other"), CALLS.alias("other")
# A unique index covers these rows: a row that would collide keeps its number until it is over, in ten minutes at most.
COLLIDES = {
    VERIFICATIONS: sa.and_(
        VERIFICATIONS.c.status == "pending",
        sa.exists().where(
            _pending.c.user_id == VERIFICATIONS.c.user_id,
            _pending.c.phone == sa.bindparam("counted"),
            _pending.c.status == "pending",
        ),
    ),
    CALLS: sa.and_(
        sa.text("holds_channel"),
        sa.exists().where(_live.c.phone == sa.bindparam("counted"), sa.text("other.holds_channel")),
    ),
}


def upgrade() -> None:
    connection = op.get_bind()
    for table, collides in COLLIDES.items():
        op.add_column(table.name, sa.Column("phone_as_given", sa.String(16)))
        may_differ = sa.or_(*(table.c.phone.like(f"+{code}%") for code in SAME_PHONE_CODES))
        phones = connection.execute(sa.select(table.c.phone).where(may_differ).distinct()).scalars().all()
        statement = (
            sa.update(table)
            .where(table.c.phone == sa.bindparam("given"), ~collides)
            .values(phone=sa.bindparam("counted"), phone_as_given=sa.bindparam("given"))
        )
        for phone in phones:
            counted = canonical_e164(phone)
            if counted != phone:
                connection.execute(statement, {"given": phone, "counted": counted})
    op.add_column("tokens", sa.Column("custom_message", sa.String(10)))
    op.add_column("tokens", sa.Column("parent_id", sa.String(36)))
    op.add_column("tokens", sa.Column("bucket_id", sa.String(36)))
    op.create_index(
        "ix_tokens_parent_id", "tokens", ["parent_id"], sqlite_where=HAS_PARENT, postgresql_where=HAS_PARENT
    )
    op.create_table(
        "destination_counts",
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("destination", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("user_id", "destination", name=op.f("pk_destination_counts")),
    )
    op.create_index(
        "ix_destination_counts_reached_until",
        "destination_counts",
        ["reached_until"],
        sqlite_where=IS_REACHED,
        postgresql_where=IS_REACHED,
    )
    if connection.dialect.name == "postgresql":
        # Each call changes three rows. On a page with room for that no index is written.
        op.execute("ALTER TABLE destination_counts SET (fillfactor = 50)")


def downgrade() -> None:
    op.drop_index("ix_tokens_parent_id", "tokens")
    for column in ("custom_message", "parent_id", "bucket_id"):
        op.drop_column("tokens", column)
    op.drop_table("destination_counts")
    for table in COLLIDES:
        op.execute(sa.update(table).where(table.c.phone_as_given.is_not(None)).values(phone=table.c.phone_as_given))
        op.drop_column(table.name, "phone_as_given")
