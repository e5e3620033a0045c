"""Audit events say whose thing they are about, and each filter of their list has an index in the list's order.

Older events get the owner of their token. A refusal of a known token is about that token, as newer ones say.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

FILTERS = ("user_id", "token_id", "account_id", "actor_token_id", "actor_account_id", "address")
BUILT_IN = "actor_token_id IS NULL AND actor_account_id IS NULL AND actor_kind IS NOT NULL"


def where(condition: str) -> dict[str, Any]:
    """The condition of a partial index, for both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("user_id", sa.String(128)))
    op.execute(
        "UPDATE audit_events SET token_id = actor_token_id "
        "WHERE action = 'refused' AND token_id IS NULL AND actor_kind = 'token'"
    )
    op.execute(
        "UPDATE audit_events SET user_id = (SELECT tokens.user_id FROM tokens "
        "WHERE tokens.token_id = audit_events.token_id) WHERE token_id IS NOT NULL"
    )
    op.execute("UPDATE audit_events SET user_id = actor_user_id WHERE action = 'destination.limit_reached'")
    for name in ("at", "token_id_at", "account_id_at"):
        op.drop_index(f"ix_audit_events_{name}", "audit_events")
    op.create_index("ix_audit_events_at_event_id", "audit_events", ["at", "event_id"])
    op.create_index("ix_audit_events_action_at_event_id", "audit_events", ["action", "at", "event_id"])
    for column in FILTERS:
        columns = [column, "at", "event_id"]
        op.create_index(f"ix_audit_events_{column}_at", "audit_events", columns, **where(f"{column} IS NOT NULL"))
    op.create_index(
        "ix_audit_events_actor_kind_at", "audit_events", ["actor_kind", "at", "event_id"], **where(BUILT_IN)
    )


def downgrade() -> None:
    for name in ("actor_kind_at", *(f"{column}_at" for column in FILTERS), "action_at_event_id", "at_event_id"):
        op.drop_index(f"ix_audit_events_{name}", "audit_events")
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    for column in ("token_id", "account_id"):
        op.create_index(f"ix_audit_events_{column}_at", "audit_events", [column, "at"])
    op.drop_column("audit_events", "user_id")
