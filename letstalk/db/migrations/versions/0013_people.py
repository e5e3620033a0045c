"""For 20 seconds a spent refresh token gives the same successor again; tokens know the account that created them; and
who has an owner is found by an index.

Who created a token before is known to the audit trail only, while that is kept. A token of an account that is disabled
already keeps working: to suspend it now would stop an app without anybody having said so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

HAS_MAKER = sa.text("created_by IS NOT NULL")
HAS_SALT = sa.text("successor_salt IS NOT NULL")


def upgrade() -> None:
    op.add_column("refresh_tokens", sa.Column("successor_salt", sa.LargeBinary(32)))
    op.create_index(
        "ix_refresh_tokens_salted", "refresh_tokens", ["spent_at"], sqlite_where=HAS_SALT, postgresql_where=HAS_SALT
    )
    op.create_index("ix_account_grants_user_id", "account_grants", ["user_id"])
    op.add_column("tokens", sa.Column("created_by", sa.String(36)))
    op.create_index(
        "ix_tokens_created_by", "tokens", ["created_by"], sqlite_where=HAS_MAKER, postgresql_where=HAS_MAKER
    )
    op.execute(
        "UPDATE tokens SET created_by = (SELECT max(accounts.account_id) FROM audit_events "
        "JOIN accounts ON accounts.account_id = audit_events.actor_account_id WHERE accounts.state <> 'disabled' "
        "AND audit_events.token_id = tokens.token_id AND audit_events.action = 'token.created')"
    )


def downgrade() -> None:
    op.drop_index("ix_tokens_created_by", "tokens")
    op.drop_column("tokens", "created_by")
    op.drop_index("ix_account_grants_user_id", "account_grants")
    op.drop_index("ix_refresh_tokens_salted", "refresh_tokens")
    op.drop_column("refresh_tokens", "successor_salt")
