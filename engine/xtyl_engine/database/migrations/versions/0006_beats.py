"""Beats of a node: within how many seconds the next comes, so that a card stands still where no worker lives."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("execution_nodes", sa.Column("beat_within", sa.Float(), nullable=False, server_default="60.0"))


def downgrade() -> None:
    op.drop_column("execution_nodes", "beat_within")
