"""The schema's history, one Alembic revision per file, shipped in the package so that every installation can upgrade."""
