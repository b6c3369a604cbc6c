"""The only writer of executions and jobs: the rules (pure), the guarded transitions, claims, outcomes, submission, control.

Others submit with `submit`, steer with `control`, and hand outcomes to `commit`; `outcomes`, `plan_cache`, `templates`
and `routing` are values and look-ups that any room above may use.
"""

__all__ = [
    "add_option",
    "apply_outcomes",
    "claim",
    "commit",
    "control",
    "locked_execution",
    "outcomes",
    "plan_cache",
    "rate_limits",
    "routing",
    "rules",
    "submit",
    "templates",
    "transitions",
]
