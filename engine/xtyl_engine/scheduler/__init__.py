"""The only writer of executions and jobs: the rules (pure), the guarded transitions, claims, outcomes, submission, control.

Other rooms submit with `submit`, control with `control`, and record outcomes with `commit`; any room above may use the values
and look-ups of `outcomes`, `plan_cache`, `templates` and `routing`.
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
