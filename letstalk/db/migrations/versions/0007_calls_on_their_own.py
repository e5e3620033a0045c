"""A call no longer depends on its verification: it has its own copy of the script, the language and the deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
CALLS = sa.table("calls", *map(sa.column, ("verification_id", "script_sealed", "locale", "speak_before")))
VERIFICATIONS = sa.table("verifications", *map(sa.column, ("verification_id", "speech_sealed", "locale", "expires_at")))


def of_verification(column: str) -> sa.ScalarSelect[object]:
    """A column of the verification of a call."""
    is_its = VERIFICATIONS.c.verification_id == CALLS.c.verification_id
    return sa.select(VERIFICATIONS.c[column]).where(is_its).scalar_subquery()


def upgrade() -> None:
    with without_call_events():
        op.add_column("calls", sa.Column("script_sealed", sa.Text))
        op.add_column("calls", sa.Column("locale", sa.String(35)))
        op.add_column("calls", sa.Column("speak_before", TIMESTAMP))
        op.execute(
            sa.update(CALLS).values(speak_before=of_verification("expires_at"), locale=of_verification("locale"))
        )
        op.execute(
            sa.update(CALLS)
            .values(script_sealed=of_verification("speech_sealed"))
            .where(sa.text("ended_at IS NULL OR holds_channel"))
        )
        op.drop_index("ix_calls_verification_id", "calls")
        with op.batch_alter_table("calls") as table:
            table.drop_constraint(op.f("fk_calls_verification_id"), type_="foreignkey")
            table.alter_column(
                "verification_id", new_column_name="subject_id", existing_type=sa.String(36), existing_nullable=False
            )
            table.alter_column("speak_before", existing_type=TIMESTAMP, nullable=False)
            table.create_check_constraint(
                op.f("ck_calls_script_erased"), "ended_at IS NULL OR holds_channel OR script_sealed IS NULL"
            )
        op.create_index("ix_calls_subject_id", "calls", ["subject_id", "created_at"])


def downgrade() -> None:
    with without_call_events():
        op.drop_index("ix_calls_subject_id", "calls")
        with op.batch_alter_table("calls") as table:
            table.drop_constraint(op.f("ck_calls_script_erased"), type_="check")
            table.alter_column(
                "subject_id", new_column_name="verification_id", existing_type=sa.String(36), existing_nullable=False
            )
            table.drop_column("script_sealed")
            table.drop_column("locale")
            table.drop_column("speak_before")
        with op.batch_alter_table("calls") as table:
            table.create_foreign_key(
                op.f("fk_calls_verification_id"), "verifications", ["verification_id"], ["verification_id"]
            )
        op.create_index("ix_calls_verification_id", "calls", ["verification_id", "created_at"])


@contextmanager
def without_call_events() -> Iterator[None]:
    """On SQLite, where a table is altered by making another one: keep the events of calls out of the way meanwhile.

    They refer to `calls`, so that table can't be dropped while they are there, and `PRAGMA foreign_keys` has no effect
    within a transaction.
    """
    if op.get_context().dialect.name != "sqlite":
        yield
        return
    op.execute("CREATE TABLE kept_call_events AS SELECT id, call_id, at, type FROM call_events")
    op.drop_table("call_events")
    yield
    op.create_table(
        "call_events",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=op.f("fk_call_events_call_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_events")),
    )
    op.execute("INSERT INTO call_events (id, call_id, at, type) SELECT id, call_id, at, type FROM kept_call_events")
    op.drop_table("kept_call_events")
    op.create_index("ix_call_events_call_id", "call_events", ["call_id", "at"])
