"""The engine behind `xtyl_nb`: SQL holds the state, Celery carries notifications, Redis carries live events."""

__version__ = "0.1.0"
# The project of what is submitted without one.
DEFAULT_PROJECT = "default"
