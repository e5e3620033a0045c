"""Room on PostgreSQL's pages beside each verification, for what becomes of it.

A row that is changed is written anew. Where that fits on its page, and no indexed column has changed, no index is
written (PostgreSQL's documentation, "Heap-Only Tuples"): to spend an attempt writes no entry of five indexes.
SQLite changes a row in its place.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FILLED_PERCENT = 50


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE verifications SET (fillfactor = {FILLED_PERCENT})")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE verifications RESET (fillfactor)")
