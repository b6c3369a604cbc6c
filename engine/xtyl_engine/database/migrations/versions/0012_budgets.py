"""What an execution may spend, and what is held for attempts at work, in whole 1e-9 dollars. Without a budget nothing is held."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflow_executions", sa.Column("budget", sa.BigInteger()))
    for name in ("spent", "held"):
        op.add_column("workflow_executions", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("workflow_executions", sa.Column("is_short", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("job_attempts", sa.Column("charge", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("agent_jobs", sa.Column("needs", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("agent_jobs", "needs")
    op.drop_column("job_attempts", "charge")
    for name in ("is_short", "held", "spent", "budget"):
        op.drop_column("workflow_executions", name)
