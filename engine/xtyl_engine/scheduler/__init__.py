"""The only writer of executions and jobs: the rules (pure), the guarded transitions, claims, outcomes, submission, control.

Other rooms submit with `submit`, control with `control`, and record outcomes with `commit`; the sweeper ends lost jobs with
`locked_execution`, `cascade`, `rules` and `transitions`, sees to counts with `node_changes` and `mend_counts`, and to retries
with `clock_steps`; slots tell `isolation` what they execute, and write with `keep_prints` what running jobs print. The values
and look-ups of `claim`, `outcomes`, `plan_cache`, `startable`, `templates` and `routing` are for every room that may import
this one.
"""

__all__ = [
    "budget",
    "cascade",
    "claim",
    "clock_steps",
    "commit",
    "control",
    "isolation",
    "keep_prints",
    "locked_execution",
    "long_control",
    "mend_counts",
    "node_changes",
    "outcomes",
    "plan_cache",
    "rate_limits",
    "routing",
    "rules",
    "spending",
    "startable",
    "submit",
    "templates",
    "transitions",
]
