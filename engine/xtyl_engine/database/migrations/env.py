"""Alembic's entry point. `schema` passes an open connection."""

from alembic import context

from xtyl_engine.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
