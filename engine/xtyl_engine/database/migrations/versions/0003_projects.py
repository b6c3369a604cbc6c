"""Projects: the owner of an execution, the key of its submission, and Templates numbered per project and name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBERED = """
INSERT INTO template_versions (project, name, version, template_id, created)
SELECT 'default', name, row_number() OVER (PARTITION BY name ORDER BY created, id), id, created FROM workflow_templates
"""
RENUMBERED = """
UPDATE workflow_templates SET version = coalesce(
    (SELECT min(version) FROM template_versions WHERE template_versions.template_id = workflow_templates.id), 1)
"""


def upgrade() -> None:
    op.add_column("workflow_executions", sa.Column("project", sa.Text(), nullable=False, server_default="default"))
    op.add_column("workflow_executions", sa.Column("submission_key", sa.Text()))
    op.add_column("workflow_executions", sa.Column("submission_digest", sa.Text()))
    op.create_index("executions_by_project", "workflow_executions", ["project", "created", "id"])
    op.create_index(
        "executions_by_key",
        "workflow_executions",
        ["project", "submission_key"],
        unique=True,
        sqlite_where=sa.text("submission_key IS NOT NULL"),
        postgresql_where=sa.text("submission_key IS NOT NULL"),
    )
    op.create_table(
        "template_versions",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["template_id"], ["workflow_templates.id"]),
        sa.PrimaryKeyConstraint("project", "name", "version"),
    )
    op.create_index("versions_by_template", "template_versions", ["project", "template_id"], unique=True)
    op.execute(NUMBERED)
    # No longer read. The column stays, with a default, for clients of the previous release, which still write it.
    with op.batch_alter_table("workflow_templates") as table:
        table.alter_column("version", server_default="0")


def downgrade() -> None:
    op.execute(RENUMBERED)
    with op.batch_alter_table("workflow_templates") as table:
        table.alter_column("version", server_default=None)
    op.drop_table("template_versions")
    op.drop_index("executions_by_key", "workflow_executions")
    op.drop_index("executions_by_project", "workflow_executions")
    for name in ("submission_digest", "submission_key", "project"):
        op.drop_column("workflow_executions", name)
