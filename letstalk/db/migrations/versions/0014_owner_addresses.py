"""Sessions of the built-in owner say where they were started, so that an address that the owner uses is known.

Existing sessions do not know it: their addresses are known after the next sign-in.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("address_mark", sa.LargeBinary(32)))
    op.create_index("ix_sessions_address_mark", "sessions", ["address_mark"])


def downgrade() -> None:
    op.drop_index("ix_sessions_address_mark", "sessions")
    op.drop_column("sessions", "address_mark")
