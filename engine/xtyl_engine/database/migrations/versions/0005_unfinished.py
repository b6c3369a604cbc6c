"""Controls in steps: what is left of one, stored with its execution."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflow_executions", sa.Column("unfinished", sa.Text()))
    op.create_index(
        "executions_unfinished",
        "workflow_executions",
        ["id"],
        sqlite_where=sa.text("unfinished IS NOT NULL"),
        postgresql_where=sa.text("unfinished IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("executions_unfinished", "workflow_executions")
    op.drop_column("workflow_executions", "unfinished")
