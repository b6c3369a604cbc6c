"""The tables. Times are seconds since the epoch by the database's clock; structured values are JSON text, so that a row costs the
same on SQLite and PostgreSQL. What may change a state is in `states`, who may write in `record`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

# Items are compared as bytes: a range over `3.` must find what lies below row 3, whatever the locale.
Item = Text().with_variant(Text(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

templates = Table(
    "workflow_templates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # Written by the release before; the numbers that count are in `versions`.
    Column("version", Integer, nullable=False, server_default="0"),
    Column("plan", Text, nullable=False),
    Column("created", Float, nullable=False),
)

versions = Table(
    "template_versions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("template_id", Text, ForeignKey("workflow_templates.id"), nullable=False),
    Column("created", Float, nullable=False),
    Index("versions_by_template", "project", "template_id", unique=True),
)

executions = Table(
    "workflow_executions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("template_id", Text, ForeignKey("workflow_templates.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("shape", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("sequence", Integer, nullable=False, server_default="0"),
    Column("max_parallel", Integer),
    Column("error", Text),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("project", Text, nullable=False, server_default="default"),
    Column("submission_key", Text),
    Column("submission_digest", Text),
    Index("executions_by_state", "state", "created"),
    Index("executions_by_template", "template_id"),
    Index("executions_by_project", "project", "created", "id"),
    Index(
        "executions_by_key",
        "project",
        "submission_key",
        unique=True,
        sqlite_where=text("submission_key IS NOT NULL"),
        postgresql_where=text("submission_key IS NOT NULL"),
    ),
)

rows = Table(
    "execution_rows",
    metadata,
    Column("execution_id", Text, ForeignKey("workflow_executions.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", Text, nullable=False),
    Column("values", Text, nullable=False),
)

jobs = Table(
    "agent_jobs",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("execution_id", Text, ForeignKey("workflow_executions.id"), nullable=False),
    Column("node", Text, nullable=False),
    Column("item", Item, nullable=False),
    Column("state", Text, nullable=False),
    Column("pending", Integer, nullable=False, server_default="0"),
    Column("live", Integer, nullable=False, server_default="0"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("because", Text, nullable=False, server_default="first"),
    Column("owner", Text),
    Column("lease", Float),
    Column("due", Float, nullable=False, server_default="0.0"),
    Column("output", Text),
    Column("branch", Text),
    Column("cache_key", Text),
    Column("cached", SmallInteger, nullable=False, server_default="0"),
    Column("provider", Text),
    Column("model", Text),
    Column("tokens", Integer),
    Column("cost", Float),
    Column("error_class", Text),
    Column("error", Text),
    Column("traceback", Text),
    Column("started", Float),
    Column("finished", Float),
    Index("jobs_by_item", "execution_id", "node", "item", unique=True),
    Index(
        "jobs_ready",
        "execution_id",
        "id",
        sqlite_where=text("state = 'ready'"),
        postgresql_where=text("state = 'ready'"),
    ),
    Index("jobs_running", "owner", sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'")),
    Index(
        "jobs_by_cache_key",
        "cache_key",
        sqlite_where=text("cache_key IS NOT NULL"),
        postgresql_where=text("cache_key IS NOT NULL"),
    ),
)

attempts = Table(
    "job_attempts",
    metadata,
    Column("job_id", Serial, ForeignKey("agent_jobs.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("because", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("outcome", Text),
    Column("error_class", Text),
    Column("error", Text),
)

events = Table(
    "execution_events",
    metadata,
    Column("execution_id", Text, ForeignKey("workflow_executions.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("time", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("node", Text),
    Column("item", Item),
    Column("data", Text),
)

decisions = Table(
    "review_decisions",
    metadata,
    Column("job_id", Serial, ForeignKey("agent_jobs.id"), primary_key=True, autoincrement=False),
    Column("action", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("comment", Text),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tat", Float, nullable=False, server_default="0.0"),
    Column("since", Float, nullable=False, server_default="0.0"),
    Column("held_until", Float, nullable=False, server_default="0.0"),
    Column("count", Integer, nullable=False, server_default="0"),
    Column("seconds", Float, nullable=False, server_default="0.0"),
)

functions = Table(
    "execution_functions",
    metadata,
    Column("execution_id", Text, ForeignKey("workflow_executions.id"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("python", Text, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("signature", Text, nullable=False),
)
