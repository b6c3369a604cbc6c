"""What of a kernel its functions find again: null for runs of fleets, over HTTP, and of earlier releases."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflow_executions", sa.Column("surroundings", sa.Text()))


def downgrade() -> None:
    op.drop_column("workflow_executions", "surroundings")
