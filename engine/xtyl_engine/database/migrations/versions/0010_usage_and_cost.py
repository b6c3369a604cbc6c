"""What attempts used and cost, with sums for each job and node: null, and so unknown, for what earlier releases wrote."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "image_tokens")
ADDED: dict[str, dict[str, Any]] = {
    "job_attempts": {
        **dict.fromkeys(("request_id", "notes"), sa.Text),
        **dict.fromkeys((*TOKENS, "cost"), sa.BigInteger),
        **dict.fromkeys(("cost_kind", "price"), sa.Text),
    },
    "agent_jobs": {**dict.fromkeys((*TOKENS, "spent", "unpriced", "saved"), sa.BigInteger), "price": sa.Text},
    "execution_nodes": dict.fromkeys(("spent", "unpriced", "from_cache", "saved"), sa.BigInteger),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, type in columns.items():
            op.add_column(table, sa.Column(name, type()))


def downgrade() -> None:
    for table, columns in reversed(ADDED.items()):
        for name in reversed(columns):
            op.drop_column(table, name)
