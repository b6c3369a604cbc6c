"""Counts of jobs and time at work, kept for each node. Executions that are there already are counted when they are looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATES = ("blocked", "ready", "running", "waiting", "completed", "skipped", "stopped", "failed", "quarantined")


def upgrade() -> None:
    op.add_column("workflow_executions", sa.Column("counted", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "execution_nodes",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        *(sa.Column(state, sa.Integer(), nullable=False, server_default="0") for state in STATES),
        sa.Column("started", sa.Float()),
        sa.Column("finished", sa.Float()),
        sa.Column("since", sa.Float(), nullable=False, server_default="0.0"),
        sa.Column("job_seconds", sa.Float(), nullable=False, server_default="0.0"),
        sa.Column("busy_seconds", sa.Float(), nullable=False, server_default="0.0"),
        sa.Column("latest", sa.Text(), nullable=False),
        sa.Column("failure", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.ForeignKeyConstraint(["execution_id"], ["workflow_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "node"),
    )
    op.create_table(
        "execution_branches",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["workflow_executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "node", "branch"),
    )
    # On PostgreSQL it is there already: `schema` has built it beside the work that goes on.
    op.create_index(
        "jobs_waiting",
        "agent_jobs",
        ["execution_id", "id"],
        if_not_exists=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_index("jobs_waiting", "agent_jobs")
    op.drop_table("execution_branches")
    op.drop_table("execution_nodes")
    op.drop_column("workflow_executions", "counted")
