"""The schema's history, one Alembic revision a file; shipped in the package, so that any installation can upgrade."""
