"""SQL: connections and transactions, tables, the statements that several rooms run, the schema and its migrations.

Others open a `connection` and run `statements` in a transaction, a long change in `steps`; `schema` upgrades a database to this
release, whose revision is in `head`, `postgres_dump` copies a PostgreSQL, `node_counts` tells how many jobs of each node are in
which state.
"""

__all__ = ["connection", "head", "node_counts", "postgres_dump", "retention", "schema", "statements", "steps", "tables"]
