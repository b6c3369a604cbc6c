"""The tables. Times are seconds since the epoch by the database's clock; structured values are JSON text, so that a row
costs the same on SQLite and PostgreSQL. The legal transitions are in `states`; only `scheduler` writes states.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from xtyl_engine.states import JobState

# Items are compared as bytes: a range over `3.` must find what lies below row 3, whatever the locale.
Item = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# Tokens of the input, those of them that the provider had cached, of the output without images, of images.
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "image_tokens")

metadata = sa.MetaData()


def _where(condition: str) -> dict[str, Any]:
    """The options of an index over the rows that fulfil a condition."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


templates = sa.Table(
    "workflow_templates",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    # Written by the previous release; the numbers in use are in `versions`.
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

versions = sa.Table(
    "template_versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("template_id", sa.Text, sa.ForeignKey("workflow_templates.id"), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Index("versions_by_template", "project", "template_id", unique=True),
)

executions = sa.Table(
    "workflow_executions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("template_id", sa.Text, sa.ForeignKey("workflow_templates.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
    sa.Column("shape", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("max_parallel", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("project", sa.Text, nullable=False, server_default="default"),
    sa.Column("submission_key", sa.Text),
    sa.Column("submission_digest", sa.Text),
    # The number of the last event that `execution_nodes` counts. The previous release writes events and no counts.
    sa.Column("counted", sa.Integer, nullable=False, server_default="0"),
    # What is left of a control that goes on in steps, and how far it is: `scheduler.long_control` reads and writes it.
    sa.Column("unfinished", sa.Text),
    # What of the kernel its functions find again: `functions.surroundings` writes and reads it.
    sa.Column("surroundings", sa.Text),
    # Money in whole 1e-9 dollars: what it may spend, what its ended attempts took, and what is held for those at work. Only where
    # there is a budget the last two are kept. `is_short` says that jobs may wait for money.
    sa.Column("budget", sa.BigInteger),
    sa.Column("spent", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("is_short", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("executions_unfinished", "id", **_where("unfinished IS NOT NULL")),
    sa.Index("executions_by_state", "state", "created"),
    sa.Index("executions_by_template", "template_id"),
    sa.Index("executions_by_project", "project", "created", "id"),
    sa.Index("executions_by_key", "project", "submission_key", unique=True, **_where("submission_key IS NOT NULL")),
)

rows = sa.Table(
    "execution_rows",
    metadata,
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("values", sa.Text, nullable=False),
)

jobs = sa.Table(
    "agent_jobs",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id"), nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("item", Item, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("pending", sa.Integer, nullable=False, server_default="0"),
    sa.Column("live", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lost", sa.Integer, nullable=False, server_default="0"),
    sa.Column("waited", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("because", sa.Text, nullable=False, server_default="first"),
    sa.Column("owner", sa.Text),
    sa.Column("lease", sa.Float),
    sa.Column("due", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("output", sa.Text),
    sa.Column("branch", sa.Text),
    sa.Column("cache_key", sa.Text),
    sa.Column("cached", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("provider", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("tokens", sa.Integer),
    sa.Column("cost", sa.Float),
    sa.Column("error_class", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("traceback", sa.Text),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    # Sums over its attempts, money in whole 1e-9 dollars: `spent` of what is known, `unpriced` how many cost something unknown.
    # `saved` is what a cached result had cost. All null where no attempt used anything, or an earlier release wrote them.
    *(sa.Column(name, sa.BigInteger) for name in (*TOKENS, "spent", "unpriced", "saved")),
    sa.Column("price", sa.Text),
    # The most that its next attempt may cost, where that was more than the budget had left.
    sa.Column("needs", sa.BigInteger),
    sa.Index("jobs_by_item", "execution_id", "node", "item", unique=True),
    sa.Index("jobs_ready", "execution_id", "id", **_where("state = 'ready'")),
    sa.Index("jobs_running", "owner", **_where("state = 'running'")),
    sa.Index("jobs_waiting", "execution_id", "id", **_where("state = 'waiting'")),
    sa.Index("jobs_by_cache_key", "cache_key", **_where("cache_key IS NOT NULL")),
)

# One row for each node of an execution: its jobs by state, and its times as of `since`: `job_seconds` of all jobs that ran or
# waited for a person, `busy_seconds` in which at least one ran. A living worker beats again within `beat_within` seconds.
# `latest` holds the ids of the jobs that completed last, newest first, each with a blank behind it; `failure` is the first that
# failed.
nodes = sa.Table(
    "execution_nodes",
    metadata,
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    *(sa.Column(str(state), sa.Integer, nullable=False, server_default="0") for state in JobState),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("since", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("beat_within", sa.Float, nullable=False, server_default="60.0"),
    sa.Column("job_seconds", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("busy_seconds", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("latest", sa.Text, nullable=False),
    sa.Column("failure", Serial),
    # Sums over its jobs; null, and so unknown, where an earlier release began to count.
    *(sa.Column(name, sa.BigInteger) for name in ("spent", "unpriced", "from_cache", "saved")),
)

branches = sa.Table(
    "execution_branches",
    metadata,
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("branch", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)

attempts = sa.Table(
    "job_attempts",
    metadata,
    sa.Column("job_id", Serial, sa.ForeignKey("agent_jobs.id"), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("finished", sa.Float),
    sa.Column("outcome", sa.Text),
    sa.Column("error_class", sa.Text),
    sa.Column("error", sa.Text),
    # What its request used and cost, in whole 1e-9 dollars: `cost_kind` is `known`, `assumed`, `unknown`, or `none` for a result
    # from the cache. It is null, as is all the rest, where the attempt used nothing that was told.
    sa.Column("request_id", sa.Text),
    sa.Column("notes", sa.Text),
    *(sa.Column(name, sa.BigInteger) for name in (*TOKENS, "cost")),
    sa.Column("cost_kind", sa.Text),
    sa.Column("price", sa.Text),
    # Of the budget: the most that it may cost while it is at work, and what it took once it has ended.
    sa.Column("charge", sa.BigInteger, nullable=False, server_default="0"),
)

# What an attempt printed, as of `written`, and how far it said it was; no row where it said nothing. The release before deletes
# jobs and does not know this table.
attempt_logs = sa.Table(
    "attempt_logs",
    metadata,
    sa.Column(
        "job_id", Serial, sa.ForeignKey("agent_jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("done", sa.Float),
    sa.Column("of", sa.Float),
    sa.Column("written", sa.Float, nullable=False),
)

# The answer of an attempt that did not fit what its step returns, and what about it does not; no row where one fits.
attempt_answers = sa.Table(
    "attempt_answers",
    metadata,
    sa.Column(
        "job_id", Serial, sa.ForeignKey("agent_jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

events = sa.Table(
    "execution_events",
    metadata,
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("node", sa.Text),
    sa.Column("item", Item),
    sa.Column("data", sa.Text),
)

decisions = sa.Table(
    "review_decisions",
    metadata,
    sa.Column("job_id", Serial, sa.ForeignKey("agent_jobs.id"), primary_key=True, autoincrement=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("comment", sa.Text),
)

rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("tat", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("since", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("held_until", sa.Float, nullable=False, server_default="0.0"),
    sa.Column("count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0.0"),
)

functions = sa.Table(
    "execution_functions",
    metadata,
    sa.Column("execution_id", sa.Text, sa.ForeignKey("workflow_executions.id"), primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("python", sa.Text, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)
