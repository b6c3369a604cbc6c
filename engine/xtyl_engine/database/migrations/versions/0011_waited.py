"""For how long jobs have waited because their provider asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_jobs", sa.Column("waited", sa.Float(), nullable=False, server_default="0.0"))


def downgrade() -> None:
    op.drop_column("agent_jobs", "waited")
